//! Endpoints of the operator's configuration that gates ask, by name.
//!
//! A call is made once: what is to be asked again is asked by another attempt, which the engine decides on. Redirects are
//! not followed, for the signature and the headers were meant for one endpoint.

mod config;
mod letter;

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

use super::late::late;
use crate::{
    api::Word,
    engine::Question,
    sources::prometheus::{Material, SourceConfig, SourceError},
};

/// The most of an answer that is read, in bytes: a sentence for people.
const BODY_LIMIT: usize = 4096;
/// The most of an answer that is told, in characters.
const TOLD: usize = 200;

/// Why the endpoints can't be used.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// Two have one name.
    #[error("two webhooks are named {0}")]
    Twice(String),
    /// Its URL, headers, certificates or timeout.
    #[error("webhook {name} can't be used")]
    Unusable {
        /// The webhook.
        name: String,
        /// What is wrong.
        source: SourceError,
    },
    /// Its key can't be read.
    #[error("webhook {name}: read the key {path}")]
    Key {
        /// The webhook.
        name: String,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its key is empty: everybody could sign with it.
    #[error("webhook {name}: the key is empty")]
    Empty {
        /// The webhook.
        name: String,
    },
}

/// All endpoints.
#[derive(Default)]
pub struct Webhooks(BTreeMap<String, Endpoint>);

/// One endpoint.
struct Endpoint {
    config: WebhookConfig,
    source: SourceConfig,
    timeout: Duration,
    /// The client, and what was in its files when it was made.
    client: Mutex<(Material, Client)>,
}

impl Webhooks {
    /// Makes ready to ask these; connects to nothing yet.
    ///
    /// # Errors
    /// If one can't be right, or a file of it can't be read.
    pub fn new(configs: &[WebhookConfig]) -> Result<Self, WebhookError> {
        let mut all = BTreeMap::new();
        for config in configs {
            if all.insert(config.name.clone(), Endpoint::new(config)?).is_some() {
                return Err(WebhookError::Twice(config.name.clone()));
            }
        }
        Ok(Self(all))
    }

    /// What the endpoint of this name says. Takes no longer than its timeout.
    pub async fn ask(&self, name: &str, question: &Question) -> (Word, String) {
        match self.0.get(name) {
            Some(endpoint) => endpoint.ask(question).await,
            None => {
                (Word::Unasked, format!("there is no webhook named {name} in the operator's configuration"))
            }
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

    /// The client; a new one where a file has changed.
    fn client(&self) -> Client {
        let mut known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = Material::read(&self.source).and_then(|material| {
            let client = if material == known.0 { known.1.clone() } else { material.http(&self.source)? };
            Ok((material, client))
        });
        match renewed {
            Ok(renewed) => *known = renewed,
            Err(error) => tracing::warn!(%error, "renewed credentials can't be used"),
        }
        known.1.clone()
    }

    async fn ask(&self, question: &Question) -> (Word, String) {
        let key = match self.config.key() {
            Ok(key) => key,
            Err(error) => return (Word::Unasked, crate::cluster::chain(&error)),
        };
        let letter = letter::write(self.config.format, question, key.as_deref(), Timestamp::now());
        let mut request = self.client().post(&self.config.url).body(letter.body);
        for (name, value) in letter.headers {
            request = request.header(name, value);
        }
        let until = Instant::now() + self.timeout;
        match tokio::time::timeout_at(until, request.send()).await {
            Ok(Ok(mut response)) => {
                let status = response.status();
                let text = tokio::time::timeout_at(until, beginning(&mut response)).await.unwrap_or_default();
                judged(status, &text)
            }
            Ok(Err(error)) => (Word::No, broken(&error)),
            Err(_) => (Word::No, late(self.timeout)),
        }
    }
}

/// What a status means: 200 to 299 is a yes, whatever the text.
fn judged(status: StatusCode, text: &str) -> (Word, String) {
    let word = if status.is_success() { Word::Yes } else { Word::No };
    let moved = if status.is_redirection() { " (redirects are not followed)" } else { "" };
    let said = match text {
        "" => format!("HTTP {status}{moved}"),
        text => format!("HTTP {status}{moved}: {text}"),
    };
    (word, said)
}

/// The beginning of an answer's text, in one line.
async fn beginning(response: &mut Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= BODY_LIMIT {
            break;
        }
    }
    one_line(&String::from_utf8_lossy(&body[..body.len().min(BODY_LIMIT)]))
}

fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(TOLD) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The innermost cause in words: the outer ones repeat the URL, which may hold a password.
fn broken(error: &reqwest::Error) -> String {
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
