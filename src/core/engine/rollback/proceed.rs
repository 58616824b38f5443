//! A rollback goes on: the drain, pods, Services and routes, the record.

use super::begin::pin_to_stable;
use crate::{
    api::{self, Cause, End, OnFail, Phase},
    engine::{
        cleanup, patches,
        plan::Kind,
        reasons::{Draining, EventReason, Pods, Stable, WaitReason},
        reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
        snapshot::ReplicaSet,
    },
};

/// Does what is missing first.
pub(in crate::engine) fn proceed(r: &mut Reconcile) -> Flow {
    let canary = r.canary();
    if let Some(canary) = canary.filter(|canary| canary.existing > 0 || canary.replicas > 0) {
        return take_down(r, canary);
    }
    cleanup::cleaned(r)?;
    end(r, canary)
}

/// Ends the canary's pods, once traffic has left them.
fn take_down(r: &mut Reconcile, canary: &ReplicaSet) -> Flow {
    pin_to_stable(r, None)?;
    if let Some(write) = r.take_back(None) {
        r.write(write);
        r.trial().stage_since = None;
        return STOP;
    }
    r.lasted(r.world().drain, &WaitReason::Draining(Draining::Canary))?;
    let no_pods = r.stable().is_some_and(|stable| stable.available == 0);
    if r.held() && r.deployment().replicas > 0 && no_pods {
        return r.wait(&WaitReason::Stable(Stable::NoPods), Since::FirstReported, EndsBy::Person);
    }
    if canary.replicas > 0 {
        return r.write_all([patches::scale(&canary.meta, 0)]);
    }
    r.wait(&WaitReason::Pods(Pods::End), Since::FirstReported, EndsBy::Person)
}

/// Nothing of the rollout is left: writes down how it ended.
fn end(r: &mut Reconcile, canary: Option<&ReplicaSet>) -> Flow {
    let failure = r.status().failure.clone().unwrap_or_default();
    match failure.cause {
        Cause::Failure | Cause::Abort => {
            let reverted = reverted(r, &failure);
            r.end_trial(End::RolledBack, Phase::RolledBack);
            r.write_last(canary.and_then(|canary| patches::rejected(&canary.meta, &failure.reason)));
            let revision = r.revision();
            r.report(&EventReason::RolledBack { failure: failure.message, revision, reverted });
        }
        Cause::Withdrawal | Cause::Skip => {
            r.end_trial(End::Withdrawn, Phase::Stable);
            r.set_failure(None);
            r.write_last(canary.map(|canary| patches::delete(Kind::ReplicaSet, &canary.meta)));
            if failure.cause == Cause::Skip && r.held() {
                // Before the status: what is released is not forgotten in a crash.
                let release = patches::release(r.deployment(), patches::Release::Resume);
                r.plan(release);
            }
        }
    }
    GO_ON
}

/// Writes stable's template back, if the policy says so and no person wanted the rollback. The failure
/// stays on record, so that a tool that pushes the rejected template again only finds it held. Returns
/// whether it is back.
fn reverted(r: &mut Reconcile, failure: &api::Failure) -> bool {
    let wanted = r.policy().is_some_and(|valid| valid.on_fail == OnFail::Revert);
    let d = r.deployment();
    let Some(stable) = r.stable().filter(|_| wanted && failure.cause != Cause::Abort && r.held()) else {
        return false;
    };
    if stable.template != d.template {
        let rejected = failure.template.as_ref().or_else(|| r.canary().map(|canary| &canary.template));
        if rejected != Some(&d.template) {
            // A newer one came meanwhile: its own rollout is next.
            return false;
        }
        r.write(patches::template(d, &stable.template));
    }
    r.set_failure(Some(api::Failure { reverted: true, ..failure.clone() }));
    true
}
