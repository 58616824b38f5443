//! The world, and a record of what happened in it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steelyard_core::{
    api::{Approval, RolloutPolicySpec, RolloutStatus},
    engine::{Call, Decision, Kind, PolicyState, ReplicaSet, Snapshot, decide},
    policy::{Cache, Written, query::parsed},
    traffic::{Object, Pair, Route, Router as _, gateway::GatewayApi},
};

use crate::{Actor, Measurement, Sent, Share, faults::Refusing, objects, versions::Versions};

/// The Services that share the traffic of the route.
const PAIR: Pair<'static> = Pair {
    namespace: objects::NAMESPACE,
    stable: "web",
    canary: "web-canary",
    stable_hash: "",
    canary_hash: "",
};

/// One Deployment, its objects, and the controllers of the cluster.
#[derive(Clone, Debug)]
pub struct World {
    /// The objects of the API server and the other inputs of a reconcile. A test may change it in
    /// place, as another client would: a changed object gets a new version.
    pub snapshot: Snapshot,
    /// The answer for each metric.
    pub measurement: Measurement,
    /// The router's answer for the canary's share.
    pub share: Share,
    /// The answer of each webhook, with its text. Without it, every call hangs.
    pub webhook: Option<(Approval, &'static str)>,
    /// Whether admission alters the templates of new `ReplicaSets`.
    pub altering: bool,
    /// Images that cannot be pulled: their pods never get ready.
    pub broken: BTreeSet<String>,
    /// Each weight that the canary ever had, in order.
    pub weights: Vec<u8>,
    /// The number of pods started after the initial ones.
    pub started: i32,
    /// All webhook calls so far.
    pub calls: Vec<Call>,
    /// Revisions marked as failed on the route or the Service, which must get no traffic again. A
    /// test that retries one clears this.
    pub failed: BTreeSet<String>,
    pub(crate) written: RolloutPolicySpec,
    pub(crate) policies: Cache<()>,
    pub(crate) stopped: BTreeSet<Actor>,
    pub(crate) lost: Option<usize>,
    pub(crate) refusing: Option<Refusing>,
    pub(crate) in_flight: Vec<Sent>,
    pub(crate) versions: Versions,
    pub(crate) reconciles: usize,
}

impl World {
    /// A world with four pods of v1 behind a Service and a route, under a policy with two steps.
    /// All controllers have run.
    pub fn stable() -> Self {
        let mut world = Self {
            snapshot: objects::snapshot(),
            measurement: Measurement::Good,
            share: Share::Percent(0),
            webhook: None,
            altering: false,
            broken: BTreeSet::new(),
            weights: Vec::new(),
            started: 0,
            calls: Vec::new(),
            failed: BTreeSet::new(),
            written: objects::policy(),
            policies: Cache::default(),
            stopped: BTreeSet::new(),
            lost: None,
            refusing: None,
            in_flight: Vec::new(),
            versions: Versions::default(),
            reconciles: 0,
        };
        world.settle();
        world
    }

    /// The status of the Rollout.
    pub fn status(&self) -> &RolloutStatus {
        &self.snapshot.rollout.as_ref().expect("there is a Rollout").status
    }

    /// The canary's `ReplicaSet`.
    pub fn canary(&mut self) -> &mut ReplicaSet {
        let name = self.status().canary.as_ref().expect("there is a canary").replica_set.clone();
        let mut sets = self.snapshot.replica_sets.iter_mut();
        sets.find(|set| set.meta.name == name).expect("the canary's ReplicaSet exists")
    }

    /// The canary's largest weight in all routes, in percent and rounded up; 0 without a route.
    pub fn weight(&self) -> u8 {
        self.snapshot.routes.iter().filter_map(weight).max().unwrap_or(0)
    }

    /// Returns the decision for this world. The same world must always give the same decision, and
    /// no decision parses a query.
    pub fn decide(&mut self) -> Decision {
        self.versions.note(&mut self.snapshot);
        self.compile();
        let before = parsed();
        let decision = decide(&self.snapshot);
        assert_eq!(decision, decide(&self.snapshot), "two decisions on one world are equal");
        assert_eq!(parsed(), before, "policies are compiled before a decision");
        decision
    }

    /// Compiles the policies that decisions use: the current one, unless a test removed it, and the
    /// one that the rollout in progress started with.
    fn compile(&mut self) {
        let trial = self.snapshot.rollout.as_ref().and_then(|rollout| rollout.status.trial.as_ref());
        let begun = trial.and_then(|trial| trial.policy.as_ref());
        let written = json!(self.written);
        let specs = [Some(Written::Policy(&written)), begun.map(Written::Status)];
        let [named, begun] = self.policies.compiled((), specs);
        self.snapshot.begun = begun;
        if let (Some(named), PolicyState::Found(_) | PolicyState::Invalid(_)) = (named, &self.snapshot.policy)
        {
            self.snapshot.policy = PolicyState::from(named);
        }
    }

    /// The policy that the annotation names, as JSON.
    pub(crate) fn named(&self) -> Value {
        match &self.snapshot.policy {
            PolicyState::Found(_) | PolicyState::Invalid(_) => json!(self.written),
            other => json!(format!("{other:?}")),
        }
    }

    /// Records the result of a patch of this kind: weights and failed revisions.
    pub(crate) fn observe(&mut self, kind: Kind, name: &str) {
        let (services, routes) = (&self.snapshot.services, &self.snapshot.routes);
        let metas = match kind {
            Kind::Service => services.iter().map(|service| &service.meta).find(|meta| meta.name == name),
            Kind::Route(resource) => {
                let mut same = routes.iter().filter(|route| route.resource == resource);
                same.find(|route| route.meta.name == name).map(|route| &route.meta)
            }
            _ => None,
        };
        let marks = metas.and_then(|meta| meta.annotations.get(steelyard_core::api::FAILED));
        let marks = marks.map(|marks| marks.split(',').map(str::to_owned).collect::<Vec<_>>());
        self.failed.extend(marks.into_iter().flatten());
        if !matches!(kind, Kind::Route(_)) {
            return;
        }
        let weight = self.weight();
        let named = routes.iter().any(|route| route.spec.to_string().contains(PAIR.canary));
        if named && self.weights.last().copied().unwrap_or(0) != weight {
            self.weights.push(weight);
        }
    }
}

/// The canary's weight in one route, in percent and rounded up.
pub(crate) fn weight(route: &Object) -> Option<u8> {
    let weight = GatewayApi.observe(&Route { main: route, companions: Vec::new() }, &PAIR)?;
    u8::try_from(weight.tenths().div_ceil(10)).ok()
}
