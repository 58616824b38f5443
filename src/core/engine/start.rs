//! Handles a held template that is not stable's: starts its rollout, unless a person skipped it, it
//! was rejected already, or it has to wait.

use super::{
    orphans,
    patches::{self, Release},
    plan::Kind,
    reasons::{EventReason, Failure, Recalled, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since, after, person},
    revision,
    setup::Accepted,
    snapshot::{Capacity, Deployment, Rollout},
    unmeasured_sets, zero_replicas,
};
use crate::{
    api::{self, Cause, Past, Phase, RolloutOutcome, Trial},
    policy::Policy,
};

/// Handles a held template.
pub(super) fn held(r: &mut Reconcile, accepted: Option<Accepted>) -> Flow {
    not_skipped(r)?;
    unmeasured_sets::remove(r)?;
    not_aborted(r);
    if !rejected(r) {
        return start(r, accepted);
    }
    r.move_to(Phase::RolledBack);
    accepted.map_or(GO_ON, |accepted| retry(r, accepted))
}

/// Returns whether a held template would start a rollout now, and so needs a place in the queue.
pub fn wants_capacity(deployment: &Deployment, rollout: &Rollout) -> bool {
    let status = &rollout.status;
    let failed = status.failure.as_ref().map(|failure| failure.template_hash.as_str());
    let rejected =
        status.phase == Phase::RolledBack && failed == Some(revision::hash(&deployment.template).as_str());
    deployment.held() && status.trial.is_none() && (!rejected || rollout.spec.retry.is_some())
}

/// Releases the held template for a native rollout if a person set `spec.skip`; otherwise
/// continues.
pub(super) fn not_skipped(r: &mut Reconcile) -> Flow {
    let Some(by) = r.skipped_by() else { return GO_ON };
    r.discard();
    r.plan(patches::release(r.deployment(), Release::Resume));
    r.set_canary(None);
    r.set_failure(None);
    r.set_attempt(None);
    r.move_to(Phase::Stable);
    r.report(&EventReason::Skipped { by });
    STOP
}

/// Rejects the held template if a person aborted it before its rollout started.
fn not_aborted(r: &mut Reconcile) {
    let template_hash = r.status().template_hash.clone();
    let rejected = |failure: &api::Failure| failure.template_hash == template_hash;
    let Some(by) = r.aborted_by().filter(|_| !r.status().failure.as_ref().is_some_and(rejected)) else {
        return;
    };
    let failure = Failure::Aborted { by };
    r.discard();
    r.set_canary(Some(revision::mint(r.deployment(), &r.world().name)));
    r.set_failure(Some(api::Failure {
        cause: failure.cause(),
        reason: failure.word().to_owned(),
        message: failure.to_string(),
        at: Some(r.now()),
        template_hash,
        ..api::Failure::default()
    }));
    let (failure, revision) = (failure.to_string(), r.revision());
    r.report(&EventReason::RolledBack { failure, revision, reverted: false });
}

/// Returns whether the held template is the rejected one, which is tried again only after
/// `spec.retry`.
fn rejected(r: &mut Reconcile) -> bool {
    if r.status().failure.is_none()
        && r.status().trial.is_none()
        && let Some((set, reason)) = orphans::rejected(r)
    {
        r.set_canary(Some(revision::of(set, r.deployment().meta.generation)));
        let message = Failure::CauseUnknown(Recalled::UnderEarlierRollout).to_string();
        let (cause, template_hash) = (Cause::Failure, r.status().template_hash.clone());
        r.set_failure(Some(api::Failure {
            cause,
            reason,
            message,
            template_hash,
            ..api::Failure::default()
        }));
    }
    let Some(failure) = &r.status().failure else { return false };
    failure.template_hash == r.status().template_hash
}

/// Tries the rejected template again, with the same `ReplicaSet`, if a person set `spec.retry`.
fn retry(r: &mut Reconcile, Accepted { policy, setup }: Accepted) -> Flow {
    let spec = &r.rollout().spec;
    let tried = r.status().attempt.unwrap_or(1);
    let intent = spec.retry.as_ref().filter(|retry| r.meant(&retry.revision) && retry.attempt > tried);
    let Some(intent) = intent else { return GO_ON };
    let named = |intent: Option<&String>| intent.is_some_and(|revision| r.meant(revision));
    let (abort, promote) = (spec.abort.as_ref(), spec.promote.as_ref());
    if named(abort.map(|abort| &abort.revision)) || named(promote.map(|promote| &promote.revision)) {
        return r.wait(&WaitReason::OldIntent, Since::FirstReported, EndsBy::Person);
    }
    may_start(r, &policy)?;
    if let Some(other) = r.canary().filter(|set| set.template != r.deployment().template) {
        r.write(patches::delete(Kind::ReplicaSet, &other.meta));
    }
    let (attempt, by, revision) = (intent.attempt, person(intent.by.as_deref()), r.revision());
    r.move_to(Phase::Preparing);
    r.set_failure(None);
    r.set_attempt(Some(attempt));
    begin(r, &Accepted { policy, setup });
    r.report(&EventReason::Retrying { by, revision, attempt });
    STOP
}

/// Starts the rollout of a new template. Its revision is recorded before any object is created for
/// it.
fn start(r: &mut Reconcile, accepted: Option<Accepted>) -> Flow {
    r.move_to(Phase::Preparing);
    r.set_failure(None);
    if r.discard() {
        return STOP;
    }
    r.set_canary(None);
    let Some(accepted) = accepted else {
        return r.wait(&WaitReason::NotAccepted, Since::FirstReported, EndsBy::Person);
    };
    may_start(r, &accepted.policy)?;
    let canary = revision::mint(r.deployment(), &r.world().name);
    let (revision, tag) = (canary.revision.clone(), canary.tag.clone());
    r.set_canary(Some(canary));
    r.set_attempt(None);
    begin(r, &accepted);
    let returning = r.trial().returning;
    r.report(&EventReason::Preparing { tag, revision, returning });
    STOP
}

/// Continues if the Deployment has replicas and the queue allows a start. A return to a version
/// within `rollbackWindow` does not queue.
fn may_start(r: &mut Reconcile, policy: &Policy) -> Flow {
    if r.deployment().replicas == 0 {
        return zero_replicas::awaited(r);
    }
    let Capacity::Queued { place, of, in_flight } = r.world().capacity else { return GO_ON };
    if served_before(r, policy) {
        return GO_ON;
    }
    r.queue();
    let queue = WaitReason::Queue { place, of, in_flight };
    r.wait(&queue, Since::FirstReported, EndsBy::Person)
}

/// Records the objects that the rollout uses, before any of them is written.
fn begin(r: &mut Reconcile, Accepted { policy, setup }: &Accepted) {
    let returning = served_before(r, policy);
    let trial = Trial {
        policy: serde_json::to_value(&policy.spec).ok(),
        services: r.services().map(|service| service.meta.name.clone()).collect(),
        service: setup.service.clone(),
        canary_service: setup.canary_service.clone(),
        shifting: policy.shifting,
        returning,
        router: policy.router,
        routes: setup.routes.clone(),
        since: Some(r.now()),
        ..Trial::default()
    };
    r.begin(trial, if returning { 1 } else { policy.stages.len() });
    r.plan(patches::finalizer(r.rollout(), true));
}

/// Returns whether the template was stable within the policy's `rollbackWindow`: the history
/// contains the rollout that replaced it.
fn served_before(r: &Reconcile, policy: &Policy) -> bool {
    let Some(window) = policy.window else { return false };
    let served =
        |past: &&Past| matches!(past.outcome, RolloutOutcome::Complete | RolloutOutcome::ServesAlone);
    let mut last = r.status().history.iter().rev().filter(served).take(window.revisions);
    let replaced =
        last.find(|past| past.before_template == r.status().template_hash).and_then(|past| past.ended);
    replaced.is_some_and(|at| r.now() <= after(at, window.within))
}
