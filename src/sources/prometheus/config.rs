//! A Prometheus source in the operator's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use prometheus_http_query::Error as QueryError;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::policy::source::prometheus::DEFAULT_LOOKBACK;

/// A Prometheus source in the operator's configuration.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceConfig {
    /// The name that policies use.
    pub name: String,
    /// The URL of the API without `/api/v1`, such as `http://prometheus.monitoring:9090`.
    pub url: String,
    /// Headers of every query, without secrets; for example the tenant.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A directory whose files are headers: the file name is the header name, the content its
    /// value. For example a mounted Secret.
    #[serde(default)]
    pub headers_from: Option<PathBuf>,
    /// The TLS settings.
    #[serde(default)]
    pub tls: Tls,
    /// The timeout of a whole response, as a Go duration. Default 10s.
    #[serde(default = "default_timeout")]
    pub timeout: kube::core::Duration,
    /// The maximum age of a sample, as a Go duration. Default 2m. It is sent as `lookback_delta`; a
    /// source that does not support this parameter uses its own lookback.
    #[serde(default = "default_lookback")]
    pub max_sample_age: kube::core::Duration,
}

/// TLS settings: PEM files, which are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate authorities to trust. Default: the ones of the system.
    pub ca: Option<PathBuf>,
    /// The client certificate with its chain.
    pub cert: Option<PathBuf>,
    /// The key of the client certificate.
    pub key: Option<PathBuf>,
}

fn default_timeout() -> kube::core::Duration {
    Duration::from_secs(10).into()
}

fn default_lookback() -> kube::core::Duration {
    DEFAULT_LOOKBACK.into()
}

impl SourceConfig {
    /// Returns a source with a name, a URL and default values.
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

    /// Checks the URL.
    pub(crate) fn check_url(&self) -> Result<(), SourceError> {
        let invalid = || SourceError::Url { name: self.name.clone() };
        let url = Url::parse(&self.url).map_err(|_| invalid())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(invalid());
        }
        Ok(())
    }

    /// Returns the timeout of a whole response.
    pub(crate) fn timeout(&self) -> Result<Duration, SourceError> {
        self.positive("timeout", self.timeout)
    }

    /// Returns the maximum age of a sample.
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
    /// Leaves out the values of headers and the URL, which may contain a password.
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

/// Why a source is invalid.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The URL is not an HTTP URL.
    #[error("source {name}: url must start with http:// or https:// and contain a host")]
    Url {
        /// The name of the source.
        name: String,
    },
    /// The name or value of a header contains invalid characters.
    #[error("source {name}: the name or value of header {header} contains invalid characters")]
    Header {
        /// The name of the source.
        name: String,
        /// The name of the header.
        header: String,
    },
    /// A duration is zero or negative.
    #[error("source {name}: {field} must be positive")]
    Duration {
        /// The name of the source.
        name: String,
        /// The field.
        field: &'static str,
    },
    /// A file of credentials or certificates can't be read.
    #[error("source {name}: can't read {}", path.display())]
    File {
        /// The name of the source.
        name: String,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Only one of certificate and key is set.
    #[error("source {name}: set both tls.cert and tls.key, or none of them")]
    Half {
        /// The name of the source.
        name: String,
    },
    /// A file contains no PEM certificates or keys.
    #[error("source {name}: the file of tls.{field} is not PEM")]
    Pem {
        /// The name of the source.
        name: String,
        /// The field.
        field: &'static str,
        /// The cause.
        source: Option<reqwest::Error>,
    },
    /// The process has not installed a default `rustls` crypto provider, which clients need.
    #[error("no TLS crypto provider is installed")]
    NoCryptoProvider,
    /// The HTTP client can't be created.
    #[error("source {name}: can't create the HTTP client")]
    Client {
        /// The name of the source.
        name: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The query client rejects the URL.
    #[error("source {name}: can't create the query client")]
    Query {
        /// The name of the source.
        name: String,
        /// The cause.
        source: Box<QueryError>,
    },
}
