//! `RolloutPolicy` and `ClusterRolloutPolicy`: how to roll out.

// `KubeSchema` repeats each struct in a function of its own, where `pub` reaches nobody.
#![allow(unreachable_pub)]
use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the Deployments of one namespace roll out.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "steelyard.io",
    version = "v1alpha1",
    kind = "RolloutPolicy",
    namespaced,
    derive = "PartialEq",
    category = "steelyard",
    doc = "How Deployments of this namespace roll out"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutPolicySpec {
    /// How traffic moves to the new version. Exactly one strategy.
    pub strategy: Strategy,
    /// What routes traffic: exactly one way.
    pub traffic: Traffic,
    /// What is measured. Without it a step passes when its hold is over.
    #[serde(default)]
    pub analysis: Analysis,
    /// What becomes of the Deployment's template after a failure.
    #[serde(default)]
    pub on_fail: OnFail,
    /// How long pods may take to become ready, and a step to reach its verdicts. Default 10m.
    #[serde(default = "ten_minutes")]
    pub deadline: Duration,
    /// How long a revision that was Complete may be gone back to without steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<Duration>,
}

/// How Deployments of any namespace may roll out.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "steelyard.io",
    version = "v1alpha1",
    kind = "ClusterRolloutPolicy",
    derive = "PartialEq",
    category = "steelyard",
    doc = "How Deployments of any namespace may roll out"
)]
#[serde(transparent)]
pub struct ClusterRolloutPolicySpec(pub RolloutPolicySpec);

/// How traffic moves to the new version. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.canary) != has(self.blueGreen)").message("set exactly one of canary and blueGreen"))]
pub struct Strategy {
    /// In steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// In one switch. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
}

/// Traffic in steps.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// The steps, 1 to 32, their weights rising.
    #[schemars(length(min = 1, max = 32))]
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// The canary's share of the traffic, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<u8>,
    /// How long the step lasts at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// The canary's size in percent of the Deployment's. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<String>,
    /// Only these requests. Not served yet.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,
    /// Copies of requests, in percent. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror: Option<u8>,
    /// A wait for a named thing. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// Which requests go to the canary beside its weight.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// A header they carry.
    pub header: NameValue,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A step that waits. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// For a time of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// For an endpoint that the operator's configuration names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

/// A person's gate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// What to look at.
    pub message: String,
}

/// A time of the week.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Days, such as `Mon-Fri`.
    pub days: Vec<String>,
    /// From, `HH:MM`.
    pub from: String,
    /// To, `HH:MM`.
    pub to: String,
    /// IANA time zone.
    pub zone: String,
}

/// Traffic in one switch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueGreen {
    /// The preview's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What happens before the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Hold>,
    /// A wait before the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// What happens after the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Hold>,
    /// How long stable stays warm after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_stable: Option<Duration>,
}

/// The preview's size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// In percent of the Deployment's replicas.
    pub replicas: String,
}

/// A time to measure in.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// At least this long.
    pub hold: Duration,
}

/// What routes traffic. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.gatewayAPI), has(self.istio), has(self.traefik), has(self.ingress), has(self.service)].filter(x, x).size() == 1").message("set exactly one of gatewayAPI, istio, traefik, ingress and service"))]
pub struct Traffic {
    /// The `HTTPRoute` that names the Service.
    #[serde(default, rename = "gatewayAPI", skip_serializing_if = "Option::is_none")]
    pub gateway_api: Option<GatewayApi>,
    /// Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istio: Option<Unserved>,
    /// Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traefik: Option<Unserved>,
    /// Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Unserved>,
    /// Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Unserved>,
}

/// Routes of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayApi {
    /// `HTTPRoutes` by name; without names those that name the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

/// A field that is kept for later.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unserved {}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Analysis {
    /// How long after a weight has changed nothing is measured. Default 30s.
    #[serde(default = "thirty_seconds")]
    pub settle: Duration,
    /// The time between two looks. Default 60s.
    #[serde(default = "a_minute")]
    pub interval: Duration,
    /// Which of the operator's Prometheus sources. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The metrics, 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub metrics: Vec<Metric>,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.query), has(self.compare), has(self.preset)].filter(x, x).size() == 1").message("set exactly one of query, compare and preset"))]
#[x_kube(validation = Rule::new("!has(self.query) || has(self.min) || has(self.max)").message("a query needs min, max or both"))]
pub struct Metric {
    /// Its name, one of a kind in the policy.
    #[serde(default)]
    pub name: String,
    /// `PromQL`, with variables such as `$canary_pods`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The smallest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How many looks of a step may fail. Default 1: the second one fails the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<u32>,
    /// How many looks in a row may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive_failure_limit: Option<u32>,
    /// How many looks a step needs at least. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_measurements: Option<u32>,
    /// Canary against stable. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// A shipped query. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// What the query speaks of.
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

/// Canary against stable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compare {
    /// Counter of errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// Counter of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
    /// Histogram of durations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
}

/// What becomes of the Deployment's template after a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnFail {
    /// It stays, held.
    #[default]
    #[serde(rename = "hold")]
    Hold,
    /// Stable's template is written back. Not served yet.
    #[serde(rename = "revert")]
    Revert,
}

impl Default for Analysis {
    fn default() -> Self {
        Self { settle: thirty_seconds(), interval: a_minute(), source: None, metrics: Vec::new() }
    }
}

fn ten_minutes() -> Duration {
    std::time::Duration::from_mins(10).into()
}
fn thirty_seconds() -> Duration {
    std::time::Duration::from_secs(30).into()
}
fn a_minute() -> Duration {
    std::time::Duration::from_mins(1).into()
}
