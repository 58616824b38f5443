//! What a reconcile reads of the world.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::context::Reconcile;
use crate::{
    api::{self, RolloutStatus, Shifting},
    engine::{
        ownership,
        snapshot::{Deployment, ReplicaSet, Rollout, Route, Service, Snapshot},
    },
    traffic::gateway::Original,
};

impl<'a> Reconcile<'a> {
    /// The time of this reconcile.
    pub(in crate::engine) fn now(&self) -> Timestamp {
        self.s.now
    }

    /// All that was read.
    pub(in crate::engine) fn world(&self) -> &'a Snapshot {
        self.s
    }

    /// The Deployment.
    pub(in crate::engine) fn deployment(&self) -> &'a Deployment {
        self.d
    }

    /// The Rollout, as it was read.
    pub(in crate::engine) fn rollout(&self) -> &'a Rollout {
        self.r
    }

    /// The status, as it will be.
    pub(in crate::engine) fn status(&self) -> &RolloutStatus {
        &self.status
    }

    /// The canary's `ReplicaSet`.
    pub(in crate::engine) fn canary(&self) -> Option<&'a ReplicaSet> {
        let name = &self.status.canary.as_ref()?.replica_set;
        self.s.replica_sets.iter().find(|set| set.meta.name == *name && !name.is_empty())
    }

    /// Stable's `ReplicaSet`.
    pub(in crate::engine) fn stable(&self) -> Option<&'a ReplicaSet> {
        let name = &self.status.stable.as_ref()?.replica_set;
        self.s.replica_sets.iter().find(|set| set.meta.name == *name)
    }

    /// Whether the Deployment's template is stable's.
    pub(in crate::engine) fn stable_is_wanted(&self) -> bool {
        self.stable().is_some_and(|stable| stable.template == self.d.template)
    }

    /// The canary's revision.
    pub(in crate::engine) fn revision(&self) -> String {
        self.status.canary.as_ref().map(|canary| canary.revision.clone()).unwrap_or_default()
    }

    /// Stable's revision.
    pub(in crate::engine) fn stable_revision(&self) -> String {
        self.status.stable.as_ref().map(|stable| stable.revision.clone()).unwrap_or_default()
    }

    /// Whether the Deployment's template is held: paused, with our label.
    pub(in crate::engine) fn held(&self) -> bool {
        self.d.held()
    }

    /// Whether the canary is the Deployment's own already.
    pub(in crate::engine) fn adopted(&self) -> bool {
        self.canary().is_some_and(|canary| self.d.owns(canary))
    }

    /// Another `ReplicaSet` of the Deployment than stable that has its template: the Deployment
    /// controller would take that one for the new one.
    pub(in crate::engine) fn twin(&self, stable: &ReplicaSet) -> Option<&'a ReplicaSet> {
        let d = self.d;
        let of_template = |set: &&ReplicaSet| d.owns(set) && set.template == d.template;
        self.s.replica_sets.iter().filter(of_template).find(|set| set.meta.name != stable.meta.name)
    }

    /// The Services that carry the Deployment's traffic and are its to pin.
    pub(in crate::engine) fn services(&self) -> impl Iterator<Item = &'a Service> + use<'a> {
        ownership::services(self.s)
    }

    /// The canary Service.
    pub(in crate::engine) fn canary_service(&self) -> Option<&'a Service> {
        let name = &self.status.trial.as_ref()?.canary_service;
        self.s.services.iter().find(|service| service.meta.name == *name)
    }

    /// How many ready pods of a hash a Service has.
    pub(in crate::engine) fn ready(&self, service: &Service, hash: &str) -> i32 {
        let of_hash = |pod: &&String| self.hashes.get(pod.as_str()) == Some(&hash);
        i32::try_from(service.ready.iter().filter(of_hash).count()).unwrap_or(i32::MAX)
    }

    /// The route in use, and how it was.
    pub(in crate::engine) fn route(&self) -> Option<(&'a Route, Original)> {
        let (name, original) = self.status.trial.as_ref()?.routes.first_key_value()?;
        let route = self.s.routes.iter().find(|route| route.meta.name == *name)?;
        Some((route, original.clone()))
    }

    /// What moves the traffic.
    pub(in crate::engine) fn shifting(&self) -> Shifting {
        self.status.trial.as_ref().map(|trial| trial.shifting).unwrap_or_default()
    }

    /// Whether the Rollout, as it was read, has a condition with this message.
    pub(in crate::engine) fn has_condition(&self, type_: &str, message: &str) -> bool {
        let mut known = self.r.status.conditions.iter();
        known.any(|condition| condition.type_ == type_ && condition.message == message)
    }

    /// Whether these labels name this Rollout as the one that an object belongs to.
    pub(in crate::engine) fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(api::ROLLOUT) == Some(&self.r.meta.name)
    }
}
