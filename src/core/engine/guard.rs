//! Ends a rollout in progress for an intent, a template, a pod or a metric.

use super::{
    baseline, measure, ownership,
    reasons::{Failure, Lack, Withdrawal},
    reconcile::{Flow, GO_ON, Reconcile},
    rollback,
    snapshot::{PolicyState, Restarts},
};
use crate::api::{Handover, Phase};

/// The number of restarts of a container that counts as a crash loop.
const RESTARTS: i32 = 2;

/// Continues if nothing ends the rollout; otherwise rolls back.
pub(super) fn guard(r: &mut Reconcile) -> Flow {
    if !r.can_fail() {
        return GO_ON;
    }
    if let Some(lost) = r.alone() {
        if r.trial().handover == Some(Handover::Transferring) {
            return GO_ON;
        }
        if lost == Lack::Gone || unwanted(r) == Some(Withdrawal::Superseded) {
            return baseline::succeed(r, lost);
        }
    }
    if r.marked_failed(&r.revision()) {
        return rollback::resume(r);
    }
    if let Some(by) = r.aborted_by() {
        return rollback::fail(r, &Failure::Aborted { by });
    }
    if let Some(withdrawal) = unwanted(r) {
        return rollback::withdraw(r, withdrawal);
    }
    // In phase Preparing, admission causes the difference, and `prepare` handles it.
    if r.status().phase != Phase::Preparing
        && r.trial().native.is_none()
        && r.canary().is_some_and(|canary| canary.template != r.deployment().template)
    {
        return rollback::fail(r, &Failure::CanaryChanged);
    }
    if let Some(refused) = r.refused_too_long() {
        let failure = Failure::WriteRefused(refused.clone());
        return rollback::fail(r, &failure);
    }
    if let Some(failure) = crashing(r) {
        return rollback::fail(r, &failure);
    }
    measure::count(r)
}

/// Returns the failure if a canary pod is crash looping.
fn crashing(r: &Reconcile) -> Option<Failure> {
    let revision = r.revision();
    let pods = r.world().pods.iter().filter(|pod| pod.hash == revision && !pod.deleting);
    let mut looping = pods.filter_map(|pod| Some((pod, pod.restarts.as_ref()?)));
    let (pod, restarts) = looping.find(|(_, restarts)| restarts.backing_off || restarts.count >= RESTARTS)?;
    let Restarts { container, count, backing_off: _ } = restarts.clone();
    Some(Failure::CrashLoop { pod: pod.name.clone(), container, restarts: count })
}

/// Returns why this revision is no longer wanted, if it is not.
fn unwanted(r: &Reconcile) -> Option<Withdrawal> {
    let d = r.deployment();
    if r.world().policy == PolicyState::Unnamed || r.rollout().meta.deleting || d.meta.deleting {
        return Some(Withdrawal::Left);
    }
    if let Some((service, first)) = ownership::lost(r.world()) {
        let (service, deployment) = (service.meta.name.clone(), first.deployment.clone());
        return Some(Withdrawal::Conflict { service, deployment });
    }
    if !r.held() {
        return Some(Withdrawal::Resumed);
    }
    if let Some(by) = r.skipped_by() {
        return Some(Withdrawal::Skipped { by });
    }
    if r.stable_is_wanted() {
        return Some(Withdrawal::StableTemplate);
    }
    // The generation also counts changes of replicas: only another template is a push.
    let trial = r.status().trial.as_ref()?;
    let pushed = trial.native.as_ref().or_else(|| r.canary().map(|canary| &canary.template))?;
    let minted = r.status().canary.as_ref().map_or(0, |canary| canary.generation);
    (d.meta.generation != minted && *pushed != d.template).then_some(Withdrawal::Superseded)
}
