//! The values of a reconcile, its start and its end.

use std::{cell::OnceCell, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    api::{self, Phase, RolloutStatus, Shifting, condition_with},
    engine::{
        fresh, patches,
        plan::{Ask, Call, Decision, Event, Kind, Occupancy, Write},
        revision,
        snapshot::{Deployment, Rollout, Service, Snapshot},
    },
    policy::{Policy, Shift, Stage},
    traffic::Object,
};

/// One reconcile in progress.
pub(in crate::engine) struct Reconcile<'a> {
    pub(super) s: &'a Snapshot,
    pub(super) d: &'a Deployment,
    pub(super) r: &'a Rollout,
    /// The hash of each pod, by name.
    pub(super) hashes: BTreeMap<&'a str, &'a str>,
    /// The Services as a router reads them.
    pub(super) service_objects: OnceCell<Vec<Object>>,
    /// The policy of the rollout in progress.
    policy: OnceCell<Option<Arc<Policy>>>,
    pub(super) status: RolloutStatus,
    pub(super) withdrawals: Vec<Write>,
    pub(super) writes: Vec<Write>,
    pub(super) last_writes: Vec<Write>,
    pub(super) events: Vec<Event>,
    pub(super) asks: Vec<Ask>,
    pub(super) calls: Vec<Call>,
    pub(super) wake: Option<Timestamp>,
    pub(super) occupancy: Occupancy,
}

impl<'a> Reconcile<'a> {
    pub(in crate::engine) fn new(s: &'a Snapshot, d: &'a Deployment, r: &'a Rollout) -> Self {
        let mut status = r.status.clone();
        status.observed_generation = r.meta.generation;
        status.template_hash = revision::hash(&d.template);
        status.waiting = None;
        Self {
            s,
            d,
            r,
            hashes: s.pods.iter().map(|pod| (pod.name.as_str(), pod.hash.as_str())).collect(),
            service_objects: OnceCell::new(),
            policy: OnceCell::new(),
            status,
            withdrawals: Vec::new(),
            writes: Vec::new(),
            last_writes: Vec::new(),
            events: Vec::new(),
            asks: Vec::new(),
            calls: Vec::new(),
            wake: None,
            occupancy: Occupancy::None,
        }
    }

    /// Returns the policy that the rollout started with, if it can be run.
    pub(in crate::engine) fn policy(&self) -> Option<Arc<Policy>> {
        let returning = self.status.trial.as_ref()?.returning;
        let begun = || {
            let policy = self.s.begun.as_ref()?.as_ref().ok()?;
            let switch = || vec![Stage::Shift(Shift::ALL)];
            let returned = || Arc::new(Policy { stages: switch(), ..Policy::clone(policy) });
            Some(if returning { returned() } else { Arc::clone(policy) })
        };
        self.policy.get_or_init(begun).clone()
    }

    /// In a new epoch, plans to stamp it on all objects of the rollout in progress before any other
    /// write: a late write of a former leader then conflicts with the newer resource version.
    /// Returns whether the epoch is new.
    pub(in crate::engine) fn take_over(&mut self) -> bool {
        if self.status.trial.is_none() || self.status.epoch == self.s.epoch {
            return false;
        }
        let old = |epoch: u64| epoch < self.s.epoch;
        let mut stamps = Vec::new();
        for route in self.routes().iter().map(|route| route.main).filter(|route| old(route.meta.epoch)) {
            stamps.push(patches::stamped(Kind::Route(route.resource), &route.meta, vec![]));
        }
        // A Service that selects both versions has no pin by which it could be recognized.
        let used = |service: &&Service| {
            service.selector.contains_key(api::HASH) || self.shifting() == Shifting::Services
        };
        for service in self.services().filter(used).filter(|service| old(service.meta.epoch)) {
            stamps.push(patches::stamped(Kind::Service, &service.meta, vec![]));
        }
        if let Some(canary) =
            self.canary().filter(|canary| old(canary.meta.epoch) && !self.deployment_owns_canary())
        {
            stamps.push(patches::stamped(Kind::ReplicaSet, &canary.meta, vec![]));
        }
        self.writes = stamps;
        self.status.epoch = self.s.epoch;
        true
    }

    /// Ends the reconcile. Writes the status if it differs from the one that was read.
    pub(in crate::engine) fn finish(mut self) -> Decision {
        self.status.epoch = if self.status.trial.is_some() { self.s.epoch } else { self.r.status.epoch };
        self.set_conditions();
        self.explain_refusal();
        // A refused rollout is watched too: the fix may be a change of a Service or a route.
        let refused = condition_with(&self.status.conditions, "Accepted", "False").is_some();
        let occupancy = if self.status.trial.is_some() { Occupancy::InProgress } else { self.occupancy };
        let in_flight = self.status.trial.is_some() || self.status.waiting.is_some() || refused;
        if self.status != self.r.status {
            // A change of replicas alone is no reason to write: the generation follows with the
            // next change of the status, of which a push of another template is one.
            self.status.observed_deployment_generation = self.d.meta.generation;
            let turns = self.status.phase == Phase::RollingBack && self.r.status.phase != Phase::RollingBack;
            let status = Box::new(self.status);
            let status = Write::Status { version: self.r.meta.version.clone(), status };
            // Once the traffic is withdrawn, nothing comes before the record of the reason: a write
            // that fails would lose it.
            let at = if turns && !self.withdrawals.is_empty() { 0 } else { self.writes.len() };
            self.writes.insert(at, status);
        }
        self.writes.append(&mut self.last_writes);
        let withdrawals = self.withdrawals.len();
        let writes: Vec<Write> = self.withdrawals.into_iter().chain(self.writes).collect();
        Decision {
            fresh: fresh::needed(&writes, withdrawals, &self.r.status),
            withdrawals,
            writes,
            events: self.events,
            asks: self.asks,
            calls: self.calls,
            wake: self.wake,
            in_flight,
            occupancy,
        }
    }
}
