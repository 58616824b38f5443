//! No rollout is in progress: one version serves. Adopts a Deployment, starts a rollout, leaves, or does
//! nothing.

use super::{
    leave::leave,
    native_rollout, orphans,
    patches::{self, Release},
    reasons::{EventReason, NativeRollout, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
    revision, setup,
    snapshot::{Policy, ReplicaSet},
    start,
};
use crate::api::Phase;

/// Does what is missing first.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    orphans::none_left(r)?;
    r.write_all(patches::finalizer(r.rollout(), false))?;
    if r.rollout().meta.deleting || r.deployment().meta.deleting {
        return STOP;
    }
    r.pin(None)?;
    if r.world().policy == Policy::Unnamed {
        leave(r);
        return STOP;
    }
    let accepted = setup::accept(r);
    let Some(stable) = stable(r) else { return native_rollout::between(r) };
    remember(r, stable);
    if stable.template == r.deployment().template {
        native_rollout::bring(r)?;
        settle(r);
        return GO_ON;
    }
    if !r.held() {
        r.move_to(Phase::Stable);
        let native = WaitReason::NativeRollout(NativeRollout::NotHeld);
        return r.wait(&native, Since::FirstReported, EndsBy::Person);
    }
    r.set_pending(None);
    start::held(r, accepted)
}

/// The `ReplicaSet` that serves: the only one that has pods; without any, the one that is on record while
/// the template is held, else the template's own.
fn stable<'a>(r: &Reconcile<'a>) -> Option<&'a ReplicaSet> {
    let d = r.deployment();
    let own = |set: &&ReplicaSet| d.owns(set) && !set.meta.deleting;
    let sets = || r.world().replica_sets.iter().filter(own);
    let active: Vec<_> = sets().filter(|set| set.replicas > 0).collect();
    match active.as_slice() {
        [one] => Some(*one),
        [] => {
            let recorded = r.stable().filter(own);
            let of_template = sets().find(|set| set.template == d.template);
            if r.held() { recorded.or(of_template) } else { of_template.or(recorded) }
        }
        _ => None,
    }
}

fn remember(r: &mut Reconcile, stable: &ReplicaSet) {
    let known = r.status().stable.as_ref().filter(|known| known.revision == stable.hash);
    let generation = known.map_or(r.deployment().meta.generation, |known| known.generation);
    r.set_stable(revision::of(stable, generation));
}

/// Stable's own template is in place: nothing is under analysis, nothing is held.
fn settle(r: &mut Reconcile) {
    r.move_to(Phase::Stable);
    // What was reverted stays on record: pushed again, it is not tried again.
    let reverted = r.status().failure.as_ref().is_some_and(|failure| failure.reverted);
    if !reverted {
        r.set_failure(None);
    }
    r.set_verdict(None);
    r.clear_step();
    if r.held()
        && let Some(write) = patches::release(r.deployment(), Release::Resume)
    {
        r.write(write);
        r.report(&EventReason::Released);
    }
    if !reverted {
        r.discard();
        r.set_canary(None);
    }
}
