//! `--prometheus`: what the queries of policies return now, about the version that serves now.

use std::{collections::BTreeMap, fmt, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::found::Found;
use crate::{
    analysis::{Measurement, Outcome},
    policy::{
        Valid,
        template::{self, Variables},
        valid,
    },
    sources::prometheus::{Source, SourceConfig},
};

/// Whom to ask, and about what.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// Also run the queries on this Prometheus, and show what they return now.
    #[arg(long, value_name = "URL", requires = "deployment")]
    prometheus: Option<String>,
    /// The Deployment that the queries are about. The version that serves now stands for canary and stable alike.
    #[arg(long, value_name = "NAME", requires = "prometheus")]
    deployment: Option<String>,
    /// Its namespace.
    #[arg(long, short, value_name = "NAME", default_value = "default", requires = "prometheus")]
    namespace: String,
    /// Its Service; else of the same name.
    #[arg(long, value_name = "NAME", requires = "prometheus")]
    service: Option<String>,
    /// The value of label pod-template-hash of its pods, for queries that name it.
    #[arg(long, value_name = "HASH", requires = "prometheus")]
    hash: Option<String>,
    /// A header to send, such as `Authorization: Bearer ...`; may be given several times.
    #[arg(long, value_name = "NAME: VALUE", requires = "prometheus")]
    header: Vec<String>,
    /// How many seconds an answer may take.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300), requires = "prometheus")]
    timeout: u64,
}

/// What one query returned.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    file: String,
    line: usize,
    policy: String,
    metric: String,
    query: String,
    outcome: Outcome,
    /// What a look would make of it: `pass`, `fail`, `inconclusive` or `error`.
    would: &'static str,
}

impl Answer {
    /// Whether the query itself may be wrong.
    pub(super) fn wrong(&self) -> bool {
        self.would == "error"
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, policy, metric, query, outcome, would } = self;
        let said = match outcome {
            Outcome::Value(value) => value.to_string(),
            Outcome::NoData => "no data".to_owned(),
            Outcome::NonFinite => "not a finite number".to_owned(),
            Outcome::TooFew { found, wanted } => format!("{found} requests, {wanted} are wanted"),
            Outcome::Error { class, message } => format!("{class}: {message}"),
        };
        let query = query.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(f, "{file}:{line}: {policy}: {metric}: {said}: {would}\n    {query}")
    }
}

/// Runs each query of each policy that can be run.
///
/// # Errors
/// What is wrong with the flags.
pub(super) async fn all(options: &Asked, policies: &[Found]) -> Result<Vec<Answer>, String> {
    let (Some(url), Some(deployment)) = (&options.prometheus, &options.deployment) else {
        return Ok(Vec::new());
    };
    let source = Source::new(&config(url, options)?).map_err(|error| crate::cluster::chain(&error))?;
    let mut answers = Vec::new();
    for found in policies {
        let Some(Ok(valid)) = found.spec.as_ref().map(valid) else { continue };
        for (index, metric) in valid.metrics.iter().enumerate() {
            let names_hash = ["$canary_hash", "${canary_hash}", "$stable_hash", "${stable_hash}"];
            if options.hash.is_none() && names_hash.iter().any(|name| metric.query.contains(name)) {
                return Err(format!("metric {} names a hash: give one with --hash", metric.name));
            }
            let query = template::render(&metric.query, &variables(options, deployment, &valid))
                .map_err(|error| error.to_string())?;
            let mut terms = metric.terms.clone();
            if let Some(samples) = &mut terms.samples {
                samples.query = template::render(&samples.query, &variables(options, deployment, &valid))
                    .map_err(|error| error.to_string())?;
            }
            let outcome = source.ask_on(&query, Timestamp::now(), &terms).await;
            let would = match metric.measure(&outcome) {
                Measurement::Pass => "pass",
                Measurement::Fail => "fail",
                Measurement::Inconclusive(_) => "inconclusive",
                Measurement::Error(_) => "error",
            };
            answers.push(Answer {
                file: found.file.clone(),
                line: found.document.key_at(&format!("spec.analysis.metrics[{index}].query")).line,
                policy: found.told(),
                metric: metric.name.clone(),
                query,
                outcome,
                would,
            });
        }
    }
    Ok(answers)
}

fn config(url: &str, options: &Asked) -> Result<SourceConfig, String> {
    let mut headers = BTreeMap::new();
    for header in &options.header {
        let (name, value) =
            header.split_once(':').ok_or("a header is given as NAME: VALUE; one has no colon")?;
        headers.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    let timeout = Duration::from_secs(options.timeout).into();
    Ok(SourceConfig { headers, timeout, ..SourceConfig::new("--prometheus", url) })
}

fn variables(options: &Asked, deployment: &str, valid: &Valid) -> Variables {
    let service = options.service.clone().unwrap_or_else(|| deployment.to_owned());
    let hash = options.hash.clone().unwrap_or_default();
    // The Deployment's pods, of whichever version: NAME-HASH-RANDOM.
    let pods = match &options.hash {
        Some(hash) => template::pod_pattern(&format!("{deployment}-{hash}")),
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
        interval: format!("{}ms", valid.interval.as_millis()),
    }
}
