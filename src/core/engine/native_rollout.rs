//! A template that was pushed during a native rollout. Pausing froze a mix of two versions, and
//! releasing the Deployment would roll out the new template unmeasured; so the native rollout's own
//! template is written back until it has settled, and then the new one is brought as a push of its own.
//! It is kept in status meanwhile.

use super::{
    patches::{self, Release},
    reasons::{EventReason, Settling, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since},
    snapshot::ReplicaSet,
};

/// Two versions have pods: lets the native rollout go on to its end.
pub(super) fn between(r: &mut Reconcile) -> Flow {
    let wait = waits(r, Settling::Between);
    let d = r.deployment();
    let Some(target) = target(r).filter(|_| r.held()) else { return wait };
    if target.template == d.template {
        r.plan(patches::release(d, Release::Resume));
    } else if r.status().pending.as_ref() == Some(&d.template) {
        r.write(patches::template(d, &target.template));
    } else {
        // The status first: what was pushed must not be lost.
        r.set_pending(Some(d.template.clone()));
        r.report(&EventReason::Settling);
    }
    wait
}

/// The version that the native rollout was rolling out: the latest of those that have pods.
fn target<'a>(r: &Reconcile<'a>) -> Option<&'a ReplicaSet> {
    let own = r.world().replica_sets.iter().filter(|set| r.deployment().owns(set) && set.replicas > 0);
    own.max_by_key(|set| patches::number(&set.meta))
}

/// One version serves again: brings what was pushed meanwhile. Goes on where there is nothing to bring.
pub(super) fn bring(r: &mut Reconcile) -> Flow {
    let Some(pending) = r.status().pending.clone() else { return GO_ON };
    let d = r.deployment();
    if r.held() {
        // Written back, and not released yet: as between two versions.
        r.plan(patches::release(d, Release::Resume));
    } else if pending == d.template {
        r.set_pending(None);
        return GO_ON;
    } else {
        r.write(patches::template(d, &pending));
    }
    waits(r, Settling::Settled)
}

fn waits(r: &mut Reconcile, settling: Settling) -> Flow {
    r.wait(&WaitReason::Settling(settling), Since::FirstReported, EndsBy::Person)
}
