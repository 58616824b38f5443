//! The world, and what has been seen of it.

use std::collections::BTreeSet;

use steelyard_core::{
    api::{RolloutStatus, Word},
    engine::{Call, Decision, Kind, ReplicaSet, Snapshot, decide},
    traffic::gateway::{Pair, seen},
};

use crate::{Actor, Measurement, Sent, Share, faults::Refusing, objects, versions::Versions};

/// The Services that share the traffic of the route.
const PAIR: Pair<'static> = Pair { namespace: "ns", stable: "web", canary: "web-canary" };

/// One Deployment, what belongs to it, and the controllers of the cluster.
#[derive(Clone, Debug)]
pub struct World {
    /// What the API server has and what else a reconcile reads. A test may change it in place, as
    /// another client would: a changed object gets a new version.
    pub snapshot: Snapshot,
    /// What each metric answers.
    pub measurement: Measurement,
    /// What the router answers for the canary's share.
    pub share: Share,
    /// What each webhook answers, with its words; without it, every call hangs.
    pub webhook: Option<(Word, &'static str)>,
    /// Whether admission changes the templates of `ReplicaSets` that are created.
    pub altering: bool,
    /// Each weight that the canary was ever given, in order.
    pub weights: Vec<u8>,
    /// How many pods were ever started, those of the beginning aside.
    pub started: i32,
    /// Each call of a webhook that was ever made.
    pub calls: Vec<Call>,
    /// Revisions marked as failed on the route or the Service: they must get no traffic again. A
    /// test that retries one clears this.
    pub failed: BTreeSet<String>,
    pub(crate) stopped: BTreeSet<Actor>,
    pub(crate) lost: Option<usize>,
    pub(crate) refusing: Option<Refusing>,
    pub(crate) in_flight: Vec<Sent>,
    pub(crate) versions: Versions,
    pub(crate) reconciles: usize,
}

impl World {
    /// Four pods of v1 behind a Service and a route, under a policy of two steps; all controllers
    /// have run.
    pub fn stable() -> Self {
        let mut world = Self {
            snapshot: objects::snapshot(),
            measurement: Measurement::Good,
            share: Share::Percent(0),
            webhook: None,
            altering: false,
            weights: Vec::new(),
            started: 0,
            calls: Vec::new(),
            failed: BTreeSet::new(),
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

    /// The canary's weight in the first route; 0 without a route.
    pub fn weight(&self) -> u8 {
        self.snapshot.routes.first().and_then(|route| seen(&route.spec, &PAIR)).unwrap_or(0)
    }

    /// What is to be done in this world. The same world must always give the same decision.
    pub fn decide(&mut self) -> Decision {
        self.versions.note(&mut self.snapshot);
        let decision = decide(&self.snapshot);
        assert_eq!(decision, decide(&self.snapshot), "two decisions on one world are equal");
        decision
    }

    /// Records what a patch of this kind left behind: weights and failed revisions.
    pub(crate) fn observe(&mut self, kind: Kind, name: &str) {
        let (services, routes) = (&self.snapshot.services, &self.snapshot.routes);
        let metas = match kind {
            Kind::Service => services.iter().map(|service| &service.meta).find(|meta| meta.name == name),
            Kind::HttpRoute => routes.iter().map(|route| &route.meta).find(|meta| meta.name == name),
            _ => None,
        };
        let marks = metas.and_then(|meta| meta.annotations.get(steelyard_core::api::FAILED));
        let marks = marks.map(|marks| marks.split(',').map(str::to_owned).collect::<Vec<_>>());
        self.failed.extend(marks.into_iter().flatten());
        let route = routes.iter().find(|route| kind == Kind::HttpRoute && route.meta.name == name);
        let Some(weight) = route.and_then(|route| seen(&route.spec, &PAIR)) else { return };
        let named = route.is_some_and(|route| route.spec.to_string().contains(PAIR.canary));
        if named && self.weights.last().copied().unwrap_or(0) != weight {
            self.weights.push(weight);
        }
    }
}
