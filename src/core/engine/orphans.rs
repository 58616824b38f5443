//! What a Rollout left behind that was deleted by force: found by its label, and rolled back like any
//! other rollout.

use super::{
    patches,
    plan::Kind,
    reasons::{EventReason, Withdrawal},
    reconcile::{Flow, GO_ON, Reconcile, STOP},
    revision,
    snapshot::{ReplicaSet, Service},
};
use crate::{
    api::{self, Failure, Trial},
    traffic::gateway::{self, Pair},
};

/// Looks for remains without a memory of them. Goes on where there are none.
pub(super) fn none_left(r: &mut Reconcile) -> Flow {
    let service =
        r.world().services.iter().find(|service| !service.meta.deleting && r.is_ours(&service.meta.labels));
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

/// What can be known of the lost rollout: the route's weights before it can't.
fn memory(r: &Reconcile, service: &Service) -> Trial {
    let stable = service.meta.labels.get(api::CANARY_OF).cloned().unwrap_or_default();
    let pair = Pair { namespace: &r.world().namespace, stable: &stable, canary: &service.meta.name };
    let touched = r.world().routes.iter().filter(|route| gateway::names_canary(&route.spec, &pair));
    let routes =
        touched.map(|route| (route.meta.name.clone(), gateway::unknown(&route.spec, &pair))).collect();
    Trial { service: stable, canary_service: service.meta.name.clone(), routes, ..Trial::default() }
}

/// The `ReplicaSet` by which a rejected template is recognized, and why it was rejected.
pub(super) fn rejected<'a>(r: &Reconcile<'a>) -> Option<(&'a ReplicaSet, String)> {
    loose(r).find(|set| rejected_by_mark(r, set)).map(|set| (set, set.meta.annotations[api::FAILED].clone()))
}

fn rejected_by_mark(r: &Reconcile, set: &ReplicaSet) -> bool {
    set.meta.annotations.contains_key(api::FAILED) && set.template == r.deployment().template
}

/// Canaries of this Rollout that the Deployment does not own.
fn loose<'a, 'b>(r: &'b Reconcile<'a>) -> impl Iterator<Item = &'a ReplicaSet> + use<'a, 'b> {
    let loose = |set: &&ReplicaSet| !r.deployment().owns(set) && !set.meta.deleting;
    r.world().replica_sets.iter().filter(loose).filter(|set| r.is_ours(&set.meta.labels))
}
