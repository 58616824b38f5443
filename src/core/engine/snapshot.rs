//! The input of a decision: values only, freshly read, including the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::inquiry::Inquiry;
use crate::{
    analysis::Outcome,
    api::{Approval, HELD, RolloutSpec, RolloutStatus},
    policy::{Compiled, Faults, Policy, Source, query::QueryError, source::prometheus::Prometheus},
};

pub use super::written::RefusedWrite;
pub use crate::traffic::{Meta, Object};

/// The objects around one Deployment at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was read.
    pub now: Timestamp,
    /// The leadership epoch in which it was read.
    pub epoch: u64,
    /// How long routers and connections have to stop using what no longer serves.
    pub drain: SignedDuration,
    /// How to query the observed weight, if the operator configured it.
    pub router: Option<Router>,
    /// Whether a rollout may start now, given the others in progress.
    pub capacity: Capacity,
    /// Whether admission holds template changes.
    pub hold_enforced: bool,
    /// The namespace of the Deployment.
    pub namespace: String,
    /// The Deployment's name, and the Rollout's.
    pub name: String,
    /// The Deployment, if it exists.
    pub deployment: Option<Deployment>,
    /// The Rollout, if it exists.
    pub rollout: Option<Rollout>,
    /// The policy that the annotation names.
    pub policy: PolicyState,
    /// The policy of the rollout in progress, as it was when the rollout started; `None` without
    /// such a rollout, or if its status has no policy.
    pub begun: Option<Compiled>,
    /// All `ReplicaSets` whose pods the Deployment's selector matches.
    pub replica_sets: Vec<ReplicaSet>,
    /// All Services of the namespace whose selector, without the hash, matches the pod template,
    /// and all canary Services of this Rollout.
    pub services: Vec<Service>,
    /// The names of all other Services of the namespace.
    pub taken: BTreeSet<String>,
    /// Those of them that select the pods of stable, but not those of the new template.
    pub left_behind: Vec<LeftBehind>,
    /// The pods that the Deployment's selector matches.
    pub pods: Vec<Pod>,
    /// Routes that may divide the Deployment's traffic, and the objects that define what routes may
    /// do.
    pub routes: Vec<Object>,
    /// Answers of sources that arrived since the last decision.
    pub readings: Vec<Reading>,
    /// Answers of webhooks that arrived since the last decision.
    pub answers: Vec<Answer>,
    /// The writes of the last plan that the API server refused.
    pub refused: Vec<RefusedWrite>,
    /// Inquiries without an answer yet.
    pub asking: BTreeSet<Inquiry>,
}

/// Whether a rollout may start, given the others in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// It may start.
    Free,
    /// The limit of concurrent rollouts is reached.
    Queued {
        /// Its place in the queue, counted from 1.
        place: usize,
        /// The length of the queue.
        of: usize,
        /// The number of rollouts in progress.
        in_flight: usize,
    },
}

/// How to query the observed weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// The query; its value is a number from 0 to 1.
    pub share: Source,
}

impl Router {
    /// How often it is queried.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// Returns a query of a Prometheus in the operator's configuration.
    ///
    /// # Errors
    /// If the query is invalid.
    pub fn new(source: &str, query: &str) -> Result<Self, QueryError> {
        Ok(Self { share: Source::Prometheus(Prometheus::plain(source, query, Self::EVERY)?) })
    }
}

/// The user's Deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its metadata.
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
    /// Returns whether its template is held: paused, with Steelyard's label.
    pub fn held(&self) -> bool {
        self.paused && self.meta.labels.contains_key(HELD)
    }

    /// Returns whether it controls this `ReplicaSet`.
    pub fn owns(&self, set: &ReplicaSet) -> bool {
        set.controller.as_deref() == Some(&self.meta.uid)
    }
}

/// The Rollout.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Its metadata.
    pub meta: Meta,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// The uid of the Deployment that it belongs to.
    pub owner: String,
    /// The intents of people.
    pub spec: RolloutSpec,
    /// The recorded state.
    pub status: RolloutStatus,
}

/// The policy that the annotation names.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyState {
    /// There is no annotation.
    Unnamed,
    /// The policy does not exist; the name is as in the annotation.
    Missing(String),
    /// It is invalid; all its faults.
    Invalid(Faults),
    /// It is valid.
    Found(Arc<Policy>),
}

impl From<Compiled> for PolicyState {
    fn from(compiled: Compiled) -> Self {
        compiled.map_or_else(Self::Invalid, Self::Found)
    }
}

/// A `ReplicaSet`.
#[derive(Clone, Debug)]
pub struct ReplicaSet {
    /// Its metadata.
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
    /// Its metadata.
    pub meta: Meta,
    /// Its selector.
    pub selector: BTreeMap<String, String>,
    /// `spec.ports`, raw.
    pub ports: Value,
    /// How clients reach it.
    pub exposure: Exposure,
    /// The names of its pods that are ready on each port that the pods can serve.
    pub ready: BTreeSet<String>,
    /// The names of pods of unmanaged workloads that its selector, without the hash, matches; read
    /// only before a rollout starts.
    pub unrelated_pods: BTreeSet<String>,
    /// Other managed Deployments that claim it.
    pub claimants: Vec<Claimant>,
}

/// The precedence of a claim: the smallest claim is first. All Rollouts find the same order, also
/// after a restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Whether no rollout of it is in progress: a rollout in progress precedes one that has not
    /// started.
    pub idle: bool,
    /// When its Rollout was created.
    pub since: Option<Timestamp>,
    /// The uid of its Rollout, for Rollouts created in the same second.
    pub uid: String,
}

impl Claim {
    /// Returns a Rollout's claim.
    pub fn of(rollout: &Rollout) -> Self {
        let (since, uid) = (rollout.meta.created, rollout.meta.uid.clone());
        Self { idle: rollout.status.trial.is_none(), since, uid }
    }
}

/// Another managed Deployment that claims a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Its name.
    pub deployment: String,
    /// Its precedence.
    pub claim: Claim,
    /// Its pods that the Service selects; read only before a rollout starts.
    pub pods: BTreeSet<String>,
}

/// How clients reach a Service: what is between them and its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// The proxy of each node.
    Cluster,
    /// A load balancer, which targets nodes or pods and may follow changes slowly.
    LoadBalancer,
    /// Proxies that use only pods of their own node.
    Local,
    /// DNS: clients connect to the addresses of the pods, which they may know for as long as the
    /// answer is valid.
    Headless,
    /// An alias in DNS, without endpoints.
    ExternalName,
}

/// A Service that selects the pods of stable, but not those of the new template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// The Service.
    pub service: String,
    /// The labels of its selector that the new template lacks, as `key=value` pairs.
    pub labels: Vec<String>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its hash label.
    pub hash: String,
    /// Why it does not run, if so.
    pub trouble: Option<Trouble>,
    /// The message of its Ready condition while it is not ready.
    pub unready: Option<String>,
    /// The restarts of the container that restarted most often. Init containers do not count: one
    /// that gives up until a dependency is there is no crash loop of the version.
    pub restarts: Option<Restarts>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// Why a pod does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The container that does not run; `None` if the pod has no node.
    pub container: Option<String>,
    /// The reason of the kubelet or the scheduler.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// The restarts of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restarts {
    /// The container.
    pub container: String,
    /// How often it restarted.
    pub count: i32,
    /// Whether the kubelet waits before it restarts it again.
    pub backing_off: bool,
}

/// An answer of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The revision it is for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// What was queried.
    pub inquiry: Inquiry,
    /// The query as it was sent.
    pub query: String,
    /// The time for which the source was evaluated.
    pub at: Timestamp,
    /// The maximum age of a sample of an instant selector.
    pub lookback: Duration,
    /// The answer.
    pub outcome: Outcome,
}

/// An answer of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The revision it is for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// The attempt within the step, counted from 1.
    pub attempt: u32,
    /// When it arrived, or timed out.
    pub at: Timestamp,
    /// Whether it approves.
    pub approval: Approval,
    /// Its HTTP status and the start of its body, or why there is no answer.
    pub response: String,
}

impl Answer {
    /// Returns the inquiry that it answers.
    pub fn inquiry(&self) -> Inquiry {
        Inquiry::Webhook { step: self.step, attempt: self.attempt }
    }
}
