//! Resource versions: each changed object gets a new one, whoever changed it.

use std::collections::BTreeMap;

use steelyard_core::engine::{Deployment, Meta, ReplicaSet, Rollout, Service, Snapshot};
use steelyard_core::traffic::Object;

/// The objects as of their current versions.
///
/// Tests change objects in place, as another client would. An object that differs from this record
/// gets a new version before the next reconcile or write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    last: u64,
    deployments: BTreeMap<String, Deployment>,
    replica_sets: BTreeMap<String, ReplicaSet>,
    services: BTreeMap<String, Service>,
    routes: BTreeMap<String, Object>,
    rollouts: BTreeMap<String, Rollout>,
}

impl Versions {
    /// Gives a new version to each object that has changed since the last call.
    pub(crate) fn note(&mut self, s: &mut Snapshot) {
        let last = &mut self.last;
        note(last, &mut self.deployments, s.deployment.iter_mut());
        note(last, &mut self.replica_sets, s.replica_sets.iter_mut());
        note(last, &mut self.services, s.services.iter_mut());
        note(last, &mut self.routes, s.routes.iter_mut());
        note(last, &mut self.rollouts, s.rollout.iter_mut());
    }
}

fn note<'a, T: Stored + 'a>(
    last: &mut u64,
    known: &mut BTreeMap<String, T>,
    objects: impl Iterator<Item = &'a mut T>,
) {
    for object in objects {
        if known.get(&object.meta().name).is_some_and(|known| known.same(object)) {
            continue;
        }
        *last += 1;
        object.meta().version = last.to_string();
        known.insert(object.meta().name.clone(), object.clone());
    }
}

/// An object that the API server stores.
trait Stored: Clone {
    fn meta(&mut self) -> &mut Meta;
    /// Returns whether the stored fields of this object are unchanged.
    fn same(&self, other: &Self) -> bool;
}

impl Stored for Deployment {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn same(&self, other: &Self) -> bool {
        let numbers =
            |d: &Self| (d.replicas, d.min_ready_seconds, d.max_surge, d.history_limit, d.observed_generation);
        self.meta == other.meta
            && numbers(self) == numbers(other)
            && (self.paused, self.recreate) == (other.paused, other.recreate)
            && (&self.template, &self.selector) == (&other.template, &other.selector)
    }
}

impl Stored for ReplicaSet {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn same(&self, other: &Self) -> bool {
        let numbers = |set: &Self| {
            (set.replicas, set.min_ready_seconds, set.available, set.existing, set.observed_generation)
        };
        self.meta == other.meta
            && numbers(self) == numbers(other)
            && (&self.controller, &self.failure) == (&other.controller, &other.failure)
            && (&self.hash, &self.template) == (&other.hash, &other.template)
    }
}

impl Stored for Service {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// Its endpoints are separate objects.
    fn same(&self, other: &Self) -> bool {
        self.meta == other.meta
            && (&self.selector, &self.ports) == (&other.selector, &other.ports)
            && self.exposure == other.exposure
    }
}

impl Stored for Object {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn same(&self, other: &Self) -> bool {
        self.meta == other.meta && self.spec == other.spec && self.status == other.status
    }
}

impl Stored for Rollout {
    fn meta(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn same(&self, other: &Self) -> bool {
        self.meta == other.meta
            && (&self.finalizers, &self.owner) == (&other.finalizers, &other.owner)
            && (&self.spec, &self.status) == (&other.spec, &other.status)
    }
}
