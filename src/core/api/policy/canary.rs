//! How traffic moves: in steps, or in one switch.

use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, span};

/// Traffic in steps.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// The steps, 1 to 32, their weights rising.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.filter(s, has(s.weight)).map(s, s.weight).isSorted() && self.filter(s, has(s.weight)).all(s, self.exists_one(t, has(t.weight) && t.weight == s.weight))").message("weights must rise from step to step"))]
    #[x_kube(validation = Rule::new("self.exists(s, has(s.weight))").message("at least one step needs a weight"))]
    pub steps: Vec<Step>,
    /// How long, after the last step, all traffic stays on the new version with stable at full scale beside it. Metrics go on
    /// being asked, and a failure returns everything at once; only then are the pods handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::any")]
    pub bake: Option<Duration>,
}

/// One step: a weight, or a match, a mirror or a gate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.weight), has(self.match), has(self.mirror), has(self.gate)].filter(x, x).size() == 1").message("a step is exactly one of weight, match, mirror and gate"))]
#[x_kube(validation = Rule::new("!has(self.gate) || !has(self.hold)").message("a gate has no hold: it lasts until it opens"))]
#[x_kube(validation = Rule::new("!has(self.replicas) || has(self.weight)").message("replicas go with a weight"))]
pub struct Step {
    /// The canary's share of the traffic, in percent: 1 to 100, more than in the step before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<u8>,
    /// How long the step lasts at least, up to 720h; it ends when this is over and each metric has its verdict. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::any")]
    pub hold: Option<Duration>,
    /// The canary's size in percent of the Deployment's, such as `50%`. Default: enough for the weight, at least one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.matches('^(100|[1-9][0-9]?)%$')").message("must be a percentage from 1% to 100%"))]
    pub replicas: Option<String>,
    /// Only these requests, beside the weight. Not served yet.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,
    /// Copies of requests, in percent. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror: Option<u8>,
    /// A wait for a named thing.
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
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its value.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// Traffic in one switch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueGreen {
    /// The preview: the new version behind the canary Service, before anybody else is sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What is measured before the switch, on the traffic that the preview is given. Without it the switch comes as soon as
    /// the preview's pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Hold>,
    /// A wait before the switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// How long is measured after the switch, at least. Default: until each metric has its verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Hold>,
    /// How long stable then stays at full scale, warm, while metrics go on being asked; a failure returns everything at
    /// once, and only then are the pods handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::any")]
    pub keep_stable: Option<Duration>,
}

/// The preview's size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// In percent of the Deployment's replicas, such as `50%`; all of them start before the switch. Default: `100%`.
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.matches('^(100|[1-9][0-9]?)%$')").message("must be a percentage from 1% to 100%"))]
    pub replicas: String,
}

/// A time to measure in.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// At least this long.
    #[schemars(schema_with = "span::any")]
    pub hold: Duration,
}
