//! The operator's configuration file.

use std::num::NonZeroUsize;

use jiff::SignedDuration;
use kube::core::Duration;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    cluster::concurrency::Limits,
    engine,
    policy::query::QueryError,
    sources::{prometheus::SourceConfig, webhook::WebhookConfig},
};

/// The configuration of the operator for the whole cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long routers and connections have to leave pods that no longer serve. Default 2s.
    pub drain: Duration,
    /// How many rollouts may be in progress at the same time. Default: unlimited.
    pub concurrency: Concurrency,
    /// The metric sources that policies may use.
    pub prometheus: Prometheus,
    /// How to query the observed weight.
    pub router: Router,
    /// The webhooks that gates may call.
    pub webhooks: Vec<WebhookConfig>,
}

/// How to query the observed weight: the share of requests that the canary really gets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Router {
    /// The name of the Prometheus source. Default `default`.
    pub source: String,
    /// The query, with the variables of a policy's queries; its result is 0 to 1. If empty, no
    /// observed weight is queried.
    pub observed_weight: String,
}

impl Default for Router {
    fn default() -> Self {
        Self { source: "default".to_owned(), observed_weight: String::new() }
    }
}

/// How many rollouts may be in progress at the same time; further rollouts wait in a queue. A
/// rollback never waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Concurrency {
    /// In the whole cluster; 1 or more.
    pub cluster: Option<NonZeroUsize>,
    /// In each namespace; 1 or more.
    pub per_namespace: Option<NonZeroUsize>,
}

impl Concurrency {
    /// Returns the limits of the queue.
    pub fn limits(self) -> Limits {
        let Self { cluster, per_namespace } = self;
        Limits { cluster: cluster.map(NonZeroUsize::get), namespace: per_namespace.map(NonZeroUsize::get) }
    }
}

/// The Prometheus sources.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// The sources, which policies refer to by name.
    pub sources: Vec<SourceConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            drain: std::time::Duration::from_secs(2).into(),
            concurrency: Concurrency::default(),
            prometheus: Prometheus::default(),
            router: Router::default(),
            webhooks: Vec::new(),
        }
    }
}

impl Config {
    /// Returns `drain` for the engine.
    pub fn drain(&self) -> SignedDuration {
        std::time::Duration::from(self.drain).try_into().unwrap_or_default()
    }

    /// Returns `router` for the engine; `None` without a query.
    ///
    /// # Errors
    /// If the query is invalid.
    pub fn router(&self) -> Result<Option<engine::Router>, QueryError> {
        let Router { source, observed_weight } = &self.router;
        if observed_weight.trim().is_empty() {
            return Ok(None);
        }
        engine::Router::new(source, observed_weight).map(Some)
    }
}

/// Why the configuration is invalid.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {path}")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The content is invalid; the cause names line and column.
    #[error("the configuration file {path} is invalid")]
    Parse {
        /// The file.
        path: String,
        /// The cause, with its place.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Parses a configuration and checks its query; `path` is used for messages only.
pub fn parse(path: &str, text: &str) -> Result<Config, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Config::default());
    }
    let invalid = |source: String| ConfigError::Parse { path: path.to_owned(), source: source.into() };
    let config: Config = serde_saphyr::from_str(text).map_err(|source| invalid(source.to_string()))?;
    config.router().map_err(|source| invalid(format!("router.observedWeight: {source}")))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::webhook::Format;

    #[test]
    fn a_complete_configuration_is_parsed() {
        let text = "drain: 500ms\nprometheus:\n  sources:\n  - name: default\n    url: http://prometheus:9090/prefix\n    headers: {X-Scope-OrgID: a}\n    timeout: 3s\n";
        let config = parse("config.yaml", text).expect("a configuration");
        assert_eq!(config.drain(), SignedDuration::from_millis(500));
        assert_eq!(config.prometheus.sources[0].headers["X-Scope-OrgID"], "a");
    }

    #[test]
    fn webhooks_need_only_a_name_and_a_url() {
        let text = "webhooks:\n- {name: desk, url: 'https://desk/gate', keyFile: /k, timeout: 3s}\n- {name: old, url: 'http://old', format: flagger}\n";
        let [desk, old] = &parse("c", text).expect("a configuration").webhooks[..] else { unreachable!() };
        assert_eq!((desk.format, desk.headers.len()), (Format::Steelyard, 0));
        assert_eq!((old.format, &old.key_file), (Format::Flagger, &None));
        let error = parse("c", "webhooks:\n- {name: desk}\n").expect_err("no url");
        assert!(crate::cluster::chain(&error).contains("url"), "{error}");
        let error =
            parse("c", "webhooks:\n- {name: desk, url: 'http://a', key: abc}\n").expect_err("an inline key");
        assert!(crate::cluster::chain(&error).contains("key"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_reported_with_its_line() {
        let error =
            parse("config.yaml", "drain: 2s\nprometheus:\n  source: []\n").expect_err("an unknown field");
        let line = crate::cluster::chain(&error);
        assert!(line.contains("source") && line.contains("line 3"), "{line}");
    }

    #[test]
    fn the_router_is_queried_only_with_a_query_and_an_invalid_query_is_an_error() {
        let router = |text| parse("c", text).expect("a configuration").router().expect("a query");
        assert_eq!(router("drain: 1s\n"), None);
        let share = engine::Router::new("default", "vector(0.5)").expect("a query");
        assert_eq!(router("router: {observedWeight: 'vector(0.5)'}\n"), Some(share));
        let error =
            parse("c", "router: {observedWeight: 'sum($unknown)'}\n").expect_err("an unknown variable");
        assert!(crate::cluster::chain(&error).contains("router.observedWeight"), "{error}");
    }

    #[test]
    fn an_empty_configuration_has_a_drain_of_two_seconds_and_no_sources() {
        let config = parse("config.yaml", "\n").expect("a configuration");
        assert_eq!(config.drain(), SignedDuration::from_secs(2));
        assert!(config.prometheus.sources.is_empty());
    }
}
