//! An endpoint as the operator's configuration names it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Deserialize;

use super::WebhookError;
use crate::sources::prometheus::{SourceConfig, Tls};

/// An endpoint that gates ask.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookConfig {
    /// What policies call it.
    pub name: String,
    /// Where it is asked, by POST.
    pub url: String,
    /// What is sent.
    #[serde(default)]
    pub format: Format,
    /// A file whose content signs what is sent; without it nothing is signed. It is read at each call.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// How long an answer may take, as Go writes durations; 10 s if absent.
    #[serde(default = "ten_seconds")]
    pub timeout: kube::core::Duration,
    /// Sent with every call: what is no secret.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A folder whose files are headers: the name is the header's, the content its value. As a Secret is mounted.
    #[serde(default)]
    pub headers_from: Option<PathBuf>,
    /// What `https` rests on.
    #[serde(default)]
    pub tls: Tls,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// All that there is to know.
    #[default]
    Steelyard,
    /// What Flagger sends to its gates.
    Flagger,
}

fn ten_seconds() -> kube::core::Duration {
    std::time::Duration::from_secs(10).into()
}

impl WebhookConfig {
    /// How it is reached: as a metrics source is.
    pub(super) fn source(&self) -> SourceConfig {
        SourceConfig {
            headers: self.headers.clone(),
            headers_from: self.headers_from.clone(),
            tls: self.tls.clone(),
            timeout: self.timeout,
            ..SourceConfig::new(&self.name, &self.url)
        }
    }

    /// The key as it is now, without the line's end that editors put behind it.
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
    /// Leaves out what headers hold, and the URL, which may hold a password.
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
