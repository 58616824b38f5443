//! The substitute for the handover if admission changes templates of `ReplicaSets`, so that the
//! canary's template is not the Deployment's: the Deployment controller starts its own pods while
//! the canary serves. Slower, but always correct.

use super::{
    cleanup,
    complete::complete,
    patches::{self, Release},
    plan::Kind,
    reasons::{Ended, NativeRollout, Pods, WaitReason, Withdrawal},
    reconcile::{EndsBy, Flow, Reconcile, STOP, Since},
    rollback,
    snapshot::ReplicaSet,
    widen::widened,
};
use crate::api::Handover;

/// Lets the Deployment controller roll out, and waits until its new pods serve.
pub(super) fn replace(r: &mut Reconcile) -> Flow {
    let pushed = r.trial().native.clone().unwrap_or_default();
    let d = r.deployment();
    if d.paused {
        if pushed != d.template {
            return rollback::withdraw(r, Withdrawal::Superseded);
        }
        widened(r)?;
        return r.write_all(patches::release(d, Release::Resume));
    }
    r.pin(None)?;
    let Some(new) = successor(r) else { return waits(r, NativeRollout::NoPods) };
    let alone = r.stable().is_none_or(|stable| stable.existing == 0);
    let serves = r.services().all(|service| r.ready(service, &new.hash) >= d.replicas);
    if new.available < d.replicas || !alone || !serves {
        return waits(r, NativeRollout::Running);
    }
    r.enter(Handover::RemovingCanary);
    STOP
}

/// Scales the canary to 0 and ends the rollout.
pub(super) fn end(r: &mut Reconcile) -> Flow {
    cleanup::cleaned(r)?;
    let canary = r.canary();
    if let Some(canary) = canary.filter(|canary| canary.replicas > 0) {
        return r.write_all([patches::scale(&canary.meta, 0)]);
    }
    if canary.is_some_and(|canary| canary.existing > 0) {
        return r.wait(&WaitReason::Pods(Pods::End), Since::FirstReported, EndsBy::Person);
    }
    let Some(new) = successor(r) else { return waits(r, NativeRollout::NoPods) };
    r.write_last(canary.map(|canary| patches::delete(Kind::ReplicaSet, &canary.meta)));
    complete(r, new, Ended::Native)
}

fn waits(r: &mut Reconcile, what: NativeRollout) -> Flow {
    r.wait(&WaitReason::NativeRollout(what), Since::FirstReported, EndsBy::Person)
}

/// Returns the `ReplicaSet` that the Deployment controller created for the template.
pub(super) fn successor<'a>(r: &Reconcile<'a>) -> Option<&'a ReplicaSet> {
    let d = r.deployment();
    let new = |set: &&ReplicaSet| d.owns(set) && set.template == d.template && set.replicas > 0;
    r.world().replica_sets.iter().find(new)
}
