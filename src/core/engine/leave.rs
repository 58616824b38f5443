//! Removes everything of Steelyard after the annotation was removed or the Deployment was deleted.

use super::{
    ownership, patches,
    patches::Release,
    plan::{Decision, Kind, Write},
    reasons::EventReason,
    reconcile::Reconcile,
    snapshot::Snapshot,
};
use crate::traffic::{Pair, Route, router};

/// Leaves a Deployment without the annotation. A held template stays paused until a person resumes
/// it.
pub(super) fn leave(r: &mut Reconcile) {
    r.discard();
    let how = if r.stable_is_wanted() { Release::Resume } else { Release::StayPaused };
    r.leave_status();
    if let Some(write) = patches::release(r.deployment(), how) {
        r.write(write);
        r.report(&EventReason::Left);
        return;
    }
    r.write_last(Some(patches::delete(Kind::Rollout, &r.rollout().meta)));
}

/// Cleans up if the Deployment is gone, or another one with its name exists: restores routes and
/// Services, and removes the finalizer from the Rollout.
pub(super) fn without_deployment(s: &Snapshot) -> Decision {
    let Some(rollout) = &s.rollout else { return Decision::default() };
    let mut writes = Vec::new();
    if let Some(trial) = &rollout.status.trial {
        let pair = Pair {
            namespace: &s.namespace,
            stable: &trial.service,
            canary: &trial.canary_service,
            ..Pair::default()
        };
        let canary = rollout.status.canary.as_ref();
        let revision = canary.map(|canary| canary.revision.as_str()).unwrap_or_default();
        let shifted = || s.routes.iter().filter(|object| trial.routes.iter().any(|known| known.is(object)));
        for main in shifted() {
            let route = Route { main, companions: Vec::new() };
            writes.extend(patches::restore_route(router(trial.router), &route, &pair, revision));
        }
        // Services without a pin select the canary too, so its pods terminate first.
        let canary =
            canary.and_then(|canary| s.replica_sets.iter().find(|set| set.meta.name == canary.replica_set));
        if let Some(canary) = canary.filter(|set| set.existing > 0 || set.replicas > 0) {
            writes.extend((canary.replicas > 0).then(|| patches::scale(&canary.meta, 0)));
            return Decision { writes, in_flight: true, ..Decision::default() };
        }
        let pinned = ownership::services(s).chain(ownership::left_out(s));
        writes.extend(pinned.filter_map(|service| patches::pin(service, None)));
        if writes.is_empty() {
            writes.extend(
                shifted().filter_map(|route| patches::disown(Kind::Route(route.resource), &route.meta)),
            );
            let services = ownership::services(s).map(|service| &service.meta);
            writes.extend(services.filter_map(|meta| patches::disown(Kind::Service, meta)));
        }
    }
    if writes.is_empty() {
        let finalizer: Option<Write> = patches::finalizer(rollout, false);
        writes.extend(finalizer);
    }
    Decision { writes, ..Decision::default() }
}
