//! What is measured, and how a number becomes a verdict.

use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::span;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Analysis {
    /// How long after a weight has changed nothing is measured, up to 720h.
    #[serde(default = "thirty_seconds")]
    #[schemars(schema_with = "span::any")]
    pub settle: Duration,
    /// The time between two looks, 1s to 720h. Shorter than the longest range of a query, one burst is seen by several looks.
    #[serde(default = "a_minute")]
    #[schemars(schema_with = "span::some")]
    pub interval: Duration,
    /// Which of the operator's Prometheus sources. Default: default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub source: Option<String>,
    /// What a step does that found nothing to compare for too long.
    #[serde(default)]
    pub on_inconclusive: Unclear,
    /// What a step does whose metrics source failed for too long.
    #[serde(default)]
    pub on_error: Unclear,
    /// The metrics, 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(m, m.name == '' || self.exists_one(n, n.name == m.name))").message("each metric needs a name of its own"))]
    pub metrics: Vec<Metric>,
}

/// What a step does without a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Unclear {
    /// The weight stays where it is, and the Rollout says why.
    #[default]
    #[serde(rename = "hold")]
    Hold,
    /// Traffic goes back.
    #[serde(rename = "fail")]
    Fail,
    /// The step ends as if it had passed, once its hold is over.
    #[serde(rename = "continue")]
    Continue,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.query), has(self.compare), has(self.preset)].filter(x, x).size() == 1").message("set exactly one of query, compare and preset"))]
#[x_kube(validation = Rule::new("!has(self.query) || self.name != ''").message("a query needs a name"))]
#[x_kube(validation = Rule::new("!has(self.query) || has(self.min) || has(self.max)").message("a query needs min, max or both"))]
#[x_kube(validation = Rule::new("!has(self.compare) || !(has(self.min) || has(self.max))").message("a comparison has neither min nor max"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min must not be above max"))]
pub struct Metric {
    /// Its name, one of a kind in the policy; 63 characters at most.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub name: String,
    /// `PromQL` that gives one number, with variables such as `$canary_pods`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub query: Option<String>,
    /// The smallest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How many looks of a step may fail; one more takes the traffic back. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub failure_limit: Option<u32>,
    /// How many looks may fail without one that passes in between; one more takes the traffic back. Default: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub consecutive_failure_limit: Option<u32>,
    /// How many looks in a row may find nothing to compare (no series, NaN, an infinity) before the step says Inconclusive. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub inconclusive_limit: Option<u32>,
    /// How many looks in a row may meet an error of the source before the step says Error. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub error_limit: Option<u32>,
    /// How many looks with a number a step needs at least. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_measurements: Option<u32>,
    /// What a look without data (no series, NaN) counts as.
    #[serde(default)]
    pub no_data: NoData,
    /// How many requests there must have been for a look to count; fewer are Inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
    /// How old the newest sample may be; else what the operator says of the source (2m). Sent to Prometheus as `lookback_delta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub max_sample_age: Option<Duration>,
    /// How an answer of several series becomes one number.
    #[serde(default)]
    pub series: Series,
    /// What an answer with a warning (partial data) counts as.
    #[serde(default)]
    pub on_warnings: OnWarnings,
    /// How long an answer may take, at most as long as the operator says of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub timeout: Option<Duration>,
    /// Canary against stable. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// A shipped query. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub preset: Option<String>,
    /// What the query speaks of. One of the canary must name `$canary_pods`, `$canary_hash` or `$canary_service`.
    #[serde(default)]
    pub scope: Scope,
}

/// What a query speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Scope {
    /// The canary.
    #[default]
    #[serde(rename = "canary")]
    Canary,
    /// Both versions together.
    #[serde(rename = "deployment")]
    Deployment,
}

/// What a look without data counts as. Never as a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum NoData {
    /// As nothing: the weight stays, and the Rollout says why.
    #[default]
    #[serde(rename = "inconclusive")]
    Inconclusive,
    /// As a failed look, once the step has been measured for as long as the query looks back.
    #[serde(rename = "fail")]
    Fail,
}

/// How several series become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Series {
    /// Not at all: more than one is an error.
    #[default]
    #[serde(rename = "one")]
    One,
    /// Each must be within the bounds.
    #[serde(rename = "all")]
    All,
    /// One must be within the bounds.
    #[serde(rename = "any")]
    Any,
    /// The largest counts.
    #[serde(rename = "max")]
    Max,
    /// The smallest counts.
    #[serde(rename = "min")]
    Min,
    /// Their sum counts.
    #[serde(rename = "sum")]
    Sum,
}

/// What an answer with a warning counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnWarnings {
    /// As an error.
    #[default]
    #[serde(rename = "error")]
    Error,
    /// As the number it gives.
    #[serde(rename = "ignore")]
    Ignore,
}

/// How many requests there must have been.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Samples {
    /// `PromQL` that counts them.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// At least so many. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
}

/// Canary against stable: errors and requests, or a histogram.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.errors) == has(self.requests) && has(self.errors) != has(self.histogram)").message("set errors and requests, or histogram"))]
pub struct Compare {
    /// Counter of errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub errors: Option<String>,
    /// Counter of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub requests: Option<String>,
    /// Histogram of durations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub histogram: Option<String>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            settle: thirty_seconds(),
            interval: a_minute(),
            source: None,
            on_inconclusive: Unclear::default(),
            on_error: Unclear::default(),
            metrics: Vec::new(),
        }
    }
}

fn thirty_seconds() -> Duration {
    std::time::Duration::from_secs(30).into()
}
fn a_minute() -> Duration {
    std::time::Duration::from_mins(1).into()
}
