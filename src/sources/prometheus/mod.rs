//! A Prometheus, or what speaks like one, as a source of single numbers.
//!
//! The request is `prometheus-http-query`'s, which takes a client of ours and can hand over the raw response. Its own
//! envelope isn't used: it drops warnings (partial data), reads bodies of any length, and its `at` knows whole
//! seconds only, so `time` is given as a plain parameter with milliseconds. The query is sent by POST: a regular
//! expression of listed pods may be longer than a URL may be.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_http_query::Client;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::late::late;
use crate::{
    analysis::{ErrorClass, Measurement, Outcome},
    api::{OnWarnings, Series},
    policy::terms::Terms,
};

mod config;
mod material;
#[cfg(test)]
mod tests;

pub use config::{DEFAULT_LOOKBACK, SourceConfig, SourceError, Tls};
pub(crate) use material::Material;

/// The longest answer that is read, in bytes. One number needs less than one thousandth of it.
pub const BODY_LIMIT: usize = 1 << 20;

/// A source that can be asked.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    config: SourceConfig,
    timeout: Duration,
    /// The client, and what was in its files when it was made.
    client: Mutex<(Material, Client)>,
}

impl Source {
    /// Makes ready to ask; connects to nothing yet. The process must have installed a `rustls` crypto provider.
    ///
    /// # Errors
    /// If the configuration can't be right, a file can't be read, or no client can be made; see [`SourceError`].
    pub fn new(config: &SourceConfig) -> Result<Self, SourceError> {
        config.check_url()?;
        let timeout = config.timeout()?;
        config.lookback()?;
        let material = Material::read(config)?;
        let client = material.client(config)?;
        let (config, client) = (config.clone(), Mutex::new((material, client)));
        Ok(Self(Arc::new(Inner { config, timeout, client })))
    }

    /// The client; a new one where a file has changed, since credentials and certificates are renewed. Files that can't
    /// be used are no reason to forget what was used before.
    fn client(&self) -> Client {
        let Inner { config, client, .. } = self.0.as_ref();
        let mut known = client.lock().unwrap_or_else(PoisonError::into_inner);
        match Material::read(config) {
            Ok(material) if material == known.0 => {}
            Ok(material) => match material.client(config) {
                Ok(client) => *known = (material, client),
                Err(error) => tracing::warn!(%error, "renewed credentials can't be used"),
            },
            Err(error) => tracing::warn!(%error, "credentials can't be read again"),
        }
        known.1.clone()
    }

    /// What the source says to `query` as of `at`, to the millisecond. Takes no longer than the source's timeout,
    /// which is the last moment of the answer's last byte.
    pub async fn ask(&self, query: &str, at: Timestamp) -> Outcome {
        self.ask_on(query, at, &Terms::default()).await
    }

    /// As [`Source::ask`], on terms of the policy's own. A number that rests on too few requests is none; the two questions
    /// are asked at the same time, for the same moment.
    pub async fn ask_on(&self, query: &str, at: Timestamp, terms: &Terms) -> Outcome {
        let Some(samples) = &terms.samples else { return self.timed(query, at, terms).await };
        let one = Terms { series: Series::Sum, ..terms.clone() };
        let (outcome, count) =
            tokio::join!(self.timed(query, at, terms), self.timed(&samples.query, at, &one));
        match count {
            Outcome::Value(found) if found >= samples.least => outcome,
            Outcome::Value(found) => Outcome::TooFew { found, wanted: samples.least },
            // Nothing counted is nothing to rest on, and trouble with the count is trouble.
            other => other,
        }
    }

    async fn timed(&self, query: &str, at: Timestamp, terms: &Terms) -> Outcome {
        let timeout = terms.timeout.map_or(self.0.timeout, |own| own.min(self.0.timeout));
        tokio::time::timeout(timeout, self.exchange(query, at, terms, timeout))
            .await
            .unwrap_or_else(|_| Outcome::error(ErrorClass::Timeout, &late(timeout)))
    }

    async fn exchange(&self, query: &str, at: Timestamp, terms: &Terms, timeout: Duration) -> Outcome {
        // A hint that the server needn't go on for longer than it is listened to.
        let patience = i64::try_from(timeout.as_millis().max(1)).unwrap_or(i64::MAX);
        // An instant selector takes a series' newest sample, by default one of up to five minutes ago: a source that has
        // stopped scraping would go on answering with what once was.
        let usual = self.0.config.lookback().unwrap_or(DEFAULT_LOOKBACK);
        let lookback = terms.max_sample_age.unwrap_or(usual);
        let client = self.client();
        let request = client
            .query(query)
            .query("time", seconds(at))
            .query("lookback_delta", format!("{}ms", lookback.as_millis()))
            .timeout(patience);
        let mut response = match request.post_raw().await {
            Ok(response) => response,
            Err(error) => return unreachable(error.source()),
        };
        let status = response.status();
        match body(&mut response).await {
            Ok(body) => judge(status, &body, terms),
            // What a server that is in trouble says is told by its status alone.
            Err(outcome) => refusal(status, None).unwrap_or(outcome),
        }
    }
}

/// Seconds since 1970 with three decimals.
fn seconds(at: Timestamp) -> String {
    let milliseconds = at.as_millisecond();
    let sign = if milliseconds < 0 { "-" } else { "" };
    let milliseconds = milliseconds.unsigned_abs();
    format!("{sign}{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// The whole body, if it isn't too long.
async fn body(response: &mut Response) -> Result<Vec<u8>, Outcome> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > BODY_LIMIT => {
                let message = format!("the answer is longer than {BODY_LIMIT} bytes");
                return Err(Outcome::error(ErrorClass::TooLarge, &message));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(unreachable(Some(&error))),
        }
    }
}

/// The innermost cause in words: the outer ones repeat the URL.
fn unreachable(error: Option<&(dyn std::error::Error + 'static)>) -> Outcome {
    let Some(mut cause) = error else {
        return Outcome::error(ErrorClass::Unreachable, "the request can't be sent");
    };
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let message = match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "the connection failed".to_owned(),
        None => format!("the connection failed: {cause}"),
    };
    Outcome::error(ErrorClass::Unreachable, &message)
}

/// Prometheus' envelope around every answer; its `infos` say nothing about the data's truth.
#[derive(Deserialize)]
struct Envelope {
    status: Status,
    data: Option<Data>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

fn judge(status: StatusCode, body: &[u8], terms: &Terms) -> Outcome {
    let parsed = serde_json::from_slice::<Envelope>(body);
    let envelope = parsed.as_ref();
    let said = envelope.ok().and_then(|envelope| envelope.error.as_deref());
    if let Some(refusal) = refusal(status, said) {
        return refusal;
    }
    let unparsable = |what: &str| Outcome::error(ErrorClass::Unparsable, what);
    let Ok(envelope) = envelope else { return unparsable("the answer isn't in Prometheus' format") };
    if envelope.status == Status::Error {
        return Outcome::error(ErrorClass::Refused, said.unwrap_or("an error without a text"));
    }
    let ignored = terms.warnings == OnWarnings::Ignore;
    if !ignored && let Some(warning) = envelope.warnings.as_ref().and_then(|warnings| warnings.first()) {
        return Outcome::error(ErrorClass::Warnings, warning);
    }
    let Some(data) = &envelope.data else { return unparsable("the answer has no data") };
    match (data.result_type.as_str(), &data.result) {
        ("scalar", sample) => number(sample),
        ("vector", Value::Array(series)) => match series.as_slice() {
            [] => Outcome::NoData,
            [one] if one.get("histogram").is_some() => {
                Outcome::error(ErrorClass::WrongType, "the answer is a histogram, not a number")
            }
            [one] => number(&one["value"]),
            many => several(many, terms),
        },
        ("matrix" | "string", _) => {
            let message = format!("the answer is a {}, not a scalar or a vector", data.result_type);
            Outcome::error(ErrorClass::WrongType, &message)
        }
        _ => unparsable("the answer is of a type that Prometheus doesn't have"),
    }
}

/// Several series as one number, where the policy says how. One of them that is no number leaves none.
fn several(series: &[Value], terms: &Terms) -> Outcome {
    let reduce: fn(f64, f64) -> f64 = match terms.series {
        Series::Max => f64::max,
        Series::Min => f64::min,
        Series::Sum => |a, b| a + b,
        Series::All => return telling(series, terms, Measurement::Fail),
        Series::Any => return telling(series, terms, Measurement::Pass),
        Series::One => {
            return Outcome::error(ErrorClass::ManySeries, &format!("{} series, not one", series.len()));
        }
    };
    let mut all = None;
    for one in series {
        match number(&one["value"]) {
            Outcome::Value(value) => all = Some(all.map_or(value, |before| reduce(before, value))),
            other => return other,
        }
    }
    all.map_or(Outcome::NoData, Outcome::of)
}

/// Of several series the one that decides: the first that is `decisive`; without one, one that is no number, which leaves it
/// open; else any, for they all say the same.
fn telling(series: &[Value], terms: &Terms, decisive: Measurement) -> Outcome {
    let outcomes: Vec<Outcome> = series.iter().map(|one| number(&one["value"])).collect();
    let decides = outcomes.iter().find(|outcome| terms.bounds.measure(outcome) == decisive);
    let open = || outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Value(_)));
    decides.or_else(open).or(outcomes.first()).cloned().unwrap_or(Outcome::NoData)
}

/// The error that a status means, if it means one; `said` is the server's text, where it is Prometheus' own.
fn refusal(status: StatusCode, said: Option<&str>) -> Option<Outcome> {
    let class = match status.as_u16() {
        200..=299 => return None,
        401 | 403 => ErrorClass::Auth,
        500.. => ErrorClass::Server,
        _ => ErrorClass::Refused,
    };
    let message = match said {
        _ if status.is_redirection() => format!("HTTP {}: redirects aren't followed", status.as_u16()),
        Some(said) if class != ErrorClass::Auth => format!("HTTP {}: {said}", status.as_u16()),
        _ => format!("HTTP {status}"),
    };
    Some(Outcome::error(class, &message))
}

/// A sample, `[seconds, "number"]`.
fn number(sample: &Value) -> Outcome {
    match sample[1].as_str().map(str::parse::<f64>) {
        Some(Ok(value)) => Outcome::of(value),
        _ => Outcome::error(ErrorClass::Unparsable, "the answer's sample isn't a number"),
    }
}
