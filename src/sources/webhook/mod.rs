//! The webhooks of the operator's configuration, by name.
//!
//! A call is made once: the engine decides on further attempts. Redirects are not followed, because
//! the signature and the headers are for one endpoint only.

mod config;
mod message;

use std::{
    collections::BTreeMap,
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode};
use thiserror::Error;
use tokio::time::Instant;

pub use config::{Format, WebhookConfig};

use super::timeout::timeout_message;
use crate::{
    api::Approval,
    engine::Question,
    sources::prometheus::{Material, SourceConfig, SourceError},
};

/// The maximum size of a response, in bytes. The rest is not read.
const BODY_LIMIT: usize = 4096;
/// The maximum length of the reported response, in characters.
const TEXT_LIMIT: usize = 200;

/// Why the webhooks are invalid.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// Two webhooks have the same name.
    #[error("webhooks: two webhooks are named {0}: give each webhook a unique name")]
    Twice(String),
    /// The URL, a header, a certificate or the timeout is invalid.
    #[error("webhook {name} is invalid")]
    Unusable {
        /// The name of the webhook.
        name: String,
        /// The cause.
        source: SourceError,
    },
    /// The key can't be read.
    #[error("webhook {name}: can't read keyFile {path}")]
    Key {
        /// The name of the webhook.
        name: String,
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The key is empty: anyone could sign with it.
    #[error("webhook {name}: keyFile is empty")]
    Empty {
        /// The name of the webhook.
        name: String,
    },
}

/// All webhooks.
#[derive(Default)]
pub struct Webhooks(BTreeMap<String, Endpoint>);

/// One webhook.
struct Endpoint {
    config: WebhookConfig,
    source: SourceConfig,
    timeout: Duration,
    /// The client, and the content of its files when it was created.
    client: Mutex<(Material, Client)>,
}

impl Webhooks {
    /// Creates the clients, without connecting.
    ///
    /// # Errors
    /// If a webhook is invalid, or one of its files can't be read.
    pub fn new(configs: &[WebhookConfig]) -> Result<Self, WebhookError> {
        let mut all = BTreeMap::new();
        for config in configs {
            if all.insert(config.name.clone(), Endpoint::new(config)?).is_some() {
                return Err(WebhookError::Twice(config.name.clone()));
            }
        }
        Ok(Self(all))
    }

    /// Calls a webhook. Takes no longer than its timeout.
    pub async fn ask(&self, name: &str, question: &Question) -> (Approval, String) {
        match self.0.get(name) {
            Some(endpoint) => endpoint.ask(question).await,
            None => (
                Approval::NotCalled,
                format!("webhooks of the operator's configuration has no webhook named {name}"),
            ),
        }
    }
}

impl Endpoint {
    fn new(config: &WebhookConfig) -> Result<Self, WebhookError> {
        let source = config.source();
        let unusable = |source| WebhookError::Unusable { name: config.name.clone(), source };
        source.check_url().map_err(unusable)?;
        let timeout = source.timeout().map_err(unusable)?;
        let material = Material::read(&source).map_err(unusable)?;
        let client = material.http(&source).map_err(unusable)?;
        config.key()?;
        Ok(Self { config: config.clone(), source, timeout, client: Mutex::new((material, client)) })
    }

    /// Returns the client. If a file has changed, creates a new one.
    fn client(&self) -> Client {
        let mut known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = Material::read(&self.source).and_then(|material| {
            let client = if material == known.0 { known.1.clone() } else { material.http(&self.source)? };
            Ok((material, client))
        });
        match renewed {
            Ok(renewed) => *known = renewed,
            Err(error) => {
                tracing::warn!(%error, "can't use the renewed credentials; the previous ones stay in use");
            }
        }
        known.1.clone()
    }

    async fn ask(&self, question: &Question) -> (Approval, String) {
        let key = match self.config.key() {
            Ok(key) => key,
            Err(error) => return (Approval::NotCalled, crate::cluster::chain(&error)),
        };
        let message = message::write(self.config.format, question, key.as_deref(), Timestamp::now());
        let mut request = self.client().post(&self.config.url).body(message.body);
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        let until = Instant::now() + self.timeout;
        match tokio::time::timeout_at(until, request.send()).await {
            Ok(Ok(mut response)) => {
                let status = response.status();
                let text =
                    tokio::time::timeout_at(until, start_of_body(&mut response)).await.unwrap_or_default();
                answer(status, &text)
            }
            Ok(Err(error)) => (Approval::Refused, connection_error(&error)),
            Err(_) => (Approval::Refused, timeout_message(self.timeout)),
        }
    }
}

/// Returns the answer for an HTTP status: 200 to 299 is a yes, independent of the body.
fn answer(status: StatusCode, text: &str) -> (Approval, String) {
    let approval = if status.is_success() { Approval::Approved } else { Approval::Refused };
    let redirect = if status.is_redirection() { " (redirects are not followed)" } else { "" };
    let message = match text {
        "" => format!("HTTP {status}{redirect}"),
        text => format!("HTTP {status}{redirect}: {text}"),
    };
    (approval, message)
}

/// Reads the start of the body, as one line.
async fn start_of_body(response: &mut Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= BODY_LIMIT {
            break;
        }
    }
    one_line(&String::from_utf8_lossy(&body[..body.len().min(BODY_LIMIT)]))
}

/// Replaces control characters and whitespace with single spaces, and cuts the text.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Returns the innermost cause: the outer ones repeat the URL, which may contain a password.
fn connection_error(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    match cause {
        Some(cause) if cause.downcast_ref::<reqwest::Error>().is_none() => {
            format!("the connection failed: {cause}")
        }
        _ => "the connection failed".to_owned(),
    }
}

#[cfg(test)]
mod tests;
