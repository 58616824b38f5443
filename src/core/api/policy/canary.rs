//! How traffic moves: in steps, or in one switch.

use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, share, span};
use crate::traffic::Weight;

/// Traffic moves in steps.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The steps, 1 to 32. Each weight is above the one before it.
    // No CEL rule compares weights: the API server estimates the text of an int-or-string field to
    // be as long as a request, and rejects every rule that reads it as too expensive.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.exists(s, has(s.weight))").message("at least one step needs a weight"))]
    pub steps: Vec<Step>,
    /// How long all traffic stays on the canary after the last step, with stable at full scale. The
    /// metrics are still evaluated, and a failure returns all traffic at once. The handover starts
    /// afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::any")]
    pub bake: Option<Duration>,
}

/// One step: a weight or a gate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.weight) != has(self.gate)").message("a step is exactly one of weight and gate"))]
#[x_kube(validation = Rule::new("!has(self.gate) || !has(self.duration)").message("a gate has no duration: it lasts until it opens"))]
#[x_kube(validation = Rule::new("!has(self.replicas) || has(self.weight)").message("replicas requires a weight"))]
pub struct Step {
    /// The canary's share of the traffic, above the weight of the step before: a whole percentage
    /// such as 25, or a string with one decimal place such as `0.5%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "share::some")]
    pub weight: Option<Weight>,
    /// The minimum time that the step lasts, at most 720h. The step ends when its duration is over
    /// and every metric passes. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::any")]
    pub duration: Option<Duration>,
    /// The canary's replicas as a percentage of the Deployment's, such as `50%`; at least the
    /// percentage of the weight, and of the steps before. Default: the percentage of the weight or
    /// of the steps before, at least one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.matches('^(100|[1-9][0-9]?)%$')").message("must be a percentage from 1% to 100%"))]
    pub replicas: Option<String>,
    /// A wait for a person, a time window or a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// All traffic moves in one switch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// The preview: the canary behind the canary Service, before it gets any other traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// Evaluates the metrics before the switch, on the traffic that the preview gets. Without this
    /// field, traffic switches as soon as the preview's pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Measured>,
    /// A wait before the switch, for a person, a time window or a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Evaluates the metrics after the switch. Default: until every metric has a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Measured>,
    /// How long stable then stays at full scale. The metrics are still evaluated, and a failure
    /// returns all traffic at once. The handover starts afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::any")]
    pub keep_stable: Option<Duration>,
}

/// The size of the preview.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The preview's replicas as a percentage of the Deployment's, such as `50%`. The canary
    /// reaches full scale before the switch. Default: `100%`.
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.matches('^(100|[1-9][0-9]?)%$')").message("must be a percentage from 1% to 100%"))]
    pub replicas: String,
}

/// A step in which the metrics are evaluated.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The minimum time that the step lasts, at most 720h.
    #[schemars(schema_with = "span::any")]
    pub duration: Duration,
}
