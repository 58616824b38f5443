//! The rest of a rollback: the drain, pods, Services and routes, the record in status.

use super::begin::pin_to_stable;
use crate::{
    api::{self, Cause, OnFailure, Phase, RolloutOutcome},
    engine::{
        acceptance, baseline, cleanup, native_rollout, patches,
        plan::Kind,
        reasons::{Draining, EventReason, Lack, Pods, Stable, WaitReason},
        reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
        snapshot::ReplicaSet,
    },
};

/// Plans the first thing that is missing.
pub(in crate::engine) fn proceed(r: &mut Reconcile) -> Flow {
    let canary = r.canary();
    if let Some(canary) = canary.filter(|canary| canary.existing > 0 || canary.replicas > 0) {
        return take_down(r, canary);
    }
    cleanup::cleaned(r)?;
    end(r, canary)
}

/// Scales the canary to 0 once the router sends it nothing more and its connections have drained.
fn take_down(r: &mut Reconcile, canary: &ReplicaSet) -> Flow {
    pin_to_stable(r, None)?;
    let routes = r.take_back(None);
    if !routes.is_empty() {
        r.withdraw(routes);
        r.trial().stage_since = None;
        return STOP;
    }
    if canary.replicas == 0 {
        return r.wait(&WaitReason::Pods(Pods::End), Since::FirstReported, EndsBy::Person);
    }
    acceptance::released(r)?;
    r.lasted(r.drain(), &WaitReason::Draining(Draining::Canary))?;
    relieved(r)?;
    // The drain of the canary Service is another one.
    r.trial().stage_since = None;
    r.write_all([patches::scale(&canary.meta, 0)])
}

/// Continues once a version that the Deployment owns has pods for the traffic. After a push during
/// a native handover, that is the one that the Deployment controller started, or stable.
fn relieved(r: &mut Reconcile) -> Flow {
    if r.deployment().replicas == 0 {
        return GO_ON;
    }
    if let Some(lost) = r.alone() {
        if let Some(by) = r.skipped_by() {
            r.report(&EventReason::Skipped { by });
            return r.write_all(patches::release(r.deployment(), patches::Release::Resume));
        }
        let pushed =
            r.status().canary.as_ref().is_none_or(|canary| canary.template_hash != r.status().template_hash);
        if lost == Lack::Gone || pushed && !r.stable_is_wanted() {
            return baseline::succeed(r, lost);
        }
        return r.wait(
            &WaitReason::StableUnavailable(Stable::Return(lost)),
            Since::FirstReported,
            EndsBy::Person,
        );
    }
    let n = r.deployment().replicas;
    let active: Vec<_> = native_rollout::active(r).collect();
    let none = WaitReason::StableUnavailable(Stable::Return(Lack::NoPods));
    if !r.held() {
        let serves = active.iter().any(|set| set.available > 0);
        let serving = r.canary().is_some_and(|canary| canary.available > 0);
        return if serves || !serving { GO_ON } else { r.wait(&none, Since::FirstReported, EndsBy::Person) };
    }
    let is_stable = |set: &ReplicaSet| r.stable().is_some_and(|stable| stable.meta.name == set.meta.name);
    match active.as_slice() {
        [one] if one.available >= n || one.available > 0 && is_stable(one) => GO_ON,
        [_] if r.canary().is_some_and(|canary| canary.available > 0) => {
            r.wait(&none, Since::FirstReported, EndsBy::Person)
        }
        [_] | [] => GO_ON,
        _ => {
            let pinned = active.iter().copied().find(|set| is_stable(set) && set.replicas >= n);
            match pinned.or_else(|| native_rollout::kept(r)) {
                Some(kept) => native_rollout::settle(r, kept),
                None => GO_ON,
            }
        }
    }
}

/// Records how the rollout ended, once nothing of it is left.
fn end(r: &mut Reconcile, canary: Option<&ReplicaSet>) -> Flow {
    let failure = r.status().failure.clone().unwrap_or_default();
    match failure.cause {
        Cause::Failure | Cause::Abort => {
            let reverted = reverted(r, &failure);
            r.end_trial(RolloutOutcome::RolledBack, Phase::RolledBack);
            r.write_last(canary.and_then(|canary| patches::rejected(&canary.meta, &failure.reason)));
            let revision = r.revision();
            r.report(&EventReason::RolledBack { failure: failure.message, revision, reverted });
        }
        Cause::Withdrawal | Cause::Skip => {
            r.end_trial(RolloutOutcome::Withdrawn, Phase::Stable);
            r.set_failure(None);
            r.write_last(canary.map(|canary| patches::delete(Kind::ReplicaSet, &canary.meta)));
            if failure.cause == Cause::Skip && r.held() {
                // Before the status write, so that a crash does not lose the release.
                let release = patches::release(r.deployment(), patches::Release::Resume);
                r.plan(release);
            }
        }
    }
    GO_ON
}

/// Writes stable's template back if the policy has `onFailure: Revert` and no person aborted. The
/// failure stays in status, so that the rejected template stays held if a tool pushes it again.
/// Returns whether stable's template is back.
fn reverted(r: &mut Reconcile, failure: &api::Failure) -> bool {
    let wanted = r.policy().is_some_and(|policy| policy.on_failure == OnFailure::Revert);
    let d = r.deployment();
    let Some(stable) = r.stable().filter(|_| wanted && failure.cause != Cause::Abort && r.held()) else {
        return false;
    };
    if stable.template != d.template {
        if failure.template_hash != r.status().template_hash {
            // A newer template was pushed meanwhile: its rollout is next.
            return false;
        }
        r.write(patches::template(d, &stable.template));
    }
    r.set_failure(Some(api::Failure { reverted: true, ..failure.clone() }));
    true
}
