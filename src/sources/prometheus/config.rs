//! A source as the operator's configuration names it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_http_query::Error as QueryError;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How old a sample may be where the configuration doesn't say it.
pub const DEFAULT_LOOKBACK: Duration = Duration::from_mins(2);

/// A source as the operator's configuration names it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceConfig {
    /// What policies call it.
    pub name: String,
    /// Where its API begins, without `/api/v1`: `http://prometheus.monitoring:9090`.
    pub url: String,
    /// Sent with every question: tenants, and what else is no secret.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A folder whose files are headers: the name is the header's, the content its value. As a Secret is mounted.
    #[serde(default)]
    pub headers_from: Option<PathBuf>,
    /// What `https` rests on.
    #[serde(default)]
    pub tls: Tls,
    /// How long a whole answer may take, as Go writes durations; 10 s if absent.
    #[serde(default = "default_timeout")]
    pub timeout: kube::core::Duration,
    /// How old a sample may be to count, as Go writes durations; 2 min if absent. It is sent as `lookback_delta`; a source that
    /// doesn't know this parameter looks back as far as it always does.
    #[serde(default = "default_lookback")]
    pub max_sample_age: kube::core::Duration,
}

/// What `https` rests on: files in PEM, read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tls {
    /// The authorities that may vouch for the source, and no others; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate with its chain, where the source asks for one.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

fn default_timeout() -> kube::core::Duration {
    Duration::from_secs(10).into()
}

fn default_lookback() -> kube::core::Duration {
    DEFAULT_LOOKBACK.into()
}

impl SourceConfig {
    /// A source with defaults for all but its name and URL.
    pub fn new(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            headers: BTreeMap::new(),
            headers_from: None,
            tls: Tls::default(),
            timeout: default_timeout(),
            max_sample_age: default_lookback(),
        }
    }

    /// Whether its URL can be asked.
    pub(crate) fn check_url(&self) -> Result<(), SourceError> {
        let wrong = || SourceError::Url { name: self.name.clone() };
        let url = Url::parse(&self.url).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        Ok(())
    }

    /// How long a whole answer may take.
    pub(crate) fn timeout(&self) -> Result<Duration, SourceError> {
        self.positive("timeout", self.timeout)
    }

    /// How old a sample may be.
    pub(super) fn lookback(&self) -> Result<Duration, SourceError> {
        self.positive("maxSampleAge", self.max_sample_age)
    }

    fn positive(&self, field: &'static str, value: kube::core::Duration) -> Result<Duration, SourceError> {
        let span = Duration::from(value);
        if value.is_negative() || span.is_zero() {
            return Err(SourceError::Duration { name: self.name.clone(), field });
        }
        Ok(span)
    }
}

impl fmt::Debug for SourceConfig {
    /// Leaves out what headers hold, and the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url: _, headers, headers_from, tls, timeout, max_sample_age } = self;
        let headers: Vec<&String> = headers.keys().collect();
        f.debug_struct("SourceConfig")
            .field("name", name)
            .field("headers", &headers)
            .field("headers_from", headers_from)
            .field("tls", tls)
            .field("timeout", timeout)
            .field("max_sample_age", max_sample_age)
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
    #[error("source {name}: {field} must be positive")]
    Duration {
        /// The source.
        name: String,
        /// Which duration.
        field: &'static str,
    },
    /// A file of credentials or certificates can't be read.
    #[error("source {name}: read {}", path.display())]
    File {
        /// The source.
        name: String,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// One of certificate and key without the other.
    #[error("source {name}: tls.cert and tls.key go together")]
    Half {
        /// The source.
        name: String,
    },
    /// A file holds no certificates or keys in PEM.
    #[error("source {name}: tls.{field} is not PEM")]
    Pem {
        /// The source.
        name: String,
        /// Which one.
        field: &'static str,
        /// What is wrong.
        source: Option<reqwest::Error>,
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
