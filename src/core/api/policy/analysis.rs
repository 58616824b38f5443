//! The metrics of a policy, and how their values become verdicts.

use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::span;

/// The metrics that decide on each step.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// The time after a change of the weight before the first measurement, at most 720h.
    #[serde(default = "thirty_seconds")]
    #[schemars(schema_with = "span::any")]
    pub settle: Duration,
    /// The time between two measurements of a metric without an interval of its own, 1s to 720h.
    /// Where it is shorter than the longest range of a query, several measurements see the same
    /// burst of errors.
    #[serde(default = "a_minute")]
    #[schemars(schema_with = "span::some")]
    pub interval: Duration,
    /// The name of the Prometheus source, from the configuration of Steelyard, for metrics that
    /// name none. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub source: Option<String>,
    /// What happens when the verdict of a metric is Inconclusive: more than `inconclusiveLimit`
    /// such measurements in a row. Also when a step reaches its `deadline` before every metric
    /// passes.
    #[serde(default)]
    pub on_inconclusive: WithoutVerdict,
    /// What happens when the verdict of a metric is Error: more than `errorLimit` errors of its
    /// source in a row.
    #[serde(default)]
    pub on_error: WithoutVerdict,
    /// The metrics, at most 32, each with its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<Metric>,
}

/// What happens when a step has no verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum WithoutVerdict {
    /// The weight stays as it is, and the Rollout reports the reason.
    #[default]
    Wait,
    /// All traffic returns to stable.
    RollBack,
    /// The step ends as if it had passed, once its duration is over.
    Continue,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
// A default lets `policy check` find the other errors where one of them is missing.
#[schemars(extend("required" = ["name", "query"]))]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("a query needs min, max or both"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min must not be above max"))]
pub struct Metric {
    /// The name of the metric, unique in the policy, at most 63 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The name of the Prometheus source, from the configuration of Steelyard. Default:
    /// `analysis.source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub source: Option<String>,
    /// The time between two measurements, 1s to 720h. Default: `analysis.interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub interval: Option<Duration>,
    /// A `PromQL` query that returns one number, with variables such as `$canary_pods`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// The smallest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The number of measurements in a step that may fail. One more failure rolls back. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub failure_limit: Option<u32>,
    /// The number of measurements in a row that may fail. One more failure rolls back. Default: no
    /// such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub consecutive_failure_limit: Option<u32>,
    /// The number of measurements in a row that may be Inconclusive (no series, NaN, an infinity,
    /// or too few requests) before the metric is Inconclusive. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub inconclusive_limit: Option<u32>,
    /// The number of measurements in a row that may end in an error of the source before the
    /// verdict of the metric is Error. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub error_limit: Option<u32>,
    /// The minimum number of measurements with a value that a step needs. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_measurements: Option<u32>,
    /// The result of a measurement without data (no series, or NaN).
    #[serde(default)]
    pub no_data: NoData,
    /// The minimum number of requests behind a measurement. With fewer requests it is Inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
    /// The maximum age of the newest sample, sent to Prometheus as `lookback_delta`. Default: the
    /// setting of the source (2m). An instant selector reads back so far: its measurements count
    /// only after this time in the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub max_sample_age: Option<Duration>,
    /// How a result of several series becomes one value.
    #[serde(default)]
    pub series: Series,
    /// How a result with a warning (partial data) is treated.
    #[serde(default)]
    pub on_warnings: OnWarnings,
    /// The timeout of the query, at most that of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub timeout: Option<Duration>,
    /// Whether the metric is only measured and reported. It then never affects the rollout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The pods that the query measures. A query for the canary must use `$canary_pods`,
    /// `$canary_hash` or `$canary_service`.
    #[serde(default)]
    pub scope: Scope,
}

/// The pods that a query measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Scope {
    /// The canary.
    #[default]
    Canary,
    /// Both versions together.
    Deployment,
}

/// The result of a measurement without data. Never a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum NoData {
    /// The measurement is Inconclusive: the weight stays, and the Rollout reports the reason.
    #[default]
    Inconclusive,
    /// The measurement fails, once the step has lasted as long as the range of the query.
    Fail,
}

/// How several series become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Series {
    /// More than one series is an error.
    #[default]
    One,
    /// Every series must be within the bounds.
    All,
    /// At least one series must be within the bounds.
    Any,
    /// The largest value is used.
    Max,
    /// The smallest value is used.
    Min,
    /// The sum of all values is used.
    Sum,
}

/// How a result with a warning is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnWarnings {
    /// It is an error.
    #[default]
    Error,
    /// Its value is used.
    Ignore,
}

/// The minimum number of requests behind a measurement.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Samples {
    /// A `PromQL` query that returns the number of requests.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// The minimum number. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            settle: thirty_seconds(),
            interval: a_minute(),
            source: None,
            on_inconclusive: WithoutVerdict::default(),
            on_error: WithoutVerdict::default(),
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
