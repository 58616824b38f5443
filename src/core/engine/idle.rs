//! No rollout is in progress and one version serves: adopts the Deployment, starts a rollout,
//! leaves the Deployment, or does nothing.

use super::{
    leave::leave,
    native_rollout, orphans,
    patches::{self, Release},
    reasons::{EventReason, NativeRollout, Stable, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
    revision, setup,
    snapshot::{PolicyState, ReplicaSet},
    start,
};
use crate::api::{Phase, condition_with};

/// Plans the first thing that is missing.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    orphans::none_left(r)?;
    r.write_all(patches::finalizer(r.rollout(), false))?;
    if r.rollout().meta.deleting || r.deployment().meta.deleting {
        return STOP;
    }
    r.pin(None)?;
    if r.world().policy == PolicyState::Unnamed {
        leave(r);
        return STOP;
    }
    let accepted = setup::accept(r);
    let active = native_rollout::active(r).count();
    let Some(stable) = stable(r) else {
        // Without a ReplicaSet, nothing serves: the held template is rolled out all the same.
        return if active == 0 && r.held() { start::held(r, accepted) } else { native_rollout::between(r) };
    };
    remember(r, stable);
    if stable.template == r.deployment().template {
        settle(r);
        return started(r, stable);
    }
    if !r.held() {
        r.move_to(Phase::Stable);
        let native = WaitReason::NativeRollout(NativeRollout::NotHeld);
        return r.wait(&native, Since::FirstReported, EndsBy::Person);
    }
    start::held(r, accepted)
}

/// Returns the `ReplicaSet` that serves: the only one that has pods. If none has pods: while a
/// template is held, the recorded one, or the newest one that has another template; otherwise the
/// one with the template.
fn stable<'a>(r: &Reconcile<'a>) -> Option<&'a ReplicaSet> {
    let d = r.deployment();
    let mut active = native_rollout::active(r);
    if let Some(one) = active.next() {
        return Some(one).filter(|_| active.next().is_none());
    }
    let own = |set: &&ReplicaSet| d.owns(set) && !set.meta.deleting;
    let sets = || r.world().replica_sets.iter().filter(own);
    let recorded = r.stable().filter(own);
    let of_template = sets().find(|set| set.template == d.template);
    if !r.held() {
        return of_template.or(recorded);
    }
    if r.status().stable.is_some() {
        return recorded;
    }
    let others = sets().filter(|set| set.template != d.template);
    others.max_by_key(|set| set.meta.created).or(of_template)
}

/// Waits for the first ready pod of a version that has never served. Once `Complete` is True, pods
/// that are not ready do not change it.
fn started(r: &mut Reconcile, stable: &ReplicaSet) -> Flow {
    let before = &r.rollout().status;
    let known = before.stable.as_ref().is_some_and(|before| before.revision == stable.hash);
    let served = known && condition_with(&before.conditions, "Complete", "True").is_some();
    if served || stable.available > 0 || r.deployment().replicas == 0 {
        return GO_ON;
    }
    r.wait(&WaitReason::StableUnavailable(Stable::Start), Since::FirstReported, EndsBy::Person)
}

fn remember(r: &mut Reconcile, stable: &ReplicaSet) {
    let known = r.status().stable.as_ref().filter(|known| known.revision == stable.hash);
    let generation = known.map_or(r.deployment().meta.generation, |known| known.generation);
    r.set_stable(revision::of(stable, generation));
}

/// Cleans up once the Deployment has stable's template: nothing is under analysis, nothing is held.
fn settle(r: &mut Reconcile) {
    r.move_to(Phase::Stable);
    // A reverted failure stays in status: if the template is pushed again, it is not tried again.
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
