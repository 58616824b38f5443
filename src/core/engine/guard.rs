//! Everything that may end a rollout in progress: a person, a template, a pod, a metric.

use super::{
    measure, ownership,
    reasons::{Failure, Recalled, Withdrawal},
    reconcile::{Flow, GO_ON, Reconcile},
    rollback,
    snapshot::Policy,
};
use crate::api::{Handover, Phase};

/// How many restarts of a container are a crash loop.
const RESTARTS: i32 = 2;

/// Goes on where nothing ends the rollout; else rolls back.
pub(super) fn guard(r: &mut Reconcile) -> Flow {
    let native = r.trial().handover.is_some_and(|stage| stage >= Handover::Native);
    if r.adopted() || native && !r.held() {
        return GO_ON;
    }
    if r.marked_failed(&r.revision()) {
        return rollback::fail(r, &Failure::Failed(Recalled::ByEarlierLeader));
    }
    if let Some(by) = r.aborted_by() {
        return rollback::fail(r, &Failure::Aborted { by });
    }
    if let Some(withdrawal) = unwanted(r) {
        return rollback::withdraw(r, withdrawal);
    }
    // While it is being prepared, a difference is admission's doing, and dealt with there.
    if r.status().phase != Phase::Preparing
        && r.trial().native.is_none()
        && r.canary().is_some_and(|canary| canary.template != r.deployment().template)
    {
        return rollback::fail(r, &Failure::CanaryChanged);
    }
    if let Some(failure) = crashing(r) {
        return rollback::fail(r, &failure);
    }
    measure::count(r)
}

/// A canary pod that crashes again and again.
fn crashing(r: &Reconcile) -> Option<Failure> {
    let revision = r.revision();
    let pod = r.world().pods.iter().find(|pod| {
        let looping = pod.trouble.as_ref().is_some_and(|(reason, _)| reason == "CrashLoopBackOff");
        pod.hash == revision && !pod.deleting && (looping || pod.restarts >= RESTARTS)
    })?;
    Some(Failure::CrashLoop { pod: pod.name.clone(), restarts: pod.restarts })
}

/// Why this revision is no longer wanted, if so.
fn unwanted(r: &Reconcile) -> Option<Withdrawal> {
    let d = r.deployment();
    if r.world().policy == Policy::Unnamed || r.rollout().meta.deleting || d.meta.deleting {
        return Some(Withdrawal::Left);
    }
    if let Some((service, first)) = ownership::lost(r.world()) {
        let (service, deployment) = (service.meta.name.clone(), first.deployment.clone());
        return Some(Withdrawal::Conflict { service, deployment });
    }
    if !r.held() {
        return Some(Withdrawal::Released);
    }
    if let Some(by) = r.skipped_by() {
        return Some(Withdrawal::Skipped { by });
    }
    if r.stable_is_wanted() {
        return Some(Withdrawal::Withdrawn);
    }
    // The generation also counts changes of replicas: only with another template is it a push.
    let trial = r.status().trial.as_ref()?;
    let pushed = trial.native.as_ref().or_else(|| r.canary().map(|canary| &canary.template))?;
    let minted = r.status().canary.as_ref().map_or(0, |canary| canary.generation);
    (d.meta.generation != minted && *pushed != d.template).then_some(Withdrawal::Superseded)
}
