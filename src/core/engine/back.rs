//! The way back: traffic first, in the pass that saw the reason; pods after the drain; the rest last.

use super::{Kind, Reading, ReplicaSet, judge, object, pass::Pass};
use crate::{
    analysis::Outcome,
    api::{End, Failure, OnFail, Phase, Side},
};

/// Reasons for which a revision is withdrawn rather than rejected: it did nothing wrong.
const WITHDRAWN: [&str; 7] =
    ["Withdrawn", "Superseded", "Released", "Left", "Skipped", "Orphaned", "Conflict"];

/// Turns back for a failure: the route's patch comes before all else and carries the mark.
pub(super) fn fail(pass: &mut Pass, reason: &'static str, message: &str, reading: Option<&Reading>) {
    let failure = Failure {
        reason: reason.to_owned(),
        message: message.to_owned(),
        metric: reading.map(|reading| reading.metric.clone()),
        query: reading.map(|reading| reading.query.clone()),
        value: reading.and_then(|reading| match reading.outcome {
            Outcome::Value(value) => Some(value),
            _ => None,
        }),
        at: Some(pass.s.now),
        template: Some(pass.d.template.clone())
            .filter(|pushed| pass.canary().is_none_or(|canary| canary.template != *pushed)),
        reverted: false,
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
    pass.writes.clear();
    pass.asks.clear();
    if pass.held() {
        pass.writes.extend(pass.take_back(failed));
        pin_home(pass, failed);
    } else {
        // Stable may be at its end, and a pinned Service with it: that comes before the route that leads there.
        pin_home(pass, failed);
        pass.writes.extend(pass.take_back(failed));
    }
    pass.status.phase = Phase::RollingBack;
    pass.status.verdict = failure.metric.as_ref().map(|_| "Fail".to_owned());
    pass.status.failure = Some(failure);
    let trial = pass.trial();
    (trial.handover, trial.stage_since, trial.weighted_at) = (None, None, None);
    (trial.side, trial.given) = (Side::Stable, 0);
}

/// Clients of the Services go back to stable as well; all versions serve them where the template isn't held any more, for
/// then the Deployment controller may take stable down at any moment, or where it has begun to. A stable that is about to
/// grow with the Deployment carries what it carried. Returns whether they are so already.
fn pin_home(pass: &mut Pass, failed: Option<&str>) -> bool {
    let least = pass.canary().map_or(pass.d.replicas, |canary| canary.replicas.min(pass.d.replicas));
    let carries = |stable: &&ReplicaSet| pass.held() && stable.replicas >= least;
    let stable = pass.stable().filter(carries).map(|stable| stable.hash.as_str());
    pass.pin_back(stable, failed)
}

/// Goes on with the way back.
pub(super) fn go_on(pass: &mut Pass) {
    let canary = pass.canary();
    if canary.is_some_and(|canary| canary.existing > 0 || canary.replicas > 0) {
        if !pin_home(pass, None) {
            return;
        }
        if let Some(write) = pass.take_back(None) {
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
        let empty = pass.stable().is_some_and(|stable| stable.available == 0);
        if pass.held() && pass.d.replicas > 0 && empty {
            pass.wait("Stable", "waiting for pods of stable before the canary's are ended");
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
    let withdrawn = WITHDRAWN.contains(&failure.reason.as_str());
    pass.record(if withdrawn { End::Withdrawn } else { End::RolledBack });
    let reverted = !withdrawn && reverted(pass, &failure);
    pass.status.trial = None;
    pass.status.observed_weight = None;
    pass.status.step = None;
    pass.status.weight = None;
    if withdrawn {
        pass.status.phase = Phase::Stable;
        pass.status.failure = None;
        if let Some(canary) = canary {
            pass.late.push(object::delete(Kind::ReplicaSet, &canary.meta));
        }
        if failure.reason == "Skipped" && pass.held() {
            // Before the status: what is let go is not forgotten in a crash.
            pass.writes.extend(object::release(pass.d, true));
        }
    } else {
        pass.status.phase = Phase::RolledBack;
        pass.late.extend(canary.and_then(|canary| object::rejected(&canary.meta, &failure.reason)));
        let note = if reverted {
            format!("{}; stable's template is written back", failure.message)
        } else {
            format!("{}; the template stays held: push another, or the old one again", failure.message)
        };
        pass.tell(true, "RolledBack", format!("RolledBack{}", pass.revision()), note);
    }
}

/// Writes stable's template back, if the policy says so and nobody wanted the way back himself. The failure stays on record,
/// so that a tool that pushes the rejected template again only finds it held. Returns whether it is back.
fn reverted(pass: &mut Pass, failure: &Failure) -> bool {
    let wanted = judge::policy(pass).is_some_and(|valid| valid.on_fail == OnFail::Revert);
    let Some(stable) = pass.stable().filter(|_| wanted && failure.reason != "Aborted" && pass.held()) else {
        return false;
    };
    if stable.template != pass.d.template {
        let rejected = failure.template.as_ref().or_else(|| pass.canary().map(|canary| &canary.template));
        if rejected != Some(&pass.d.template) {
            // A newer one came meanwhile: its own trial is next.
            return false;
        }
        pass.writes.push(object::template(pass.d, &stable.template));
    }
    pass.status.failure = Some(Failure { reverted: true, ..failure.clone() });
    true
}

/// The record of who set the fields of routes and Services is given back as well. Returns whether it is so already.
fn disowned(pass: &mut Pass) -> bool {
    let route = pass.route().and_then(|(route, _)| object::disowned(Kind::HttpRoute, &route.meta));
    let services = pass.services().filter_map(|service| object::disowned(Kind::Service, &service.meta));
    let writes = route.into_iter().chain(services).collect();
    pass.planned(writes)
}

/// Gives routes and Services back as they were; the canary Service goes once the router had time to let go of it.
pub(super) fn cleaned(pass: &mut Pass) -> bool {
    if let Some(write) = pass.unroute() {
        pass.writes.push(write);
        pass.trial().stage_since = None;
        return false;
    }
    if !pass.pin(None) || !disowned(pass) {
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
