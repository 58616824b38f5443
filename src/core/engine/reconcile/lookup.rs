//! What a reconcile reads.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::context::Reconcile;
use crate::{
    api::{self, RolloutStatus, Shifting, Version},
    engine::{
        ownership,
        snapshot::{Deployment, Exposure, ReplicaSet, Rollout, Service, Snapshot},
    },
    traffic::{self, Meta, Object, Pair, Route, Router, RouterKind, service::SERVICE},
};

/// How long a DNS answer is valid: `ttl` and `cache` of `CoreDNS` as kubeadm installs it.
const DNS_TTL: SignedDuration = SignedDuration::from_secs(30);

impl<'a> Reconcile<'a> {
    /// Returns the time of this reconcile.
    pub(in crate::engine) fn now(&self) -> Timestamp {
        self.s.now
    }

    /// Returns the snapshot.
    pub(in crate::engine) fn world(&self) -> &'a Snapshot {
        self.s
    }

    /// Returns the Deployment.
    pub(in crate::engine) fn deployment(&self) -> &'a Deployment {
        self.d
    }

    /// Returns the Rollout, as it was read.
    pub(in crate::engine) fn rollout(&self) -> &'a Rollout {
        self.r
    }

    /// Returns the new status.
    pub(in crate::engine) fn status(&self) -> &RolloutStatus {
        &self.status
    }

    /// Returns the canary's `ReplicaSet`.
    pub(in crate::engine) fn canary(&self) -> Option<&'a ReplicaSet> {
        let name = &self.status.canary.as_ref()?.replica_set;
        self.s.replica_sets.iter().find(|set| set.meta.name == *name && !name.is_empty())
    }

    /// Returns stable's `ReplicaSet`.
    pub(in crate::engine) fn stable(&self) -> Option<&'a ReplicaSet> {
        let name = &self.status.stable.as_ref()?.replica_set;
        self.s.replica_sets.iter().find(|set| set.meta.name == *name)
    }

    /// Returns whether the Deployment's template is stable's.
    pub(in crate::engine) fn stable_is_wanted(&self) -> bool {
        self.stable().is_some_and(|stable| stable.template == self.d.template)
    }

    /// Returns the canary's revision.
    pub(in crate::engine) fn revision(&self) -> String {
        self.status.canary.as_ref().map(|canary| canary.revision.clone()).unwrap_or_default()
    }

    /// Returns stable's revision.
    pub(in crate::engine) fn stable_revision(&self) -> String {
        self.status.stable.as_ref().map(|stable| stable.revision.clone()).unwrap_or_default()
    }

    /// Returns whether the Deployment's template is held: paused, with Steelyard's label.
    pub(in crate::engine) fn held(&self) -> bool {
        self.d.held()
    }

    /// Returns whether the Deployment already owns the canary.
    pub(in crate::engine) fn deployment_owns_canary(&self) -> bool {
        self.canary().is_some_and(|canary| self.d.owns(canary))
    }

    /// Returns another `ReplicaSet` than stable that has the Deployment's template: the Deployment
    /// controller would use it as the new one.
    pub(in crate::engine) fn same_template(&self) -> Option<&'a ReplicaSet> {
        let d = self.d;
        let of_template = |set: &&ReplicaSet| d.owns(set) && set.template == d.template;
        let stable = self.status.stable.as_ref().map(|stable| stable.replica_set.as_str());
        self.s.replica_sets.iter().filter(of_template).find(|set| Some(set.meta.name.as_str()) != stable)
    }

    /// Returns the Services that carry the Deployment's traffic and that it may pin.
    pub(in crate::engine) fn services(&self) -> impl Iterator<Item = &'a Service> + use<'a> {
        ownership::services(self.s)
    }

    /// Returns how long clients may use pods that no longer serve: the operator's `drain`, and for
    /// a headless Service at least the validity of DNS answers.
    pub(in crate::engine) fn drain(&self) -> SignedDuration {
        let headless = self.services().any(|service| service.exposure == Exposure::Headless);
        if headless { self.s.drain.max(DNS_TTL) } else { self.s.drain }
    }

    /// Returns the canary Service.
    pub(in crate::engine) fn canary_service(&self) -> Option<&'a Service> {
        let name = &self.status.trial.as_ref()?.canary_service;
        self.s.services.iter().find(|service| service.meta.name == *name)
    }

    /// Returns the number of ready pods of a Service with this hash.
    pub(in crate::engine) fn ready(&self, service: &Service, hash: &str) -> i32 {
        let of_hash = |pod: &&String| self.hashes.get(pod.as_str()) == Some(&hash);
        i32::try_from(service.ready.iter().filter(of_hash).count()).unwrap_or(i32::MAX)
    }

    /// Returns the router of the rollout in progress.
    pub(in crate::engine) fn router(&self) -> &'static dyn Router {
        traffic::router(self.status.trial.as_ref().map(|trial| trial.router).unwrap_or_default())
    }

    /// Returns the Services between which the router divides traffic.
    pub(in crate::engine) fn pair(&self) -> Pair<'_> {
        let trial = self.status.trial.as_ref();
        Pair {
            namespace: &self.s.namespace,
            stable: trial.map_or("", |trial| &trial.service),
            canary: trial.map_or("", |trial| &trial.canary_service),
            stable_hash: if self.lack().is_none() { hash(self.status.stable.as_ref()) } else { "" },
            canary_hash: hash(self.status.canary.as_ref()),
        }
    }

    /// Returns the objects that divide the traffic: routes, or the Services themselves.
    pub(in crate::engine) fn divided(&self) -> Vec<Route<'_>> {
        match self.status.trial.as_ref().map(|trial| trial.router) {
            Some(RouterKind::Service) => self.router().find(self.service_objects(), &self.pair(), &[]),
            _ => self.routes(),
        }
    }

    /// Returns all routes of the rollout: those that refer to the Service now, and those that did
    /// when the rollout wrote to them. Empty if the Services alone move the traffic.
    pub(in crate::engine) fn routes(&self) -> Vec<Route<'_>> {
        let Some(trial) = &self.status.trial else { return Vec::new() };
        let policy = self.policy();
        let listed = policy.as_ref().map(|policy| policy.listed.as_slice()).unwrap_or_default();
        let mut routes = self.router().find(&self.s.routes, &self.pair(), listed);
        for known in &trial.routes {
            let gone = !routes.iter().any(|route| known.is(route.main));
            let object = self.s.routes.iter().find(|object| known.is(object)).filter(|_| gone);
            routes.extend(object.map(|main| Route { main, companions: Vec::new() }));
        }
        routes
    }

    /// Returns the Services that carry the Deployment's traffic, as a router reads them.
    fn service_objects(&self) -> &[Object] {
        self.service_objects.get_or_init(|| {
            let object = |service: &Service| Object {
                resource: SERVICE,
                meta: service.meta.clone(),
                spec: json!({"selector": service.selector}),
                status: Value::Null,
            };
            self.services().map(object).collect()
        })
    }

    /// Returns what moves the traffic.
    pub(in crate::engine) fn shifting(&self) -> Shifting {
        self.status.trial.as_ref().map(|trial| trial.shifting).unwrap_or_default()
    }

    /// Returns whether the Rollout, as it was read, has a condition with this message.
    pub(in crate::engine) fn has_condition(&self, type_: &str, message: &str) -> bool {
        let mut known = self.r.status.conditions.iter();
        known.any(|condition| condition.type_ == type_ && condition.message == message)
    }

    /// Returns whether Steelyard created an object for this Rollout: it has the label, and the
    /// Rollout or the Deployment owns it. Anybody can set the label, or copy it with an object.
    pub(in crate::engine) fn is_ours(&self, meta: &Meta) -> bool {
        let deployment = self.s.deployment.as_ref().map(|d| &d.meta);
        let mut owners = deployment.into_iter().chain([&self.r.meta]);
        meta.labels.get(api::ROLLOUT) == Some(&self.r.meta.name)
            && owners.any(|owner| meta.owners.contains(&owner.uid))
    }
}

/// Returns the `pod-template-hash` of a version's pods.
fn hash(version: Option<&Version>) -> &str {
    version.map_or("", |version| &version.revision)
}
