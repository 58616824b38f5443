//! `Rollout`: one object per annotated Deployment. People's intents in `spec`, all state in `status`.

// `KubeSchema` repeats the struct in a function of its own, where `pub` reaches nobody.
#![allow(unreachable_pub)]
// Each printed column has a type: no duplicates.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{Outcome, Tally},
    api::RolloutPolicySpec,
    traffic::gateway::Original,
};

/// What people want of the rollout in flight; empty if nobody wants anything. Each field names the revision it is for, as status.canary.revision does, so that one that comes late does nothing. `kubectl steelyard` sets these fields.
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
    doc = "How the pods of one Deployment, of the same name, are being replaced by a new version in steps. Steelyard makes it for each Deployment with annotation steelyard.io/policy. People steer it by its spec; its status says how far it is, what it waits for, and why",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.weight"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.tag"),
    printcolumn(name = "Canary", type_ = "string", json_path = ".status.canary.tag"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Waiting", type_ = "string", json_path = ".status.waiting.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Seen", type_ = "integer", json_path = ".status.observedWeight", priority = 1),
    printcolumn(name = "Serves", type_ = "string", json_path = ".status.stable.revision", priority = 1),
    printcolumn(name = "Tries", type_ = "string", json_path = ".status.canary.revision", priority = 1),
    printcolumn(name = "Failure", type_ = "string", json_path = ".status.failure.reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.waiting.message", priority = 1)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// Take all traffic back to the old version and stop the new one. Beats every other field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Intent>,
    /// Stay at the weight of now: no step ends and no weight rises; metrics go on being asked, and the way back stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Intent>,
    /// Leave a step, or all of them, without waiting for its time and its metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Promote>,
    /// Try a revision again that was rolled back. Take away what was wanted of the try before in the same write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Let the Deployment controller roll it out natively, unmeasured: for an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Intent>,
}

/// A wish for one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// The revision it is for, as status.canary.revision names it; before there is one, the Deployment's metadata.generation.
    pub revision: String,
    /// Who set it. The API server's admission writes it; what a person writes here is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Leaving a step, or all of them; set one of `step` and `full`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promote {
    /// The revision it is for, as status.canary.revision names it; before there is one, the Deployment's metadata.generation.
    pub revision: String,
    /// The step to leave, counted from 1. Does nothing when the rollout is at another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// Leave all steps: the new version is handed over once it is at full scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Who set it. The API server's admission writes it; what a person writes here is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Trying a rejected revision again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// The revision it is for, as status.canary.revision names it; before there is one, the Deployment's metadata.generation.
    pub revision: String,
    /// Which try this is: one more than status.attempt, 2 for the first retry. A number that was tried already does nothing.
    pub attempt: u32,
    /// Who set it. The API server's admission writes it; what a person writes here is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Where a rollout is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum Phase {
    /// One version serves, and nothing is in flight.
    #[default]
    Stable,
    /// A new template is held; pods of the new version are being made, without traffic yet.
    Preparing,
    /// The new version has some of the traffic, more with each step.
    Stepping,
    /// A step waits for a person, a time or another system.
    Waiting,
    /// All steps are over; the new version's pods are being handed over to the Deployment.
    Promoting,
    /// All traffic is back on the old version; the new one's pods are being taken down.
    RollingBack,
    /// The old version serves; the new template was rejected and stays held, so it runs nowhere.
    RolledBack,
}

/// How far the rollout is, what it waits for, and why. Written by Steelyard alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// The metadata.generation of this Rollout that Steelyard has acted on: below it, a change of the spec has not been seen yet.
    pub observed_generation: i64,
    /// A number that grows each time another Steelyard process takes the lead; the one that wrote this status.
    pub epoch: u64,
    /// Where the rollout is: Stable, Preparing, Stepping, Waiting, Promoting, `RollingBack` or `RolledBack`.
    pub phase: Phase,
    /// The step of how many, such as 2/4; 0/4 before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The share of the traffic that the route gives to the new version, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// The share of the requests that the new version really gets, in percent; absent where that can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<u8>,
    /// What the metrics of this step come to so far: Pending, Pass, Fail, Inconclusive (no data) or Error (not measurable).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What the rollout waits for now; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The version that serves, and that all traffic returns to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// The new version: the one on trial, or the one that was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Version>,
    /// What Steelyard remembers of the rollout in flight; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Why the traffic was taken back, with the evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Which try of this revision it is; absent for the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A template that was pushed in the middle of a native rollout: it is kept here until that one has settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pending: Option<serde_json::Value>,
    /// The rollouts that ended, the latest last, ten at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
    /// Accepted: the policy, Services and routes fit. Gated: changes of the template are held. Progressing: a rollout is in
    /// flight. Healthy: nothing failed. Complete: the last template that was pushed serves, and all is as it was.
    pub conditions: Vec<Condition>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// Its name: the value of label pod-template-hash on its pods.
    pub revision: String,
    /// The name of its `ReplicaSet`.
    pub replica_set: String,
    /// The tag of its first container's image.
    pub tag: String,
    /// The metadata.generation of the Deployment that its template came with.
    pub generation: i64,
}

/// A rollout that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Past {
    /// Its revision.
    pub revision: String,
    /// The tag of its first container's image.
    pub tag: String,
    /// The revision that served before it; for one that was Complete, until it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// How it ended: Complete, `RolledBack`, or Withdrawn because nobody wanted it any more.
    pub outcome: End,
    /// Why, in one word: the reason of the failure, or of the withdrawal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The gates that opened on its way, and who or what opened them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Opened>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum End {
    /// Its pods were handed over.
    #[default]
    Complete,
    /// It failed or was aborted; its template stayed held.
    RolledBack,
    /// Nobody wanted it any more.
    Withdrawn,
}

/// A named wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Waiting {
    /// Its name, one word.
    pub reason: String,
    /// What is awaited, in a sentence.
    pub message: String,
    /// Since when, under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Until when at the latest; absent if only a person or a change of the world ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a rollout in flight must remember.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Trial {
    /// The policy as it was when the rollout began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "as_it_was")]
    pub policy: Option<RolloutPolicySpec>,
    /// The Services whose selectors name one version as long as the rollout is in flight.
    pub services: Vec<String>,
    /// The Service whose traffic is routed.
    pub service: String,
    /// The Service that selects the new version's pods.
    pub canary_service: String,
    /// What moves the traffic.
    pub shifting: Shifting,
    /// Which version the Services were last told to lead to.
    pub side: Side,
    /// The weight that was last given, in percent.
    pub given: u8,
    /// Whether this goes back to a version that served not long ago: no steps, one switch.
    pub returning: bool,
    /// The routes as they were before the rollout, by name.
    pub routes: BTreeMap<String, Original>,
    /// When the rollout began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The step, counted from 0.
    pub step: usize,
    /// When the step's weight was written: the router's deadline counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shifted_at: Option<Timestamp>,
    /// The weight of before, in percent.
    pub weight_before: u8,
    /// When the router was asked last how many requests the canary gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_asked_at: Option<Timestamp>,
    /// When the router had taken the step's weight: its hold counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted_at: Option<Timestamp>,
    /// Since when the new version has had traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_since: Option<Timestamp>,
    /// What each metric has said in this step, by its name.
    pub metrics: BTreeMap<String, MetricState>,
    /// The gates that opened so far.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Opened>,
    /// The webhook that is asked at the gate of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Since when the canary has had fewer ready pods than the step needs: the deadline for pods counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_since: Option<Timestamp>,
    /// The template as it was pushed, if admission made another one of it in the canary's `ReplicaSet`: such a canary can
    /// be measured but not handed over, so the Deployment controller rolls out natively in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub native: Option<serde_json::Value>,
    /// Where the handover is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// How many pods the canary's `ReplicaSet` had when it was handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed: Option<i32>,
    /// When the stage of a way back or of a handover began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_since: Option<Timestamp>,
}

/// What moves the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Shifting {
    /// A route's weights. The Services lead to stable until the handover.
    #[default]
    Route,
    /// A route's weights, and with all of them the Services.
    RouteAndServices,
    /// The Services alone: to stable, to both, or to the canary.
    Services,
}

/// Which version the Services lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Side {
    /// To stable.
    #[default]
    Stable,
    /// To both, by the number of their pods.
    Both,
    /// To the canary.
    Canary,
}

/// A gate that opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Opened {
    /// The step that it was, counted from 1.
    pub step: usize,
    /// Who or what opened it: a person, a webhook, its window.
    pub by: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What a webhook said: the status and the beginning of its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What a webhook was asked at its gate, and what it said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    /// The step of the gate, counted from 0.
    pub step: usize,
    /// The webhook's name in the operator's configuration.
    pub webhook: String,
    /// How many calls there were; each is counted before it is sent.
    pub attempts: u32,
    /// How many of them were refused, or had no answer in time.
    pub refusals: u32,
    /// When the last one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// What the last answer came to; absent until it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<Word>,
    /// The last answer: its status and the beginning of its text, or why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What an answer of a webhook comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Word {
    /// The gate opens.
    Yes,
    /// It stays shut: another status, or no answer in time.
    No,
    /// It could not be asked: it is not configured, or its key is gone. This never takes traffic back.
    Unasked,
}

/// One metric in a step.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricState {
    /// Its looks so far.
    pub tally: Tally,
    /// When it was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// What it answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
}

/// The stages of a handover, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum Handover {
    /// The canary grows to full scale, and takes all traffic.
    Filling,
    /// The Services select both versions.
    Widened,
    /// The Services select the canary; stable drains.
    Narrowed,
    /// The canary `ReplicaSet` is the Deployment's; the controller's proof is awaited.
    Adopted,
    /// The Services select what they always did; the Deployment is let go.
    Released,
    /// The routes are as they were; the canary Service drains.
    Draining,
    /// Instead of an adoption: the Deployment controller starts pods of its own, while the canary serves.
    Native,
    /// Its pods serve; the canary is taken down.
    Replaced,
}

/// What a rollback comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Cause {
    /// The revision failed: its template stays held, or is reverted, as the policy says.
    #[default]
    Failure,
    /// A person aborted it: its template stays held.
    Abort,
    /// The revision is no longer wanted: nothing of it is kept.
    Withdrawal,
    /// A person wants it rolled out natively: the Deployment is released.
    Skip,
}

/// Why traffic was taken back.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Failure {
    /// What it comes from: Failure, Abort, Withdrawal or Skip. What follows depends on it.
    pub cause: Cause,
    /// What failed, one word.
    pub reason: String,
    /// What failed, in a sentence, with the value and the limit.
    pub message: String,
    /// The metric that failed, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The query as it was sent to Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whether stable's template was written back into the Deployment, as the policy's onFail says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverted: bool,
    /// When the traffic was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The template that was rejected, where the canary's `ReplicaSet` doesn't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub template: Option<serde_json::Value>,
}

/// Any object, kept as it is.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Any object: what a rollout began with must stay readable whatever a later version's rules say of policies.
fn as_it_was(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
