//! Objects that a Rollout left behind because it was deleted by force: found by label and owner, and
//! rolled back like any other rollout.

use super::{
    patches,
    plan::Kind,
    reasons::{EventReason, Withdrawal},
    reconcile::{Flow, GO_ON, Reconcile, STOP},
    revision,
    snapshot::{ReplicaSet, Service},
};
use crate::{
    api::{self, Failure, ShiftedRoute, Trial},
    traffic::{Original, Pair, RouterKind, router},
};

/// Searches for objects of a rollout that status does not record. Continues if there are none.
pub(super) fn none_left(r: &mut Reconcile) -> Flow {
    let service =
        r.world().services.iter().find(|service| !service.meta.deleting && r.is_ours(&service.meta));
    let known = r.status().canary.as_ref().map(|canary| canary.replica_set.clone());
    let set = loose(r).find(|set| Some(&set.meta.name) != known.as_ref() && !rejected_by_mark(r, set));
    match (service, set) {
        (None, None) => return GO_ON,
        (None, Some(set)) if set.replicas == 0 && set.existing == 0 => {
            return r.write_all([patches::delete(Kind::ReplicaSet, &set.meta)]);
        }
        _ => {}
    }
    let trial = service.map(|service| memory(r, service)).unwrap_or_default();
    r.recall(trial, set.map(|set| revision::of(set, 0)));
    let orphaned = Withdrawal::Orphaned;
    r.roll_back(Failure {
        cause: orphaned.cause(),
        reason: orphaned.word().to_owned(),
        message: orphaned.to_string(),
        ..Failure::default()
    });
    r.plan(patches::finalizer(r.rollout(), true));
    r.report(&EventReason::Orphaned);
    STOP
}

/// Returns what is known of the lost rollout. The routes store their original weights.
fn memory(r: &Reconcile, service: &Service) -> Trial {
    let stable = service.meta.labels.get(api::CANARY_OF).cloned().unwrap_or_default();
    let canary_service = service.meta.name.clone();
    // The routes refer to the canary Service, so a router finds them by it.
    let pair =
        Pair { namespace: &r.world().namespace, stable: &canary_service, canary: "", ..Pair::default() };
    let routes = RouterKind::ALL.iter().flat_map(|kind| router(*kind).find(&r.world().routes, &pair, &[]));
    let routes = routes.map(|route| ShiftedRoute::of(route.main, Original::default())).collect();
    Trial { service: stable, canary_service, routes, ..Trial::default() }
}

/// Returns the `ReplicaSet` that marks the template as rejected, and the reason.
pub(super) fn rejected<'a>(r: &Reconcile<'a>) -> Option<(&'a ReplicaSet, String)> {
    loose(r).find(|set| rejected_by_mark(r, set)).map(|set| (set, set.meta.annotations[api::FAILED].clone()))
}

fn rejected_by_mark(r: &Reconcile, set: &ReplicaSet) -> bool {
    set.meta.annotations.contains_key(api::FAILED) && set.template == r.deployment().template
}

/// Canaries of this Rollout that the Deployment does not own.
fn loose<'a, 'b>(r: &'b Reconcile<'a>) -> impl Iterator<Item = &'a ReplicaSet> + use<'a, 'b> {
    let loose = |set: &&ReplicaSet| !r.deployment().owns(set) && !set.meta.deleting;
    r.world().replica_sets.iter().filter(loose).filter(|set| r.is_ours(&set.meta))
}
