//! A template that isn't stable's is held: its rollout starts, unless a person wants otherwise, it was
//! rejected already, or it has to wait.

use super::{
    orphans,
    patches::{self, Release},
    plan::Kind,
    reasons::{EventReason, Failure, Recalled, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since, after, person},
    revision,
    setup::Accepted,
    snapshot::{Deployment, Policy, Rollout, Turn},
    zero_replicas,
};
use crate::{
    api::{self, Cause, End, Phase, Trial},
    policy::Valid,
};

/// The template is held.
pub(super) fn held(r: &mut Reconcile, accepted: Option<Accepted>) -> Flow {
    not_skipped(r)?;
    if !rejected(r) {
        return start(r, accepted);
    }
    r.move_to(Phase::RolledBack);
    accepted.map_or(GO_ON, |accepted| retry(r, accepted))
}

/// Whether a held template would start a rollout now: only one that would needs a turn in the queue.
pub fn wants_turn(deployment: &Deployment, rollout: &Rollout) -> bool {
    let status = &rollout.status;
    let tried = status.canary.as_ref().map(|canary| canary.generation);
    let rejected = status.phase == Phase::RolledBack && tried == Some(deployment.meta.generation);
    deployment.held() && status.trial.is_none() && (!rejected || rollout.spec.retry.is_some())
}

/// A person may want the held template rolled out natively, unmeasured. Goes on where no one does.
fn not_skipped(r: &mut Reconcile) -> Flow {
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

/// Whether the held template is the one that was rejected: it is not tried again unasked.
fn rejected(r: &mut Reconcile) -> bool {
    if r.status().failure.is_none()
        && r.status().trial.is_none()
        && let Some((set, reason)) = orphans::rejected(r)
    {
        r.set_canary(Some(revision::of(set, r.deployment().meta.generation)));
        let message = Failure::Failed(Recalled::UnderEarlierRollout).to_string();
        let cause = Cause::Failure;
        r.set_failure(Some(api::Failure { cause, reason, message, ..api::Failure::default() }));
    }
    let Some(failure) = &r.status().failure else { return false };
    let tried = failure.template.as_ref().or_else(|| r.canary().map(|set| &set.template));
    tried == Some(&r.deployment().template)
}

/// A person may want the rejected template tried again, with the `ReplicaSet` it was tried with.
fn retry(r: &mut Reconcile, Accepted { valid, setup }: Accepted) -> Flow {
    let spec = &r.rollout().spec;
    let tried = r.status().attempt.unwrap_or(1);
    let intent = spec.retry.as_ref().filter(|retry| r.meant(&retry.revision) && retry.attempt > tried);
    let Some(intent) = intent else { return GO_ON };
    let named = |intent: Option<&String>| intent.is_some_and(|revision| r.meant(revision));
    let (abort, promote) = (spec.abort.as_ref(), spec.promote.as_ref());
    if named(abort.map(|abort| &abort.revision)) || named(promote.map(|promote| &promote.revision)) {
        return r.wait(&WaitReason::OldIntent, Since::FirstReported, EndsBy::Person);
    }
    may_start(r, &valid)?;
    if let Some(other) = r.canary().filter(|set| set.template != r.deployment().template) {
        r.write(patches::delete(Kind::ReplicaSet, &other.meta));
    }
    let (attempt, by, revision) = (intent.attempt, person(intent.by.as_deref()), r.revision());
    r.move_to(Phase::Preparing);
    r.set_failure(None);
    r.set_attempt(Some(attempt));
    begin(r, &Accepted { valid, setup });
    r.report(&EventReason::Retrying { by, revision, attempt });
    STOP
}

/// A new template is held: a revision is named and written down before anything is made of it.
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
    may_start(r, &accepted.valid)?;
    let canary = revision::mint(r.deployment(), &r.world().name);
    let (revision, tag) = (canary.revision.clone(), canary.tag.clone());
    r.set_canary(Some(canary));
    r.set_attempt(None);
    begin(r, &accepted);
    let returning = r.trial().returning;
    r.report(&EventReason::Preparing { tag, revision, returning });
    STOP
}

/// A rollout begins with replicas to serve with, and when it is its turn. A return to a version that
/// served not long ago needs no turn.
fn may_start(r: &mut Reconcile, valid: &Valid) -> Flow {
    if r.deployment().replicas == 0 {
        return zero_replicas::awaited(r);
    }
    let Turn::Queued { place, of, in_flight } = r.world().turn else { return GO_ON };
    if served_before(r, valid) {
        return GO_ON;
    }
    r.queue();
    let queue = WaitReason::Queue { place, of, in_flight };
    r.wait(&queue, Since::FirstReported, EndsBy::Person)
}

/// Writes down what the rollout works on, before anything is made of it.
fn begin(r: &mut Reconcile, Accepted { valid, setup }: &Accepted) {
    let Policy::Found(spec) = &r.world().policy else { return };
    let returning = served_before(r, valid);
    let trial = Trial {
        policy: Some(spec.clone()),
        services: r.services().map(|service| service.meta.name.clone()).collect(),
        service: setup.service.clone(),
        canary_service: setup.canary_service.clone(),
        shifting: valid.shifting,
        returning,
        routes: setup.route.clone().into_iter().collect(),
        since: Some(r.now()),
        ..Trial::default()
    };
    r.begin(trial, if returning { 1 } else { valid.stages.len() });
    r.plan(patches::finalizer(r.rollout(), true));
}

/// Whether the template is one that served not long ago, as the policy's window counts: by the
/// `ReplicaSet` that the Deployment still has of it, and by the rollout that replaced it.
fn served_before(r: &Reconcile, valid: &Valid) -> bool {
    let Some(window) = valid.window else { return false };
    let Some(set) = r.stable().and_then(|stable| r.twin(stable)) else { return false };
    let complete = r.status().history.iter().rev().filter(|past| past.outcome == End::Complete);
    let mut last = complete.take(window.revisions);
    let replaced = last.find(|past| past.before == set.hash).and_then(|past| past.ended);
    replaced.is_some_and(|at| r.now() <= after(at, window.within))
}
