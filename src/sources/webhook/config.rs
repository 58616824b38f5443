//! A webhook in the operator's configuration.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Deserialize;

use super::WebhookError;
use crate::sources::prometheus::{SourceConfig, Tls};

/// A webhook that gates call.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookConfig {
    /// The name that policies use.
    pub name: String,
    /// The URL, which is called with POST.
    pub url: String,
    /// The format of the body.
    #[serde(default)]
    pub format: Format,
    /// A file with the key that signs requests. Without it, requests are not signed. It is read at
    /// each call.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The timeout of a response, as a Go duration. Default 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: kube::core::Duration,
    /// Headers of every call, without secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A directory whose files are headers: the file name is the header name, the content its
    /// value. For example a mounted Secret.
    #[serde(default)]
    pub headers_from: Option<PathBuf>,
    /// The TLS settings.
    #[serde(default)]
    pub tls: Tls,
}

/// The format of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// All fields of the question.
    #[default]
    Steelyard,
    /// The body that Flagger sends to its gates.
    Flagger,
}

fn ten_seconds() -> kube::core::Duration {
    std::time::Duration::from_secs(10).into()
}

impl WebhookConfig {
    /// Returns the connection settings, in the form of a metric source.
    pub(super) fn source(&self) -> SourceConfig {
        SourceConfig {
            headers: self.headers.clone(),
            headers_from: self.headers_from.clone(),
            tls: self.tls.clone(),
            timeout: self.timeout,
            ..SourceConfig::new(&self.name, &self.url)
        }
    }

    /// Reads the key, without trailing whitespace: editors append a newline.
    pub(super) fn key(&self) -> Result<Option<Vec<u8>>, WebhookError> {
        let Some(path) = &self.key_file else { return Ok(None) };
        let mut key = std::fs::read(path).map_err(|source| WebhookError::Key {
            name: self.name.clone(),
            path: path.display().to_string(),
            source,
        })?;
        while key.last().is_some_and(u8::is_ascii_whitespace) {
            key.pop();
        }
        if key.is_empty() { Err(WebhookError::Empty { name: self.name.clone() }) } else { Ok(Some(key)) }
    }
}

impl fmt::Debug for WebhookConfig {
    /// Leaves out the values of headers and the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url: _, format, key_file, timeout, headers, headers_from, tls } = self;
        let headers: Vec<&String> = headers.keys().collect();
        f.debug_struct("WebhookConfig")
            .field("name", name)
            .field("format", format)
            .field("key_file", key_file)
            .field("timeout", timeout)
            .field("headers", &headers)
            .field("headers_from", headers_from)
            .field("tls", tls)
            .finish_non_exhaustive()
    }
}
