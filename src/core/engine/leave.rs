//! Nothing of Steelyard stays: the annotation was removed, or the Deployment is gone.

use super::{
    ownership, patches,
    patches::Release,
    plan::{Decision, Kind, Write},
    reasons::EventReason,
    reconcile::Reconcile,
    snapshot::Snapshot,
};
use crate::traffic::gateway::{self, Pair};

/// The annotation is gone. A template that was held stays paused, for a person to resume.
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

/// The Deployment is gone, or another one of its name has come: routes and Services are given back, and
/// nothing of ours keeps the Rollout.
pub(super) fn without_deployment(s: &Snapshot) -> Decision {
    let Some(rollout) = &s.rollout else { return Decision::default() };
    let mut writes = Vec::new();
    if let Some(trial) = &rollout.status.trial {
        let pair = Pair { namespace: &s.namespace, stable: &trial.service, canary: &trial.canary_service };
        let canary = rollout.status.canary.as_ref();
        let revision = canary.map(|canary| canary.revision.as_str()).unwrap_or_default();
        let routes = s.routes.iter().filter_map(|route| Some((route, trial.routes.get(&route.meta.name)?)));
        writes.extend(routes.filter_map(|(route, original)| {
            patches::restore_route(route, &gateway::restored(&route.spec, &pair, original), revision)
        }));
        // A canary that is no longer wanted must not be shown by Services that lose their pin.
        let canary =
            canary.and_then(|canary| s.replica_sets.iter().find(|set| set.meta.name == canary.replica_set));
        if let Some(canary) = canary.filter(|set| set.existing > 0 || set.replicas > 0) {
            writes.extend((canary.replicas > 0).then(|| patches::scale(&canary.meta, 0)));
            return Decision { writes, in_flight: true, ..Decision::default() };
        }
        writes.extend(ownership::services(s).filter_map(|service| patches::pin(service, None)));
        if writes.is_empty() {
            let routes = s.routes.iter().filter(|route| trial.routes.contains_key(&route.meta.name));
            writes.extend(routes.filter_map(|route| patches::disown(Kind::HttpRoute, &route.meta)));
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
