//! The start of a rollback. While the Deployment is held, the patch that returns the traffic is
//! first, and contains the mark of the failed revision.

use crate::{
    analysis::Outcome,
    api,
    engine::{
        patches::Mark,
        reasons::{EventReason, Failure, Recalled, Withdrawal},
        reconcile::{Flow, Reconcile, Stopped},
        snapshot::{Reading, ReplicaSet},
    },
};

/// Rolls back for a failure. Never continues.
pub(in crate::engine) fn fail<T>(r: &mut Reconcile, failure: &Failure) -> Flow<T> {
    rejected(r, failure, None)
}

/// Rolls back for a failure, with this reading as evidence. Never continues.
pub(in crate::engine) fn fail_on<T>(r: &mut Reconcile, failure: &Failure, reading: &Reading) -> Flow<T> {
    rejected(r, failure, Some(reading))
}

fn rejected<T>(r: &mut Reconcile, failure: &Failure, reading: Option<&Reading>) -> Flow<T> {
    let record = api::Failure {
        cause: failure.cause(),
        reason: failure.word().to_owned(),
        message: failure.to_string(),
        metric: reading.and_then(|reading| reading.inquiry.metric()).map(str::to_owned),
        query: reading.map(|reading| reading.query.clone()),
        value: reading.and_then(|reading| match reading.outcome {
            Outcome::Value(value) => Some(value),
            _ => None,
        }),
        at: Some(r.now()),
        template_hash: String::new(),
        reverted: false,
    };
    reject(r, record)
}

/// Continues a rollback of an earlier leader, which wrote the mark but not the status. Never
/// continues.
pub(in crate::engine) fn resume<T>(r: &mut Reconcile) -> Flow<T> {
    if let Some(record) = r.recorded_failure(&r.revision()) {
        return reject(r, record);
    }
    match r.aborted_by() {
        Some(by) => fail(r, &Failure::Aborted { by }),
        None => fail(r, &Failure::CauseUnknown(Recalled::ByEarlierLeader)),
    }
}

fn reject<T>(r: &mut Reconcile, record: api::Failure) -> Flow<T> {
    // Not the Deployment's: a newer template may have been pushed meanwhile.
    let canary = r.status().canary.as_ref();
    let template_hash = canary.map(|canary| canary.template_hash.clone()).unwrap_or_default();
    let (revision, failure, mark) = (r.revision(), record.message.clone(), record.clone());
    without_early_retry(r);
    start(r, api::Failure { template_hash, ..record }, Some(Mark { revision: &revision, failure: &mark }));
    r.report(&EventReason::RollingBack { failure, revision });
    Flow::Break(Stopped)
}

/// Counts an attempt that was requested before the failure as made: a person who had not seen the
/// failure can't have asked for another attempt after it.
fn without_early_retry(r: &mut Reconcile) {
    let intent = r.rollout().spec.retry.as_ref().filter(|retry| r.meant(&retry.revision));
    let early = intent.map(|retry| retry.attempt).filter(|attempt| Some(*attempt) > r.status().attempt);
    if early.is_some_and(|attempt| attempt > 1) {
        r.set_attempt(early);
    }
}

/// Rolls back because the revision is no longer wanted. Never continues.
pub(in crate::engine) fn withdraw<T>(r: &mut Reconcile, withdrawal: Withdrawal) -> Flow<T> {
    let record = api::Failure {
        cause: withdrawal.cause(),
        reason: withdrawal.word().to_owned(),
        message: withdrawal.to_string(),
        at: Some(r.now()),
        ..api::Failure::default()
    };
    let revision = r.revision();
    start(r, record, None);
    r.report(&EventReason::Withdrawing { withdrawal, revision });
    Flow::Break(Stopped)
}

fn start(r: &mut Reconcile, record: api::Failure, failed: Option<Mark>) {
    // Everything else that this reconcile planned is dropped. All writes below are planned,
    // whatever becomes of the Services.
    r.drop_plan();
    if r.held() {
        let routes = r.take_back(failed);
        r.withdraw(routes);
        let _ = pin_to_stable(r, failed);
    } else {
        // Stable may be about to terminate, and a pinned Service loses its endpoints then: Services
        // come before the routes that refer to them.
        let _ = pin_to_stable(r, failed);
        let routes = r.take_back(failed);
        r.plan(routes);
    }
    r.roll_back(record);
}

/// Pins the Services to stable. Unpins them if the template is no longer held, because the
/// Deployment controller may then scale stable down at any time, or if it has started to. A stable
/// that has yet to grow with the Deployment can still carry the traffic.
pub(in crate::engine) fn pin_to_stable(r: &mut Reconcile, failed: Option<Mark>) -> Flow {
    let replicas = r.deployment().replicas;
    let least = r.canary().map_or(replicas, |canary| canary.replicas.min(replicas));
    let carries = |stable: &&ReplicaSet| r.held() && stable.replicas >= least;
    let to_stable = r.stable().as_ref().is_some_and(carries);
    r.pin_back(to_stable, failed)
}
