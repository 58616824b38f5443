//! Objects with a newer leadership epoch than the leader's.

use super::{
    reasons::NewerEpoch,
    snapshot::{ReplicaSet, Service, Snapshot},
};
use crate::api::EPOCH;

/// Returns an object of the rollout with a newer epoch than the snapshot's. Marks on other objects
/// do not count: their labels or selectors alone put them into the snapshot.
///
/// Every client that may write the object may write the epoch, so a newer epoch alone does not end
/// the leadership: the caller checks the lease.
pub fn newer(snapshot: &Snapshot) -> Option<NewerEpoch> {
    let status = snapshot.rollout.iter();
    let status = status.map(|r| ("Rollout", r.meta.name.as_str(), "status.epoch", r.status.epoch));
    let deployment = snapshot.deployment.iter().map(|d| ("Deployment", &d.meta));
    let own = |set: &&ReplicaSet| {
        let canary = snapshot.rollout.as_ref().and_then(|r| r.status.canary.as_ref());
        canary.is_some_and(|canary| canary.replica_set == set.meta.name)
            || snapshot.deployment.as_ref().is_some_and(|d| d.owns(set))
    };
    let sets = snapshot.replica_sets.iter().filter(own).map(|set| ("ReplicaSet", &set.meta));
    let trial = snapshot.rollout.as_ref().and_then(|r| r.status.trial.as_ref());
    let used = |service: &&Service| {
        let name = &service.meta.name;
        trial.is_some_and(|trial| trial.services.contains(name) || trial.canary_service == *name)
    };
    let services = snapshot.services.iter().filter(used).map(|service| ("Service", &service.meta));
    let routes = snapshot
        .routes
        .iter()
        .filter(|object| trial.is_some_and(|trial| trial.routes.iter().any(|route| route.is(object))));
    let routes = routes.map(|route| (route.resource.kind, &route.meta));
    let objects = deployment.chain(sets).chain(services).chain(routes);
    let marks = objects.map(|(kind, meta)| (kind, meta.name.as_str(), EPOCH, meta.epoch)).chain(status);
    let own = snapshot.epoch;
    marks
        .filter(|(_, _, _, found)| *found > own)
        .map(|(kind, name, field, found)| NewerEpoch { object: format!("{kind} {name}"), field, found, own })
        .next()
}
