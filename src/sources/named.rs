//! The operator's metrics sources, by name.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::sources::prometheus::{Source, SourceConfig, SourceError};

/// Why the sources can't be used.
#[derive(Debug, Error)]
pub enum SourcesError {
    /// Two have one name.
    #[error("two metrics sources are named {0}")]
    Twice(String),
    /// One can't be used.
    #[error(transparent)]
    Unusable(#[from] SourceError),
}

/// All sources.
#[derive(Default)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// Makes ready to ask these.
    pub fn new(configs: &[SourceConfig]) -> Result<Self, SourcesError> {
        let mut sources = BTreeMap::new();
        for config in configs {
            if sources.insert(config.name.clone(), Source::new(config)?).is_some() {
                return Err(SourcesError::Twice(config.name.clone()));
            }
        }
        Ok(Self(sources))
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }
}
