//! The values of a reconcile, its beginning and its end.

use std::{cell::OnceCell, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    api::{self, RolloutStatus, Shifting, Trial},
    engine::{
        patches,
        plan::{Ask, Call, Decision, Event, Kind, Slot, Write},
        snapshot::{Deployment, Rollout, Service, Snapshot},
    },
    policy::{Shift, Stage, Valid, valid},
};

/// One reconcile in progress.
pub(in crate::engine) struct Reconcile<'a> {
    pub(super) s: &'a Snapshot,
    pub(super) d: &'a Deployment,
    pub(super) r: &'a Rollout,
    /// Each pod's hash, by its name.
    pub(super) hashes: BTreeMap<&'a str, &'a str>,
    /// The policy of the rollout in progress, compiled once: its queries are parsed for that.
    valid: OnceCell<Option<Valid>>,
    pub(super) status: RolloutStatus,
    pub(super) writes: Vec<Write>,
    pub(super) last_writes: Vec<Write>,
    pub(super) events: Vec<Event>,
    pub(super) asks: Vec<Ask>,
    pub(super) calls: Vec<Call>,
    pub(super) wake: Option<Timestamp>,
    pub(super) slot: Slot,
}

impl<'a> Reconcile<'a> {
    pub(in crate::engine) fn new(s: &'a Snapshot, d: &'a Deployment, r: &'a Rollout) -> Self {
        let mut status = r.status.clone();
        status.observed_generation = r.meta.generation;
        status.waiting = None;
        Self {
            s,
            d,
            r,
            hashes: s.pods.iter().map(|pod| (pod.name.as_str(), pod.hash.as_str())).collect(),
            valid: OnceCell::new(),
            status,
            writes: Vec::new(),
            last_writes: Vec::new(),
            events: Vec::new(),
            asks: Vec::new(),
            calls: Vec::new(),
            wake: None,
            slot: Slot::None,
        }
    }

    /// The policy that the rollout began with.
    pub(in crate::engine) fn policy(&self) -> Option<Valid> {
        let compile = |trial: &Trial| {
            let mut valid = valid(trial.policy.as_ref()?).ok()?;
            if trial.returning {
                valid.stages = vec![Stage::Shift(Shift::ALL)];
            }
            Some(valid)
        };
        let trial = self.status.trial.as_ref()?;
        self.valid.get_or_init(|| compile(trial)).clone()
    }

    /// In a new epoch, plans to stamp it on all objects of a rollout in progress before anything else
    /// is done: a write that a former leader sent late then meets a newer resource version. Returns
    /// whether the epoch is new.
    pub(in crate::engine) fn take_over(&mut self) -> bool {
        if self.status.trial.is_none() || self.status.epoch == self.s.epoch {
            return false;
        }
        let old = |epoch: u64| epoch < self.s.epoch;
        let mut stamps = Vec::new();
        if let Some(route) = self.route().map(|(route, _)| route).filter(|route| old(route.meta.epoch)) {
            stamps.push(patches::stamped(Kind::HttpRoute, &route.meta, vec![]));
        }
        // A Service that leads to both versions has no pin to recognize it by.
        let used = |service: &&Service| {
            service.selector.contains_key(api::HASH) || self.shifting() == Shifting::Services
        };
        for service in self.services().filter(used).filter(|service| old(service.meta.epoch)) {
            stamps.push(patches::stamped(Kind::Service, &service.meta, vec![]));
        }
        if let Some(canary) = self.canary().filter(|canary| old(canary.meta.epoch) && !self.adopted()) {
            stamps.push(patches::stamped(Kind::ReplicaSet, &canary.meta, vec![]));
        }
        self.writes = stamps;
        self.status.epoch = self.s.epoch;
        true
    }

    /// Ends the reconcile: the status is written if it differs from the one that was read.
    pub(in crate::engine) fn finish(mut self) -> Decision {
        self.status.epoch = if self.status.trial.is_some() { self.s.epoch } else { self.r.status.epoch };
        self.set_conditions();
        // What is refused is watched as well: the fix may be a change of a Service or a route.
        let refused = self.status.conditions.iter().any(|c| c.type_ == "Accepted" && c.status == "False");
        let slot = if self.status.trial.is_some() { Slot::Taken } else { self.slot };
        let in_flight = self.status.trial.is_some() || self.status.waiting.is_some() || refused;
        if self.status != self.r.status {
            let status = Box::new(self.status);
            self.writes.push(Write::Status { version: self.r.meta.version.clone(), status });
        }
        self.writes.append(&mut self.last_writes);
        Decision {
            writes: self.writes,
            events: self.events,
            asks: self.asks,
            calls: self.calls,
            wake: self.wake,
            in_flight,
            slot,
        }
    }
}
