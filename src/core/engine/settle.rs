//! A template that was pushed in the middle of a native rollout. Pausing froze a mix of two versions, and letting go would
//! roll out the new template unmeasured; so the native rollout's own template is written back until it has settled, and
//! then the new one is brought as a push of its own. It is kept in status meanwhile.

use super::{ReplicaSet, object, pass::Pass};

/// Two versions have pods: lets the native rollout go on to its end.
pub(super) fn between(pass: &mut Pass) {
    let why = "the Deployment's pods are between two versions: waiting for one of them to serve alone";
    pass.wait("Settling", why);
    if !pass.held() {
        return;
    }
    let Some(target) = target(pass) else { return };
    if target.template == pass.d.template {
        pass.writes.extend(object::release(pass.d, true));
    } else if pass.status.pending.as_ref() == Some(&pass.d.template) {
        pass.writes.push(object::template(pass.d, &target.template));
    } else {
        // The status first: what was pushed must not be lost.
        pass.status.pending = Some(pass.d.template.clone());
        let note = "a native rollout was on when this template was pushed: it is let to its end first";
        pass.tell(true, "Settling", "Settle", note);
    }
}

/// The version that the native rollout was rolling out: the latest of those that have pods.
fn target<'a>(pass: &Pass<'a>) -> Option<&'a ReplicaSet> {
    let own = pass.s.replica_sets.iter().filter(|set| pass.d.owns(set) && set.replicas > 0);
    own.max_by_key(|set| object::number(&set.meta))
}

/// One version serves again: brings what was pushed meanwhile. Returns whether there is something to bring.
pub(super) fn brought(pass: &mut Pass) -> bool {
    let Some(pending) = pass.status.pending.clone() else { return false };
    if pass.held() {
        // Written back, but not yet let go: as between two versions.
        pass.writes.extend(object::release(pass.d, true));
    } else if pending == pass.d.template {
        pass.status.pending = None;
        return false;
    } else {
        pass.writes.push(object::template(pass.d, &pending));
    }
    pass.wait(
        "Settling",
        "the native rollout has settled: the template that was pushed meanwhile is brought now",
    );
    true
}
