//! `Rollout`: one object per annotated Deployment. People's intents in `spec`, all state in
//! `status`.

// `KubeSchema` repeats the struct inside a function, where `pub` has no effect.
#![allow(unreachable_pub)]
// Printed columns have the same type.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Lost;
use crate::{
    analysis::{Outcome, Tally},
    traffic::{Object, Original, RouterKind, Weight},
};

/// Intents of people for the rollout in progress. Each field names the revision that it is for, as
/// status.canary.revision does, so that an intent for another revision has no effect. `kubectl
/// steelyard` sets these fields.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "steelyard.io",
    version = "v1alpha1",
    kind = "Rollout",
    namespaced,
    shortname = "sro",
    category = "steelyard",
    status = "RolloutStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The state of the rollouts of one Deployment, which has the same name. Steelyard creates a Rollout for each Deployment with the annotation steelyard.io/policy. The spec holds intents of people; the status reports the progress, what the rollout waits for, and why",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Weight", type_ = "string", json_path = ".status.weight"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.tag"),
    printcolumn(name = "Canary", type_ = "string", json_path = ".status.canary.tag"),
    printcolumn(name = "Waiting", type_ = "string", json_path = ".status.waiting.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict", priority = 1),
    printcolumn(name = "Observed", type_ = "string", json_path = ".status.observedWeight", priority = 1),
    printcolumn(
        name = "Stable-Revision",
        type_ = "string",
        json_path = ".status.stable.revision",
        priority = 1
    ),
    printcolumn(
        name = "Canary-Revision",
        type_ = "string",
        json_path = ".status.canary.revision",
        priority = 1
    ),
    printcolumn(name = "Failure", type_ = "string", json_path = ".status.failure.reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.waiting.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Returns all traffic to stable and removes the canary. Takes precedence over every other
    /// field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Intent>,
    /// Keeps the current weight: no step ends and no weight rises. The metrics are still evaluated,
    /// and a failure still rolls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Intent>,
    /// Ends a step, or all of them, without waiting for its duration, its metrics or its gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Promote>,
    /// Starts another attempt at a revision that was rolled back. Remove the other intents for this
    /// revision in the same write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Lets the Deployment controller roll out the template natively, without measurements. For
    /// emergencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Intent>,
}

/// An intent for one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The revision that the intent is for: status.canary.revision; before the canary has one,
    /// status.templateHash.
    pub revision: String,
    /// The user who set the intent. Set by admission; other values are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An intent to end a step, or all of them. Exactly one of `step` and `full` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.step) != (has(self.full) && self.full)").message("set exactly one of step and full: true"))]
pub struct Promote {
    /// The revision that the intent is for: status.canary.revision; before the canary has one,
    /// status.templateHash.
    pub revision: String,
    /// The step to end, counted from 1. No effect when the rollout is at another step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub step: Option<u32>,
    /// Whether to end all steps: the canary is handed over once it is at full scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// The user who set the intent. Set by admission; other values are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An intent for another attempt at a revision that was rolled back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// The revision that the intent is for: status.canary.revision.
    pub revision: String,
    /// The number of the attempt: one more than status.attempt, 2 for the first retry. No effect
    /// for earlier numbers.
    #[schemars(range(min = 2))]
    pub attempt: u32,
    /// The user who set the intent. Set by admission; other values are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Where a rollout is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, strum::Display, strum::EnumIter, strum::EnumString,
)]
pub enum Phase {
    /// One version serves, and no rollout is in progress.
    #[default]
    Stable,
    /// A new template is held. The canary's pods start, without traffic.
    Preparing,
    /// The canary gets a share of the traffic, which rises with each step.
    Stepping,
    /// A step waits for a person, a time window or a webhook.
    Waiting,
    /// All steps are over. The canary's pods are handed over to the Deployment.
    Promoting,
    /// All traffic is back on stable. The canary is removed.
    RollingBack,
    /// Stable serves. The rejected template stays held and runs nowhere.
    RolledBack,
    /// A phase of a later version of Steelyard.
    Unknown,
}

impl<'de> Deserialize<'de> for Phase {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::Unknown))
    }
}

/// Any text: a later version may have more phases.
fn phase(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string"})
}

/// The progress of the rollout, what it waits for, and why. Written by Steelyard alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// The metadata.generation of this Rollout that the status describes.
    pub observed_generation: i64,
    /// The metadata.generation of the Deployment when the status was written. At least that of the
    /// push that the status describes.
    pub observed_deployment_generation: i64,
    /// A hash of the Deployment's pod template. Intents name it as long as the canary has no
    /// revision.
    pub template_hash: String,
    /// The leadership epoch of the controller that wrote this status. It grows with each new
    /// leader.
    pub epoch: u64,
    /// The phase: Stable, Preparing, Stepping, Waiting, Promoting, `RollingBack` or `RolledBack`.
    /// Later versions may have more.
    #[schemars(schema_with = "phase")]
    pub phase: Phase,
    /// The step, counted from 1; 0 before the first one. Absent when no rollout is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The number of steps. Absent when no rollout is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// The step and the number of steps, such as 2/4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The share of the traffic that the routes give to the canary, such as 25% or 0.5%.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// The share of the requests that the canary really gets, such as 24%. Absent where it is not
    /// measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<Weight>,
    /// The verdict of the metrics in this step: Pending, Pass, Fail, Inconclusive (no data) or
    /// Error (the source failed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What the rollout waits for. Absent when it waits for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The version that serves, and that all traffic returns to after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// The version that is being rolled out, or that was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Version>,
    /// The state of the rollout in progress. Absent when no rollout is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Why traffic returned to stable, with the evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The number of the attempt at this revision. Absent for the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The last rollouts that ended, at most ten, the most recent last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
    /// Accepted: the policy is valid, and the Services and routes fit. `HoldEnforced`: admission
    /// holds changes of the pod template. Progressing: a rollout is in progress. Healthy: nothing
    /// failed. Complete: the last template that was pushed serves, and nothing of the rollout is
    /// left. Ready and Stalled: the same for tools that know only these conditions.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One version of the Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// The revision: the value of the label pod-template-hash on its pods.
    pub revision: String,
    /// The name of its `ReplicaSet`.
    pub replica_set: String,
    /// The tag of its first image, or the start of its digest, shortened to 16 characters.
    pub tag: String,
    /// The metadata.generation of the Deployment when the template was pushed.
    pub generation: i64,
    /// A hash of its pod template, as in status.templateHash.
    pub template_hash: String,
}

/// A rollout that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Past {
    /// The revision.
    pub revision: String,
    /// The tag of its first image, or the start of its digest.
    pub tag: String,
    /// The revision that served before it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// A hash of the template that served before it, as in status.templateHash. Absent if that one
    /// only served because no other version could.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before_template: String,
    /// How it ended: Complete; `ServesAlone`, because no other version could serve; `RolledBack`; or
    /// Withdrawn, because the revision was no longer wanted.
    pub outcome: RolloutOutcome,
    /// The reason of the failure or of the withdrawal, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The gates that opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Opened>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum RolloutOutcome {
    /// Its pods were handed over.
    #[default]
    Complete,
    /// Its pods were handed over whatever its metrics, because it was the only version that served.
    ServesAlone,
    /// It failed or was aborted. Its template stayed held.
    RolledBack,
    /// The revision was no longer wanted.
    Withdrawn,
}

/// A wait of the rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Waiting {
    /// The reason in CamelCase, such as `Metrics`.
    pub reason: String,
    /// What the rollout waits for, in a sentence.
    pub message: String,
    /// When the wait started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the wait ends, or the deadline of what the rollout waits for. Absent when only a person
    /// or a change in the cluster ends the wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The state of a rollout in progress.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Trial {
    /// The policy's spec when the rollout started. Another version of Steelyard may have stored it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub policy: Option<serde_json::Value>,
    /// The Services that are pinned to one version during the rollout.
    pub services: Vec<String>,
    /// The Service whose traffic is shifted.
    pub service: String,
    /// The Service that selects the canary's pods.
    pub canary_service: String,
    /// The kind of router: Gateway API, or Services alone.
    pub router: RouterKind,
    /// Which objects are written to move traffic.
    pub shifting: Shifting,
    /// What the Services select: stable, both versions, or the canary.
    pub side: Side,
    /// The weight that was written last.
    pub given: Weight,
    /// Whether the rollout returns to a revision within the policy's rollbackWindow: no steps, one
    /// switch.
    pub returning: bool,
    /// The routes that the rollout shifts.
    pub routes: Vec<ShiftedRoute>,
    /// When the rollout started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The index of the step, counted from 0; `status.step` counts from 1.
    pub step: usize,
    /// When the weight of the step was written: the observed weight is that of requests since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_written_at: Option<Timestamp>,
    /// The weight before this step.
    pub weight_before: Weight,
    /// When the observed weight was queried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight_queried_at: Option<Timestamp>,
    /// When the router had accepted the weight of the step: its duration starts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_accepted_at: Option<Timestamp>,
    /// When the canary first got traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_since: Option<Timestamp>,
    /// The state of each metric in this step, by name.
    pub metrics: BTreeMap<String, MetricState>,
    /// The gates that opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Opened>,
    /// The webhook of this step's gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Since when the conditions that the step awaits are lost: their deadlines count from these
    /// times.
    #[serde(skip_serializing_if = "Lost::is_empty")]
    pub lost: Lost,
    /// The template as it was pushed, if admission changed it in the canary's `ReplicaSet`. Such a
    /// canary can be measured but not handed over; the Deployment controller then rolls out the
    /// template natively.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub native: Option<serde_json::Value>,
    /// Why the canary is handed over.
    #[serde(skip_serializing_if = "is_default")]
    pub promotion: Promotion,
    /// The stage of the handover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// The number of pods that the canary's `ReplicaSet` had when it was handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas_at_handover: Option<i32>,
    /// When the stage of the handover or of the rollback started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_since: Option<Timestamp>,
}

/// Why a canary is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Promotion {
    /// Its steps ended.
    #[default]
    Steps,
    /// It is the only version that serves.
    Alone,
}

/// Returns whether a field has the value that it has when it is absent.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What moves the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Shifting {
    /// The weights of routes. The Services stay pinned to stable until the handover.
    #[default]
    Route,
    /// The weights of routes; at 100 %, the Services as well.
    RouteAndServices,
    /// The Services alone: pinned to stable, to neither, or to the canary.
    Services,
}

/// The version that the Services select.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Side {
    /// Stable.
    #[default]
    Stable,
    /// Both versions; traffic is divided by the number of pods.
    Both,
    /// The canary.
    Canary,
}

/// A gate that opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Opened {
    /// The step of the gate, counted from 1.
    pub step: usize,
    /// What opened it: a user, a webhook, or its time window.
    pub by: String,
    /// When it opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The answer of the webhook: the status and the start of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// The calls of a gate's webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    /// The index of the step of the gate, counted from 0.
    pub step: usize,
    /// The name of the webhook in the configuration of Steelyard.
    pub webhook: String,
    /// The number of calls. Each is counted before it is sent.
    pub attempts: u32,
    /// The number of calls that the webhook refused or did not answer in time.
    pub refusals: u32,
    /// When the last call was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When the last call was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// The meaning of the last answer. Absent until there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The last answer: the status and the start of the body, or why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// The meaning of a webhook's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Approval {
    /// The gate opens.
    Approved,
    /// Or no answer in time. The gate stays closed.
    Refused,
    /// The webhook is not configured, or its key is missing. This never rolls back.
    NotCalled,
}

/// One metric in a step.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricState {
    /// The measurements so far.
    pub tally: Tally,
    /// When it was queried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// The last result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// Whether it is a dry run: reported, and never acted on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// When, in this step, it would have rolled back if it were not a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_have_failed: Option<Timestamp>,
}

/// A route that a rollout shifts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShiftedRoute {
    /// The kind of the route.
    pub kind: String,
    /// The namespace of the route.
    pub namespace: String,
    /// The name of the route.
    pub name: String,
    /// The route before the rollout.
    pub original: Original,
}

impl ShiftedRoute {
    /// Returns the record of a route.
    pub fn of(route: &Object, original: Original) -> Self {
        let kind = route.resource.kind.to_owned();
        Self { kind, namespace: route.meta.namespace.clone(), name: route.meta.name.clone(), original }
    }

    /// Returns whether this is the record of the route.
    pub fn is(&self, route: &Object) -> bool {
        (self.kind.as_str(), &self.namespace, &self.name)
            == (route.resource.kind, &route.meta.namespace, &route.meta.name)
    }
}

/// The current stage of the handover: what is being done. See docs/handover.md.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema, strum::EnumIter,
)]
pub enum Handover {
    /// The canary is scaled to full size and gets all traffic.
    ScalingUp,
    /// The Services select both versions.
    Widening,
    /// The Services select the canary; stable drains.
    Narrowing,
    /// One patch makes the Deployment the owner of the canary's `ReplicaSet`; then the Deployment
    /// controller has to confirm it.
    Transferring,
    /// The Services select what they did before; the Deployment is released.
    Releasing,
    /// The routes are restored; the canary Service drains.
    Draining,
    /// Instead of Transferring: the Deployment controller starts its own pods, while the canary
    /// serves.
    NativeRollout,
    /// The pods of the Deployment controller serve; the canary is removed.
    RemovingCanary,
}

/// What caused a rollback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Cause {
    /// The revision failed: its template stays held, or is reverted, as the policy says.
    #[default]
    Failure,
    /// A person aborted it: its template stays held.
    Abort,
    /// The revision is no longer wanted: nothing of it is kept.
    Withdrawal,
    /// A person skipped the steps: the Deployment is released.
    Skip,
}

/// Why traffic returned to stable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Failure {
    /// The cause: Failure, Abort, Withdrawal or Skip.
    pub cause: Cause,
    /// The reason in CamelCase, such as `MetricFailed`.
    pub reason: String,
    /// The reason in a sentence, with the value and the limit.
    pub message: String,
    /// The metric that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The query as it was sent to Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The value of the metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whether the template of stable was written back into the Deployment, as the policy's
    /// onFailure requires.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverted: bool,
    /// When the traffic returned to stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// A hash of the template that was rejected, as in status.templateHash. This template is not
    /// tried again until spec.retry is set, whatever becomes of the canary's `ReplicaSet`. Empty
    /// for a withdrawal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template_hash: String,
}

/// Any object, stored without validation.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
