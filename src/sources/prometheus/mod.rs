//! A Prometheus-compatible API as a source of single numbers.
//!
//! `prometheus-http-query` builds the request, with our client, and returns the raw response. Its
//! response types are not used: they drop warnings (partial data) and read bodies of any length.
//! Its `at` supports whole seconds only, so `time` is a plain parameter with milliseconds. The
//! query is sent by POST: a regular expression that lists pods may exceed the maximum length of a
//! URL.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_http_query::Client;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::timeout::timeout_message;
use crate::{
    analysis::{ErrorClass, Measurement, Outcome},
    api::{OnWarnings, Series},
    policy::source::prometheus::{DEFAULT_LOOKBACK, Request, Terms},
};

mod config;
mod material;
#[cfg(test)]
mod tests;

pub use config::{SourceConfig, SourceError, Tls};
pub(crate) use material::Material;

/// The maximum size of a response, in bytes. A single number needs less than one thousandth of it.
pub const BODY_LIMIT: usize = 1 << 20;

/// A source of query results.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    config: SourceConfig,
    timeout: Duration,
    /// The client, and the content of its files when it was created.
    client: Mutex<(Material, Client)>,
}

impl Source {
    /// Creates the client, without connecting. The process must have installed a `rustls` crypto
    /// provider.
    ///
    /// # Errors
    /// If the configuration is invalid, a file can't be read, or the client can't be created; see
    /// [`SourceError`].
    pub fn new(config: &SourceConfig) -> Result<Self, SourceError> {
        config.check_url()?;
        let timeout = config.timeout()?;
        config.lookback()?;
        let material = Material::read(config)?;
        let client = material.client(config)?;
        let (config, client) = (config.clone(), Mutex::new((material, client)));
        Ok(Self(Arc::new(Inner { config, timeout, client })))
    }

    /// Returns the client. If a file has changed, creates a new one, because credentials and
    /// certificates are renewed. If the files are invalid, the previous client stays in use.
    fn client(&self) -> Client {
        let Inner { config, client, .. } = self.0.as_ref();
        let mut known = client.lock().unwrap_or_else(PoisonError::into_inner);
        match Material::read(config) {
            Ok(material) if material == known.0 => {}
            Ok(material) => match material.client(config) {
                Ok(client) => *known = (material, client),
                Err(error) => {
                    tracing::warn!(%error, "can't use the renewed credentials; the previous ones stay in use");
                }
            },
            Err(error) => tracing::warn!(%error, "can't read the credentials; the previous ones stay in use"),
        }
        known.1.clone()
    }

    /// Runs a query evaluated at time `at`, in milliseconds. It takes no longer than the source's
    /// timeout, which includes the last byte of the response. If there are fewer requests than the
    /// policy requires, the result is `TooFew`; both queries are sent at the same time and
    /// evaluated at the same `at`.
    pub async fn measure(&self, request: &Request, at: Timestamp) -> Outcome {
        let Request { source: _, query, samples, terms } = request;
        let Some(samples) = samples else { return self.timed(query, at, terms).await };
        let one = Terms { series: Series::Sum, ..terms.clone() };
        let (outcome, count) =
            tokio::join!(self.timed(query, at, terms), self.timed(&samples.query, at, &one));
        match count {
            Outcome::Value(found) if found >= samples.least => outcome,
            Outcome::Value(found) => Outcome::TooFew { found, wanted: samples.least },
            // Without a count the number is not reliable: missing data and errors of the count are
            // the result.
            other => other,
        }
    }

    /// Returns the maximum age of a sample of an instant selector.
    pub fn lookback(&self, terms: &Terms) -> Duration {
        let default = || self.0.config.lookback().unwrap_or(DEFAULT_LOOKBACK);
        terms.max_sample_age.unwrap_or_else(default)
    }

    async fn timed(&self, query: &str, at: Timestamp, terms: &Terms) -> Outcome {
        let timeout = terms.timeout.map_or(self.0.timeout, |limit| limit.min(self.0.timeout));
        tokio::time::timeout(timeout, self.exchange(query, at, terms, timeout))
            .await
            .unwrap_or_else(|_| Outcome::error(ErrorClass::Timeout, &timeout_message(timeout)))
    }

    async fn exchange(&self, query: &str, at: Timestamp, terms: &Terms, timeout: Duration) -> Outcome {
        // The server can cancel the query when the client has stopped waiting.
        let limit = i64::try_from(timeout.as_millis().max(1)).unwrap_or(i64::MAX);
        // An instant selector returns the newest sample of a series, by default up to five minutes
        // old: a source that has stopped scraping would return outdated values.
        let lookback = self.lookback(terms);
        let client = self.client();
        let request = client
            .query(query)
            .query("time", seconds(at))
            .query("lookback_delta", format!("{}ms", lookback.as_millis()))
            .timeout(limit);
        let mut response = match request.post_raw().await {
            Ok(response) => response,
            Err(error) => return unreachable(error.source()),
        };
        let status = response.status();
        match body(&mut response).await {
            Ok(body) => judge(status, &body, terms),
            // For an error status, the status is enough.
            Err(outcome) => refusal(status, None).unwrap_or(outcome),
        }
    }
}

/// Formats a time as seconds since 1970 with three decimals.
fn seconds(at: Timestamp) -> String {
    let milliseconds = at.as_millisecond();
    let sign = if milliseconds < 0 { "-" } else { "" };
    let milliseconds = milliseconds.unsigned_abs();
    format!("{sign}{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Reads the whole body, up to the limit.
async fn body(response: &mut Response) -> Result<Vec<u8>, Outcome> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > BODY_LIMIT => {
                let message = format!("the response is longer than {BODY_LIMIT} bytes");
                return Err(Outcome::error(ErrorClass::TooLarge, &message));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(unreachable(Some(&error))),
        }
    }
}

/// Returns the innermost cause: the outer ones repeat the URL, which may contain a password.
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

/// The envelope of a Prometheus response. Its `infos` are ignored: they do not affect the data.
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

/// Turns a response into an outcome.
fn judge(status: StatusCode, body: &[u8], terms: &Terms) -> Outcome {
    let parsed = serde_json::from_slice::<Envelope>(body);
    let envelope = parsed.as_ref();
    let server_error = envelope.ok().and_then(|envelope| envelope.error.as_deref());
    if let Some(refusal) = refusal(status, server_error) {
        return refusal;
    }
    let unparsable = |what: &str| Outcome::error(ErrorClass::Unparsable, what);
    let Ok(envelope) = envelope else {
        return unparsable("the response isn't in the format of the Prometheus API");
    };
    if envelope.status == Status::Error {
        return Outcome::error(ErrorClass::Refused, server_error.unwrap_or("an error without a message"));
    }
    let ignored = terms.warnings == OnWarnings::Ignore;
    if !ignored && let Some(warning) = envelope.warnings.as_ref().and_then(|warnings| warnings.first()) {
        return Outcome::error(ErrorClass::Warnings, warning);
    }
    let Some(data) = &envelope.data else { return unparsable("the response has no data") };
    match (data.result_type.as_str(), &data.result) {
        ("scalar", sample) => number(sample),
        ("vector", Value::Array(series)) => match series.as_slice() {
            [] => Outcome::NoData,
            [one] if one.get("histogram").is_some() => {
                Outcome::error(ErrorClass::WrongType, "the result is a histogram, not a number")
            }
            [one] => number(&one["value"]),
            many => several(many, terms),
        },
        ("matrix" | "string", _) => {
            let message = format!("the result is a {}, not a scalar or a vector", data.result_type);
            Outcome::error(ErrorClass::WrongType, &message)
        }
        _ => unparsable("the result has an unknown type"),
    }
}

/// Reduces several series to one number, as `series` of the policy says. If one of them has no
/// number, there is no result.
fn several(series: &[Value], terms: &Terms) -> Outcome {
    let reduce: fn(f64, f64) -> f64 = match terms.series {
        Series::Max => f64::max,
        Series::Min => f64::min,
        Series::Sum => |a, b| a + b,
        Series::All => return decisive(series, terms, Measurement::Fail),
        Series::Any => return decisive(series, terms, Measurement::Pass),
        Series::One => {
            return Outcome::error(
                ErrorClass::ManySeries,
                &format!(
                    "the query returns {} series instead of one: aggregate them, or set `series`",
                    series.len()
                ),
            );
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

/// Returns the series that decides: the first one whose measurement is `deciding`; otherwise one
/// without a number, which leaves the result open; otherwise any, because all measurements are
/// equal.
fn decisive(series: &[Value], terms: &Terms, deciding: Measurement) -> Outcome {
    let outcomes: Vec<Outcome> = series.iter().map(|one| number(&one["value"])).collect();
    let decides = outcomes
        .iter()
        .find(|outcome| terms.criterion.is_some_and(|criterion| criterion.measure(outcome) == deciding));
    let open = || outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Value(_)));
    decides.or_else(open).or(outcomes.first()).cloned().unwrap_or(Outcome::NoData)
}

/// Returns the error for an HTTP status, if it is one; `server_error` is the error message of a
/// Prometheus response.
fn refusal(status: StatusCode, server_error: Option<&str>) -> Option<Outcome> {
    let class = match status.as_u16() {
        200..=299 => return None,
        401 | 403 => ErrorClass::Auth,
        500.. => ErrorClass::Server,
        _ => ErrorClass::Refused,
    };
    let message = match server_error {
        _ if status.is_redirection() => format!("HTTP {}: redirects are not followed", status.as_u16()),
        Some(text) if class != ErrorClass::Auth => format!("HTTP {}: {text}", status.as_u16()),
        _ => format!("HTTP {status}"),
    };
    Some(Outcome::error(class, &message))
}

/// Parses a sample, `[seconds, "number"]`.
fn number(sample: &Value) -> Outcome {
    match sample[1].as_str().map(str::parse::<f64>) {
        Some(Ok(value)) => Outcome::of(value),
        _ => Outcome::error(ErrorClass::Unparsable, "the sample isn't a number"),
    }
}
