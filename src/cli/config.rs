//! The operator's configuration file.

use std::num::NonZeroUsize;

use jiff::SignedDuration;
use kube::core::Duration;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    cluster::slots::Limits,
    engine,
    policy::template,
    sources::{prometheus::SourceConfig, webhook::WebhookConfig},
};

/// What the operator decides for the whole cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long routers and connections get to leave what no longer serves. Default 2s.
    pub drain: Duration,
    /// How many rollouts may be in flight at a time. Default: as many as there are.
    pub concurrency: Concurrency,
    /// Where policies may look.
    pub prometheus: Prometheus,
    /// How to ask the router what share of the requests the canary gets.
    pub router: Router,
    /// What gates may ask, by name.
    pub webhooks: Vec<WebhookConfig>,
}

/// How to ask the router what share of the requests the canary gets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// The name of the Prometheus source. Default `default`.
    pub source: String,
    /// The query, with the variables of a policy's queries, that answers with 0 to 1. Without one the router isn't asked.
    pub share: String,
}

impl Default for Router {
    fn default() -> Self {
        Self { source: "default".to_owned(), share: String::new() }
    }
}

/// How many rollouts may be in flight at a time; those above it wait in a queue. A way back never waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Concurrency {
    /// In the whole cluster; 1 or more.
    pub cluster: Option<NonZeroUsize>,
    /// In each namespace; 1 or more.
    pub per_namespace: Option<NonZeroUsize>,
}

impl Concurrency {
    /// As the queue takes it.
    pub fn limits(self) -> Limits {
        let Self { cluster, per_namespace } = self;
        Limits { cluster: cluster.map(NonZeroUsize::get), namespace: per_namespace.map(NonZeroUsize::get) }
    }
}

/// Where policies may look.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// The sources, which policies name.
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
    /// `drain` as the engine takes it.
    pub fn drain(&self) -> SignedDuration {
        std::time::Duration::from(self.drain).try_into().unwrap_or_default()
    }

    /// `router` as the engine takes it.
    pub fn router(&self) -> Option<engine::Router> {
        let Router { source, share } = self.router.clone();
        (!share.trim().is_empty()).then_some(engine::Router { source, share })
    }
}

/// Why the configuration can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It isn't a configuration; the cause names line and column.
    #[error("{path} is not a configuration")]
    Parse {
        /// The file.
        path: String,
        /// Where and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reads a configuration, and whether its query is one; `path` is for the message only.
pub fn parse(path: &str, text: &str) -> Result<Config, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Config::default());
    }
    let wrong = |source: String| ConfigError::Parse { path: path.to_owned(), source: source.into() };
    let config: Config = serde_saphyr::from_str(text).map_err(|source| wrong(source.to_string()))?;
    if let Some(router) = config.router() {
        template::check(&router.share).map_err(|source| wrong(format!("router.share: {source}")))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::webhook::Format;

    #[test]
    fn a_whole_configuration_is_read() {
        let text = "drain: 500ms\nprometheus:\n  sources:\n  - name: default\n    url: http://prometheus:9090/prefix\n    headers: {X-Scope-OrgID: a}\n    timeout: 3s\n";
        let config = parse("config.yaml", text).expect("a configuration");
        assert_eq!(config.drain(), SignedDuration::from_millis(500));
        assert_eq!(config.prometheus.sources[0].headers["X-Scope-OrgID"], "a");
    }

    #[test]
    fn webhooks_have_a_name_and_a_url_and_the_rest_by_default() {
        let text = "webhooks:\n- {name: desk, url: 'https://desk/gate', keyFile: /k, timeout: 3s}\n- {name: old, url: 'http://old', format: flagger}\n";
        let [desk, old] = &parse("c", text).expect("a configuration").webhooks[..] else { unreachable!() };
        assert_eq!((desk.format, desk.headers.len()), (Format::Steelyard, 0));
        assert_eq!((old.format, &old.key_file), (Format::Flagger, &None));
        let error = parse("c", "webhooks:\n- {name: desk}\n").expect_err("no url");
        assert!(crate::cluster::chain(&error).contains("url"), "{error}");
        let error = parse("c", "webhooks:\n- {name: desk, url: 'http://a', key: abc}\n")
            .expect_err("a key in the open");
        assert!(crate::cluster::chain(&error).contains("key"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_an_error_with_its_place() {
        let error =
            parse("config.yaml", "drain: 2s\nprometheus:\n  source: []\n").expect_err("an unknown field");
        let line = crate::cluster::chain(&error);
        assert!(line.contains("source") && line.contains("line 3"), "{line}");
    }

    #[test]
    fn a_router_is_asked_only_with_a_query_and_a_wrong_one_is_told() {
        assert_eq!(parse("c", "drain: 1s\n").expect("a configuration").router(), None);
        let router = parse("c", "router: {share: 'vector(0.5)'}\n").expect("a configuration").router();
        assert_eq!(router.map(|router| router.source).as_deref(), Some("default"));
        let error = parse("c", "router: {share: 'sum($nobody)'}\n").expect_err("an unknown variable");
        assert!(crate::cluster::chain(&error).contains("router.share"), "{error}");
    }

    #[test]
    fn nothing_said_means_two_seconds_and_no_sources() {
        let config = parse("config.yaml", "\n").expect("a configuration");
        assert_eq!(config.drain(), SignedDuration::from_secs(2));
        assert!(config.prometheus.sources.is_empty());
    }
}
