//! A rollback begins: the patch that takes the traffic comes before all else, and carries the mark.

use crate::{
    analysis::Outcome,
    api,
    engine::{
        reasons::{EventReason, Failure, Withdrawal},
        reconcile::{Flow, Reconcile, Stopped},
        snapshot::{Reading, ReplicaSet},
    },
};

/// Rolls back for a failure. Never goes on.
pub(in crate::engine) fn fail<T>(r: &mut Reconcile, failure: &Failure) -> Flow<T> {
    rejected(r, failure, None)
}

/// Rolls back for a failure, of which this reading is the evidence. Never goes on.
pub(in crate::engine) fn fail_on<T>(r: &mut Reconcile, failure: &Failure, reading: &Reading) -> Flow<T> {
    rejected(r, failure, Some(reading))
}

fn rejected<T>(r: &mut Reconcile, failure: &Failure, reading: Option<&Reading>) -> Flow<T> {
    let pushed = &r.deployment().template;
    let record = api::Failure {
        cause: failure.cause(),
        reason: failure.word().to_owned(),
        message: failure.to_string(),
        metric: reading.map(|reading| reading.metric.clone()),
        query: reading.map(|reading| reading.query.clone()),
        value: reading.and_then(|reading| match reading.outcome {
            Outcome::Value(value) => Some(value),
            _ => None,
        }),
        at: Some(r.now()),
        // The canary's own template says the same, where it is the one that was pushed.
        template: Some(pushed.clone()).filter(|_| r.canary().is_none_or(|set| set.template != *pushed)),
        reverted: false,
    };
    let revision = r.revision();
    turn(r, record, Some(&revision));
    r.report(&EventReason::RollingBack { failure: failure.clone(), revision });
    Flow::Break(Stopped)
}

/// Rolls back because the revision is no longer wanted. Never goes on.
pub(in crate::engine) fn withdraw<T>(r: &mut Reconcile, withdrawal: Withdrawal) -> Flow<T> {
    let record = api::Failure {
        cause: withdrawal.cause(),
        reason: withdrawal.word().to_owned(),
        message: withdrawal.to_string(),
        at: Some(r.now()),
        ..api::Failure::default()
    };
    let revision = r.revision();
    turn(r, record, None);
    r.report(&EventReason::Withdrawing { withdrawal, revision });
    Flow::Break(Stopped)
}

fn turn(r: &mut Reconcile, record: api::Failure, failed: Option<&str>) {
    // Nothing else that this reconcile may have planned goes with it.
    r.drop_plan();
    if r.held() {
        let route = r.take_back(failed);
        r.plan(route);
        let _ = pin_to_stable(r, failed);
    } else {
        // Stable may be at its end, and a pinned Service with it: that comes before the route that
        // leads there.
        let _ = pin_to_stable(r, failed);
        let route = r.take_back(failed);
        r.plan(route);
    }
    r.roll_back(record);
}

/// Leads clients of the Services to stable. All versions serve them where the template isn't held any
/// more, for then the Deployment controller may take stable down at any moment, or where it has begun
/// to. A stable that is about to grow with the Deployment carries what it carried.
pub(in crate::engine) fn pin_to_stable(r: &mut Reconcile, failed: Option<&str>) -> Flow {
    let replicas = r.deployment().replicas;
    let least = r.canary().map_or(replicas, |canary| canary.replicas.min(replicas));
    let carries = |stable: &&ReplicaSet| r.held() && stable.replicas >= least;
    let stable = r.stable().filter(carries).map(|stable| stable.hash.as_str());
    r.pin_back(stable, failed)
}
