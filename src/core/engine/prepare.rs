//! Preparing: Services pinned to stable, the canary `ReplicaSet` at 0 pods, its Service. No traffic
//! moves.

use super::{
    canary_service, manifests, patches,
    plan::Kind,
    reasons::{EventReason, Stable, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
    revision,
    snapshot::ReplicaSet,
    zero_replicas::suspended,
};
use crate::api::Phase;

/// Does what is missing first; goes on once stepping may begin.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    let Some(stable) = r.stable() else {
        let gone = WaitReason::Stable(Stable::Gone);
        return r.wait(&gone, Since::FirstReported, EndsBy::Person);
    };
    suspended(r)?;
    without_twin(r, stable)?;
    // These don't depend on each other, for the canary has no pods yet; the next reconcile sees whether
    // all of them stand.
    let pinned = r.pin(Some(&stable.hash));
    let Some(canary) = r.canary() else { return create(r) };
    if canary.template != r.deployment().template && r.trial().native.is_none() {
        let pushed = r.deployment().template.clone();
        r.trial().native = Some(pushed);
        r.report(&EventReason::TemplateAltered);
    }
    canary_service::stands(r)?;
    pinned?;
    r.move_to(Phase::Stepping);
    GO_ON
}

/// Goes on where no other `ReplicaSet` of the Deployment has this template: the Deployment controller
/// takes the oldest of them for the new one (`FindNewReplicaSet`).
fn without_twin(r: &mut Reconcile, stable: &ReplicaSet) -> Flow {
    let Some(twin) = r.twin(stable) else { return GO_ON };
    if twin.replicas == 0 && twin.existing == 0 {
        return r.write_all([patches::delete(Kind::ReplicaSet, &twin.meta)]);
    }
    let waits = WaitReason::Twin { replica_set: twin.meta.name.clone() };
    r.wait(&waits, Since::FirstReported, EndsBy::Person)
}

/// Creates the canary's `ReplicaSet`. A push that came before it renames the revision: nothing was made
/// of the former one.
fn create(r: &mut Reconcile) -> Flow {
    let known = r.status().canary.clone().unwrap_or_default();
    let (s, d) = (r.world(), r.deployment());
    if known.generation != d.meta.generation {
        r.set_canary(Some(revision::mint(d, &s.name)));
        return STOP;
    }
    r.write(manifests::canary(s, d, r.rollout(), &known.replica_set, &known.revision));
    canary_service::stands(r)
}
