//! The metric sources of the operator's configuration, by name.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    analysis::{ErrorClass, Outcome},
    policy::Request,
    sources::prometheus::{Source, SourceConfig, SourceError},
};

/// Why the sources are invalid.
#[derive(Debug, Error)]
pub enum SourcesError {
    /// Two sources have the same name.
    #[error("prometheus.sources: two sources are named {0}: give each source a unique name")]
    Twice(String),
    /// A source is invalid.
    #[error(transparent)]
    Unusable(#[from] SourceError),
}

/// All sources.
#[derive(Default)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// Creates the clients of the sources.
    pub fn new(configs: &[SourceConfig]) -> Result<Self, SourcesError> {
        let mut sources = BTreeMap::new();
        for config in configs {
            if sources.insert(config.name.clone(), Source::new(config)?).is_some() {
                return Err(SourcesError::Twice(config.name.clone()));
            }
        }
        Ok(Self(sources))
    }

    /// Returns the maximum age of a sample that the answer to a request can contain.
    pub fn lookback(&self, request: &Request) -> Duration {
        match request {
            Request::Prometheus(request) => {
                let source = self.0.get(&request.source);
                source.map_or(Duration::ZERO, |source| source.lookback(&request.terms))
            }
        }
    }

    /// Sends a request to its source, evaluated at time `at`.
    pub async fn measure(&self, request: &Request, at: Timestamp) -> Outcome {
        match request {
            Request::Prometheus(request) => {
                let Some(source) = self.0.get(&request.source) else { return missing(&request.source) };
                source.measure(request, at).await
            }
        }
    }
}

fn missing(name: &str) -> Outcome {
    let message = format!("prometheus.sources of the operator's configuration has no source named {name}");
    Outcome::error(ErrorClass::Unreachable, &message)
}
