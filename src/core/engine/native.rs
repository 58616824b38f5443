//! The handover's substitute: where the canary's template isn't the Deployment's, because admission changes templates of
//! `ReplicaSets`, the Deployment controller starts pods of its own while the canary serves. Slower, never wrong.

use super::{Kind, ReplicaSet, back, object, pass::Pass, promote};
use crate::api::Handover;

/// Lets the Deployment controller roll out, and waits until its new pods serve.
pub(super) fn replace(pass: &mut Pass) {
    let pushed = pass.trial().native.clone().unwrap_or_default();
    if pass.d.paused {
        if pushed != pass.d.template {
            back::withdraw(pass, "Superseded", "a newer template was pushed");
        } else if promote::widened(pass) {
            pass.writes.extend(object::release(pass.d, true));
        }
        return;
    }
    if !pass.pin(None) {
        return;
    }
    let Some(new) = successor(pass) else {
        pass.wait("NativeRollout", "waiting for the Deployment controller's own pods of the new version");
        return;
    };
    let n = pass.d.replicas;
    let alone = pass.stable().is_none_or(|stable| stable.existing == 0);
    let serves = pass.services().all(|service| pass.ready(service, &new.hash) >= n);
    if new.available >= n && alone && serves {
        pass.enter(Handover::Replaced);
    } else {
        pass.wait("NativeRollout", "the Deployment controller rolls out while the canary serves");
    }
}

/// Takes the canary down and ends the rollout.
pub(super) fn end(pass: &mut Pass) {
    if !back::cleaned(pass) {
        return;
    }
    match pass.canary() {
        Some(canary) if canary.replicas > 0 => pass.writes.push(object::scale(&canary.meta, 0)),
        Some(canary) if canary.existing > 0 => pass.wait("Pods", "waiting for the canary's pods to end"),
        canary => {
            let Some(new) = successor(pass) else {
                pass.wait(
                    "NativeRollout",
                    "waiting for the Deployment controller's own pods of the new version",
                );
                return;
            };
            pass.late.extend(canary.map(|canary| object::delete(Kind::ReplicaSet, &canary.meta)));
            promote::complete(pass, new, "its pods were started by the Deployment controller");
        }
    }
}

/// The `ReplicaSet` that the Deployment controller made of the template.
pub(super) fn successor<'a>(pass: &Pass<'a>) -> Option<&'a ReplicaSet> {
    let new = |set: &&ReplicaSet| pass.d.owns(set) && set.template == pass.d.template && set.replicas > 0;
    pass.s.replica_sets.iter().find(new)
}
