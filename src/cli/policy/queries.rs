//! `--prometheus`: runs the queries of policies for the version that serves now.

use std::{collections::BTreeMap, fmt, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::found::Found;
use crate::{
    analysis::{Measurement, Outcome},
    policy::{
        Request,
        query::{self, Variable, Variables},
    },
    sources::prometheus::{Source, SourceConfig},
};

/// The flags for running queries.
#[derive(Debug, Args)]
pub(super) struct QueryOptions {
    /// URL of a Prometheus that also runs the queries
    #[arg(long, value_name = "URL", requires = "deployment")]
    prometheus: Option<String>,
    /// Deployment for the variables of the queries; its current version is used as canary and as
    /// stable
    #[arg(long, value_name = "NAME", requires = "prometheus")]
    deployment: Option<String>,
    /// Namespace of the Deployment
    #[arg(long, short, value_name = "NAME", default_value = "default", requires = "prometheus")]
    namespace: String,
    /// Service of the Deployment; default: the name of the Deployment
    #[arg(long, value_name = "NAME", requires = "prometheus")]
    service: Option<String>,
    /// Value of the label pod-template-hash of its pods, for queries that use it
    #[arg(long, value_name = "HASH", requires = "prometheus")]
    hash: Option<String>,
    /// Header to send, such as `Authorization: Bearer ...`; can be repeated
    #[arg(long, value_name = "NAME: VALUE", requires = "prometheus")]
    header: Vec<String>,
    /// Timeout of a query, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300), requires = "prometheus")]
    timeout: u64,
}

/// One query and its measurement.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    file: String,
    line: usize,
    policy: String,
    metric: String,
    query: String,
    outcome: Outcome,
    /// The result of the measurement: `pass`, `fail`, `inconclusive` or `error`.
    result: &'static str,
}

impl Answer {
    /// Returns whether the query failed.
    pub(super) fn wrong(&self) -> bool {
        self.result == "error"
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, policy, metric, query, outcome, result } = self;
        let value = match outcome {
            Outcome::Value(value) => value.to_string(),
            Outcome::NoData => "no data".to_owned(),
            Outcome::NonFinite => "not a finite number".to_owned(),
            Outcome::TooFew { found, wanted } => format!("{found} requests, {wanted} required"),
            Outcome::Error { class, message } => format!("{class}: {message}"),
        };
        let query = query.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(f, "{file}:{line}: {policy}: {metric}: {value}: {result}\n    {query}")
    }
}

/// Runs the queries of the valid policies.
///
/// # Errors
/// If the flags are invalid.
pub(super) async fn all(options: &QueryOptions, policies: &[Found]) -> Result<Vec<Answer>, String> {
    let (Some(url), Some(deployment)) = (&options.prometheus, &options.deployment) else {
        return Ok(Vec::new());
    };
    let source = Source::new(&config(url, options)?).map_err(|error| crate::cluster::chain(&error))?;
    let mut answers = Vec::new();
    for found in policies {
        let Some(policy) = &found.policy else { continue };
        for (index, metric) in policy.metrics.iter().enumerate() {
            let query = metric.source.query();
            if options.hash.is_none() && query.names_any(&[Variable::CanaryHash, Variable::StableHash]) {
                return Err(format!("the query of metric {} uses a hash: set --hash", metric.name));
            }
            let request = metric.source.request(&variables(options, deployment));
            let outcome = match &request {
                Request::Prometheus(request) => source.measure(request, Timestamp::now()).await,
            };
            let result = match metric.measure(&outcome) {
                Measurement::Pass => "pass",
                Measurement::Fail => "fail",
                Measurement::Inconclusive(_) => "inconclusive",
                Measurement::Error(_) => "error",
            };
            answers.push(Answer {
                file: found.file.clone(),
                line: found.document.key_at(&format!("spec.analysis.metrics[{index}].query")).line,
                policy: found.title(),
                metric: metric.name.clone(),
                query: request.text().to_owned(),
                outcome,
                result,
            });
        }
    }
    Ok(answers)
}

fn config(url: &str, options: &QueryOptions) -> Result<SourceConfig, String> {
    let mut headers = BTreeMap::new();
    for header in &options.header {
        let (name, value) = header.split_once(':').ok_or("--header must have the form NAME: VALUE")?;
        headers.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    let timeout = Duration::from_secs(options.timeout).into();
    Ok(SourceConfig { headers, timeout, ..SourceConfig::new("--prometheus", url) })
}

fn variables(options: &QueryOptions, deployment: &str) -> Variables {
    let service = options.service.clone().unwrap_or_else(|| deployment.to_owned());
    let hash = options.hash.clone().unwrap_or_default();
    // The pods of all versions of the Deployment: NAME-HASH-RANDOM.
    let pods = match &options.hash {
        Some(hash) => query::pod_pattern(&format!("{deployment}-{hash}")),
        None => format!("{}-[0-9a-z]+-[0-9a-z]{{5}}", deployment.replace('.', "[.]")),
    };
    Variables {
        namespace: options.namespace.clone(),
        deployment: deployment.to_owned(),
        canary_service: service.clone(),
        service,
        canary_pods: pods.clone(),
        stable_pods: pods,
        canary_hash: hash.clone(),
        stable_hash: hash,
    }
}
