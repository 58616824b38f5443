//! All that a decision may rest on: values only, read afresh, with the time in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::plan::{Kind, WriteVerb};
use crate::{
    analysis::Outcome,
    api::{HELD, RolloutPolicySpec, RolloutSpec, RolloutStatus, Word},
    policy::Fault,
    traffic::gateway::Acceptance,
};

/// The world around one Deployment at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was read.
    pub now: Timestamp,
    /// The term of leadership it was read in.
    pub epoch: u64,
    /// How long a router and connections get to leave what no longer serves.
    pub drain: SignedDuration,
    /// How to ask the router for the share of requests that the canary gets, if the operator said so.
    pub router: Option<Router>,
    /// Whether a rollout may start now, given the others in progress.
    pub turn: Turn,
    /// Whether admission holds template changes.
    pub gated: bool,
    /// The namespace of it all.
    pub namespace: String,
    /// The Deployment's name, and the Rollout's.
    pub name: String,
    /// The Deployment, if it is there.
    pub deployment: Option<Deployment>,
    /// The Rollout, if it is there.
    pub rollout: Option<Rollout>,
    /// The policy that the annotation names.
    pub policy: Policy,
    /// All `ReplicaSets` whose pods the Deployment's selector matches.
    pub replica_sets: Vec<ReplicaSet>,
    /// All Services of the namespace whose selector, less the hash, matches the pod template, and all canary Services of this Rollout.
    pub services: Vec<Service>,
    /// The names of all other Services of the namespace.
    pub taken: BTreeSet<String>,
    /// The pods that the Deployment's selector matches.
    pub pods: Vec<Pod>,
    /// All `HTTPRoutes` of the namespace.
    pub routes: Vec<Route>,
    /// Answers of Prometheus that came since the last decision.
    pub readings: Vec<Reading>,
    /// Answers of webhooks that came since the last decision.
    pub answers: Vec<Answer>,
    /// The writes of the last plan that the API server refused.
    pub refused: Vec<RefusedWrite>,
    /// Metrics and webhooks that are being asked right now, by name.
    pub asking: BTreeSet<String>,
}

/// A write that the API server, or an admission policy, refused: sending it again is no help by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusedWrite {
    /// What was to be done.
    pub verb: WriteVerb,
    /// The kind of the object.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The HTTP status of the answer, 400 to 499.
    pub code: u16,
    /// What the API server said.
    pub message: String,
}

/// Whether a rollout may start, given the others in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Free,
    /// As many are in flight as the operator allows.
    Queued {
        /// Its place in the queue, from 1.
        place: usize,
        /// How many wait.
        of: usize,
        /// How many are in flight.
        in_flight: usize,
    },
}

/// How to ask the router for the share of requests that the canary gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// The name of the Prometheus source.
    pub source: String,
    /// The query, with variables: it answers with a number of 0 to 1.
    pub share: String,
}

/// The name, identity and version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub version: String,
    /// Its generation.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The epoch it carries, as a label (Deployment) or an annotation (all else); 0 without.
    pub epoch: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Where we are on its record of who set its fields (`metadata.managedFields`), from 0; empty where nobody else is.
    pub managed: Vec<usize>,
}

/// The user's Deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Who it is.
    pub meta: Meta,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.template`, raw.
    pub template: Value,
    /// `spec.selector`, raw.
    pub selector: Value,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: i32,
    /// `spec.strategy.type` is `Recreate`.
    pub recreate: bool,
    /// `spec.strategy.rollingUpdate.maxSurge` of these replicas, rounded up; 0 for Recreate.
    pub max_surge: i32,
    /// `spec.revisionHistoryLimit`.
    pub history_limit: i32,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
}

impl Deployment {
    /// Whether its template is held: paused, with our label.
    pub fn held(&self) -> bool {
        self.paused && self.meta.labels.contains_key(HELD)
    }

    /// Whether it controls this `ReplicaSet`.
    pub fn owns(&self, set: &ReplicaSet) -> bool {
        set.controller.as_deref() == Some(&self.meta.uid)
    }
}

/// The Rollout.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Who it is.
    pub meta: Meta,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// The uid of the Deployment that it belongs to.
    pub owner: String,
    /// What people want.
    pub spec: RolloutSpec,
    /// What was decided so far.
    pub status: RolloutStatus,
}

/// The policy that the annotation names.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Policy {
    /// There is no annotation.
    Unnamed,
    /// There is no such policy; the name as the annotation gives it.
    Missing(String),
    /// It can't be read as a policy.
    Unreadable(Vec<Fault>),
    /// It is there. Not yet checked.
    Found(RolloutPolicySpec),
}

/// A `ReplicaSet`.
#[derive(Clone, Debug)]
pub struct ReplicaSet {
    /// Who it is.
    pub meta: Meta,
    /// The uid of its controller.
    pub controller: Option<String>,
    /// Its hash label.
    pub hash: String,
    /// `spec.template`, raw, without the hash label.
    pub template: Value,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// `status.replicas`.
    pub existing: i32,
    /// Why its pods can't be created, if so: the message of its condition `ReplicaFailure`.
    pub failure: Option<String>,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
}

/// A Service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Who it is.
    pub meta: Meta,
    /// Its selector.
    pub selector: BTreeMap<String, String>,
    /// `spec.ports`, raw.
    pub ports: Value,
    /// Who reaches it, and how.
    pub exposure: Exposure,
    /// The names of the pods behind it that are ready.
    pub ready: BTreeSet<String>,
    /// The names of pods that its selector, less the hash, matches and that are a workload's that isn't under Steelyard; read
    /// only before a rollout starts.
    pub strangers: BTreeSet<String>,
    /// Other Deployments under Steelyard that claim it.
    pub rivals: Vec<Rival>,
}

/// What decides who is first: the least claim. Two Rollouts that read each other's find the same one, whoever asks, and
/// after a restart too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// No rollout of it is in progress: one in progress is never disturbed by one that has yet to begin.
    pub idle: bool,
    /// When its Rollout was created: when it came under Steelyard.
    pub since: Option<Timestamp>,
    /// Its Rollout's uid, for two of one second.
    pub uid: String,
}

impl Claim {
    /// A Rollout's claim.
    pub fn of(rollout: &Rollout) -> Self {
        let (since, uid) = (rollout.meta.created, rollout.meta.uid.clone());
        Self { idle: rollout.status.trial.is_none(), since, uid }
    }
}

/// Another Deployment under Steelyard that claims a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its name.
    pub deployment: String,
    /// How it stands to other claims.
    pub claim: Claim,
    /// Its pods that the Service selects; read only before a rollout starts.
    pub pods: BTreeSet<String>,
}

/// Who reaches a Service, and how: what stands between its clients and its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Each node's proxy.
    Cluster,
    /// A load balancer, which may know nodes or pods, and may be slow to learn of other ones.
    LoadBalancer,
    /// Proxies that know the pods of their own node only.
    Local,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its hash label.
    pub hash: String,
    /// Why a container of it doesn't run: reason and message.
    pub trouble: Option<(String, String)>,
    /// What its condition says while it is not ready.
    pub unready: Option<String>,
    /// The most restarts of one of its containers.
    pub restarts: i32,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// An `HTTPRoute`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Who it is.
    pub meta: Meta,
    /// Its `spec`, raw.
    pub spec: Value,
    /// What its gateways say of this generation.
    pub acceptance: Acceptance,
}

/// An answer of Prometheus.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The revision it was asked for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// The metric.
    pub metric: String,
    /// The query as it was sent.
    pub query: String,
    /// The time it was asked for.
    pub at: Timestamp,
    /// The answer.
    pub outcome: Outcome,
}

/// An answer of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The revision it was asked for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// Which call of this step, counted from 1.
    pub attempt: u32,
    /// When it came, or when it was no longer waited for.
    pub at: Timestamp,
    /// Whether it is a yes.
    pub word: Word,
    /// Its status and the beginning of its text, or why there is none.
    pub said: String,
}
