//! A Prometheus, or what speaks like one, as a source of single numbers.
//!
//! The request is `prometheus-http-query`'s, which takes a client of ours and can hand over the raw response. Its own
//! envelope isn't used: it drops warnings (partial data), reads bodies of any length, and its `at` knows whole
//! seconds only, so `time` is given as a plain parameter with milliseconds. The query is sent by POST: a regular
//! expression of listed pods may be longer than a URL may be.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_http_query::{Client, Error as QueryError};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url, redirect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::analysis::{ErrorClass, Outcome};

#[cfg(test)]
mod tests;

/// The longest answer that is read, in bytes. One number needs less than one thousandth of it.
pub const BODY_LIMIT: usize = 1 << 20;

/// A source as the operator's configuration names it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceConfig {
    /// What policies call it.
    pub name: String,
    /// Where its API begins, without `/api/v1`: `http://prometheus.monitoring:9090`.
    pub url: String,
    /// Sent with every question: credentials, tenants.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How long a whole answer may take, as Go writes durations; 10 s if absent.
    #[serde(default = "default_timeout")]
    pub timeout: kube::core::Duration,
}

fn default_timeout() -> kube::core::Duration {
    Duration::from_secs(10).into()
}

impl fmt::Debug for SourceConfig {
    /// Leaves out what headers hold, and the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url: _, headers, timeout } = self;
        let headers: Vec<&String> = headers.keys().collect();
        f.debug_struct("SourceConfig")
            .field("name", name)
            .field("headers", &headers)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

/// Why a configured source can't be used.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Not a URL, or not of a web server.
    #[error("source {name}: the url must begin with http:// or https:// and name a host")]
    Url {
        /// The source.
        name: String,
    },
    /// The name or value of a header has characters that headers can't have.
    #[error("source {name}: header {header} can't be sent")]
    Header {
        /// The source.
        name: String,
        /// The header's name.
        header: String,
    },
    /// Zero or negative.
    #[error("source {name}: the timeout must be positive")]
    Timeout {
        /// The source.
        name: String,
    },
    /// The process has installed no default `rustls` crypto provider, without which no client can be made.
    #[error("no TLS crypto provider is installed")]
    NoCryptoProvider,
    /// The HTTP client can't be made.
    #[error("source {name}: no HTTP client")]
    Client {
        /// The source.
        name: String,
        /// What is missing.
        source: reqwest::Error,
    },
    /// The URL isn't taken by the query client.
    #[error("source {name}: no query client")]
    Query {
        /// The source.
        name: String,
        /// What is wrong.
        source: Box<QueryError>,
    },
}

/// A source that can be asked.
#[derive(Clone)]
pub struct Source {
    client: Client,
    timeout: Duration,
}

impl Source {
    /// Makes ready to ask; connects to nothing yet. The process must have installed a `rustls` crypto provider.
    ///
    /// # Errors
    /// If the configuration can't be right, or no client can be made; see [`SourceError`].
    pub fn new(config: &SourceConfig) -> Result<Self, SourceError> {
        let name = || config.name.clone();
        let url = Url::parse(&config.url).map_err(|_| SourceError::Url { name: name() })?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(SourceError::Url { name: name() });
        }
        let timeout = Duration::from(config.timeout);
        if config.timeout.is_negative() || timeout.is_zero() {
            return Err(SourceError::Timeout { name: name() });
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SourceError::NoCryptoProvider);
        }
        // No redirects: credentials would follow them. No proxy of the environment: it isn't the operator's word.
        let client = reqwest::Client::builder()
            .default_headers(headers(config)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|source| SourceError::Client { name: name(), source })?;
        let client = Client::from(client, &config.url)
            .map_err(|source| SourceError::Query { name: name(), source: Box::new(source) })?;
        Ok(Self { client, timeout })
    }

    /// What the source says to `query` as of `at`, to the millisecond. Takes no longer than the source's timeout,
    /// which is the last moment of the answer's last byte.
    pub async fn ask(&self, query: &str, at: Timestamp) -> Outcome {
        let exchange = self.exchange(query, at);
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            Outcome::error(ErrorClass::Timeout, &format!("no answer within {:?}", self.timeout))
        })
    }

    async fn exchange(&self, query: &str, at: Timestamp) -> Outcome {
        // A hint that the server needn't go on for longer than it is listened to.
        let patience = i64::try_from(self.timeout.as_millis().max(1)).unwrap_or(i64::MAX);
        let request = self.client.query(query).query("time", seconds(at)).timeout(patience);
        let mut response = match request.post_raw().await {
            Ok(response) => response,
            Err(error) => return unreachable(error.source()),
        };
        let status = response.status();
        match body(&mut response).await {
            Ok(body) => judge(status, &body),
            // What a server that is in trouble says is told by its status alone.
            Err(outcome) => refusal(status, None).unwrap_or(outcome),
        }
    }
}

fn headers(config: &SourceConfig) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::new();
    for (header, value) in &config.headers {
        let wrong = || SourceError::Header { name: config.name.clone(), header: header.clone() };
        let key = HeaderName::from_bytes(header.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
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

fn judge(status: StatusCode, body: &[u8]) -> Outcome {
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
    if let Some(warning) = envelope.warnings.as_ref().and_then(|warnings| warnings.first()) {
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
            many => Outcome::error(ErrorClass::ManySeries, &format!("{} series, not one", many.len())),
        },
        ("matrix" | "string", _) => {
            let message = format!("the answer is a {}, not a scalar or a vector", data.result_type);
            Outcome::error(ErrorClass::WrongType, &message)
        }
        _ => unparsable("the answer is of a type that Prometheus doesn't have"),
    }
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
