//! Which Deployment owns a Service that selects the pods of several managed Deployments: the first
//! one.

use crate::engine::snapshot::{Claim, Claimant, Service, Snapshot};

/// Returns the other Deployment that owns a Service, if any.
pub(in crate::engine) fn first<'a>(s: &Snapshot, service: &'a Service) -> Option<&'a Claimant> {
    let own = s.rollout.as_ref().map(Claim::of)?;
    service.claimants.iter().filter(|claimant| claimant.claim < own).min_by_key(|claimant| &claimant.claim)
}

/// Returns the other Deployment that owns a Service and has a rollout in progress, if any: its pin
/// must not be changed.
pub(in crate::engine) fn holder<'a>(s: &Snapshot, service: &'a Service) -> Option<&'a Claimant> {
    first(s, service).filter(|claimant| !claimant.claim.idle)
}

/// Returns a Service of the rollout in progress that another Deployment with precedence uses too:
/// both rollouts started at the same time, and neither saw the other.
pub(in crate::engine) fn lost(s: &Snapshot) -> Option<(&Service, &Claimant)> {
    let trial = s.rollout.as_ref()?.status.trial.as_ref()?;
    let used = |service: &&Service| trial.services.contains(&service.meta.name);
    s.services.iter().filter(used).find_map(|service| Some((service, holder(s, service)?)))
}
