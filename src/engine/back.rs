//! The way back: traffic first, in the pass that saw the reason; pods after the drain; the rest last.

use super::{Kind, Reading, object, pass::Pass};
use crate::api::{Failure, Phase};

/// Turns back for a failure: the route's patch comes before all else and carries the mark.
pub(super) fn fail(pass: &mut Pass, reason: &'static str, message: &str, reading: Option<(&Reading, f64)>) {
    let failure = Failure {
        reason: reason.to_owned(),
        message: message.to_owned(),
        metric: reading.map(|(reading, _)| reading.metric.clone()),
        query: reading.map(|(reading, _)| reading.query.clone()),
        value: reading.map(|(_, value)| value),
        at: Some(pass.s.now),
    };
    let revision = pass.revision();
    turn(pass, failure, Some(&revision));
    pass.tell(
        true,
        "RollingBack",
        format!("RollBack{revision}"),
        format!("{message}: all traffic goes back to stable"),
    );
}

/// Turns back because nobody wants this revision any more.
pub(super) fn withdraw(pass: &mut Pass, reason: &'static str, message: &str) {
    let failure = Failure {
        reason: reason.to_owned(),
        message: message.to_owned(),
        at: Some(pass.s.now),
        ..Failure::default()
    };
    let revision = pass.revision();
    turn(pass, failure, None);
    pass.tell(
        false,
        "Withdrawing",
        format!("Withdraw{revision}"),
        format!("{message}: all traffic goes back to stable"),
    );
}

fn turn(pass: &mut Pass, failure: Failure, failed: Option<&str>) {
    // Nothing else that this pass may have planned goes with it.
    pass.writes = pass.reweight(0, failed).into_iter().collect();
    pass.asks.clear();
    pass.status.phase = Phase::RollingBack;
    pass.status.verdict = failure.metric.as_ref().map(|_| "Fail".to_owned());
    pass.status.failure = Some(failure);
    let trial = pass.trial();
    (trial.handover, trial.stage_since, trial.weighted_at) = (None, None, None);
}

/// Goes on with the way back.
pub(super) fn go_on(pass: &mut Pass) {
    let canary = pass.canary();
    if canary.is_some_and(|canary| canary.existing > 0 || canary.replicas > 0) {
        let stable = pass.stable_revision();
        if !pass.pin(Some(&stable)) {
            return;
        }
        if let Some(write) = pass.reweight(0, None) {
            pass.writes.push(write);
            pass.trial().stage_since = None;
            return;
        }
        if !pass.lasted(
            pass.s.drain,
            "Draining",
            "traffic is back on stable: connections to the canary drain",
        ) {
            return;
        }
        if let Some(canary) = canary {
            if canary.replicas > 0 {
                pass.writes.push(object::scale(&canary.meta, 0));
            } else {
                pass.wait("Pods", "waiting for the canary's pods to end");
            }
        }
        return;
    }
    if !cleaned(pass) {
        return;
    }
    let failure = pass.status.failure.clone().unwrap_or_default();
    let withdrawn = matches!(failure.reason.as_str(), "Withdrawn" | "Superseded" | "Released" | "Left");
    pass.status.trial = None;
    pass.status.step = None;
    pass.status.weight = None;
    if withdrawn {
        pass.status.phase = Phase::Stable;
        pass.status.failure = None;
        if let Some(canary) = canary {
            pass.late.push(object::delete(Kind::ReplicaSet, &canary.meta));
        }
    } else {
        pass.status.phase = Phase::RolledBack;
        let note =
            format!("{}; the template stays held: push another, or the old one again", failure.message);
        pass.tell(true, "RolledBack", format!("RolledBack{}", pass.revision()), note);
    }
}

/// Gives routes and Services back as they were; the canary Service goes once the router had time to let go of it.
pub(super) fn cleaned(pass: &mut Pass) -> bool {
    if let Some(write) = pass.unroute() {
        pass.writes.push(write);
        pass.trial().stage_since = None;
        return false;
    }
    if !pass.pin(None) {
        return false;
    }
    let Some(service) = pass.canary_service() else { return true };
    if !service.meta.labels.contains_key(crate::api::ROLLOUT) {
        let unpin = object::pin(service, None);
        let done = unpin.is_none();
        pass.writes.extend(unpin);
        return done;
    }
    if pass.lasted(
        pass.s.drain,
        "Draining",
        "routes are as they were: the router lets go of the canary Service",
    ) {
        pass.writes.push(object::delete(Kind::Service, &service.meta));
    }
    false
}
