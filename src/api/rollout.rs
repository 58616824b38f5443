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

/// What people want of the rollout in flight. Each intent is for one revision; a late one does nothing.
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
    doc = "The progress of one annotated Deployment, of the same name",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".status.weight"),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.tag"),
    printcolumn(name = "Canary", type_ = "string", json_path = ".status.canary.tag"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Waiting", type_ = "string", json_path = ".status.waiting.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// Take the traffic back and keep the old version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Intent>,
    /// Stay at the weight of now: no step ends and no weight rises; metrics go on being asked, and the way back stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Intent>,
    /// Go past a step, or past all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Promote>,
    /// Try a rejected revision again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Let the Deployment controller roll it out natively, unmeasured: for an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<Intent>,
}

/// An intent for one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// The revision, as status names it; before there is one, the Deployment's `metadata.generation`.
    pub revision: String,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Going past a step, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promote {
    /// The revision, as status names it; before there is one, the Deployment's `metadata.generation`.
    pub revision: String,
    /// The step to leave, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// All steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Trying a rejected revision again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// The revision, as status names it; before there is one, the Deployment's `metadata.generation`.
    pub revision: String,
    /// Which try this is: the first retry is 2. A number that was tried already does nothing.
    pub attempt: u32,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Where a rollout is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Phase {
    /// One version serves.
    #[default]
    Stable,
    /// A template is held, its canary is being made.
    Preparing,
    /// Traffic moves in steps.
    Stepping,
    /// A gate is awaited.
    Waiting,
    /// The canary's pods are being handed over.
    Promoting,
    /// Traffic is back on stable, the canary is being taken down.
    RollingBack,
    /// Stable serves, the rejected template stays held.
    RolledBack,
}

/// All state of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// The generation of this Rollout that was read last.
    pub observed_generation: i64,
    /// The term of leadership that wrote this.
    pub epoch: u64,
    /// Where the rollout is.
    pub phase: Phase,
    /// The step of how many, such as `2/4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The canary's weight as the route says, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// The canary's share as clients see it, in percent, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<u8>,
    /// The verdict of the step so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What is awaited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The version that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// The version under trial, or the one that was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Version>,
    /// The rollout in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Why traffic was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How often this revision was tried, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A template that was pushed in the middle of a native rollout: it is kept here until that one has settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pending: Option<serde_json::Value>,
    /// The rollouts that ended, the latest last, ten at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
    /// Accepted, Gated, Progressing, Healthy, Complete.
    pub conditions: Vec<Condition>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// The value of its `pod-template-hash`.
    pub revision: String,
    /// Its `ReplicaSet`.
    pub replica_set: String,
    /// Its first image's tag.
    pub tag: String,
    /// Its template was written with this generation of the Deployment.
    pub generation: i64,
}

/// A rollout that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Past {
    /// Its revision.
    pub revision: String,
    /// Its first image's tag.
    pub tag: String,
    /// How it ended.
    pub outcome: End,
    /// Why, in one word: the reason of the failure, or of the withdrawal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
    /// Its name.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// Since when, under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Until when at the latest.
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
    /// The Services that are pinned.
    pub services: Vec<String>,
    /// The Service whose traffic is routed.
    pub service: String,
    /// Its canary Service.
    pub canary_service: String,
    /// The routes as they were, by name.
    pub routes: BTreeMap<String, Original>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The step, counted from 0.
    pub step: usize,
    /// When the phase, or the step, began: its deadline counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_since: Option<Timestamp>,
    /// When the step's weight was written: the router's deadline counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shifted_at: Option<Timestamp>,
    /// When the step's weight was seen on the route and taken by the router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted_at: Option<Timestamp>,
    /// Since when the revision has had traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_since: Option<Timestamp>,
    /// Each metric of the step.
    pub metrics: BTreeMap<String, MetricState>,
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
    /// When the stage of a way back or of a handover began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_since: Option<Timestamp>,
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

/// Why traffic was taken back.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Failure {
    /// One word.
    pub reason: String,
    /// In a sentence, with the value and the limit.
    pub message: String,
    /// The metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The query as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// When.
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
