//! Stepping: pods, then weight, then the router's word, then measuring, until hold and verdicts are there.

use super::{back, judge, object, pass::Pass, valid};
use crate::{
    analysis::Verdict,
    api::{Handover, Phase},
    traffic::gateway::Acceptance,
};

/// Pods that a weight needs: its share of the replicas, rounded up, at least one.
pub(super) fn pods_for(weight: u8, replicas: i32) -> i32 {
    ((i64::from(replicas) * i64::from(weight) + 99) / 100)
        .clamp(1, i64::from(replicas.max(1)))
        .try_into()
        .unwrap_or(replicas)
}

/// Makes the canary this large and waits until it stands ready behind its Service. Returns whether it does.
pub(super) fn filled(pass: &mut Pass, wanted: i32, deadline: std::time::Duration) -> bool {
    let Some(canary) = pass.canary() else {
        back::fail(pass, "CanaryGone", "the canary ReplicaSet was deleted", None);
        return false;
    };
    if canary.replicas < wanted {
        pass.writes.push(object::scale(&canary.meta, wanted));
        return false;
    }
    let ready = pass.canary_service().map_or(0, |service| pass.ready(service, &canary.hash));
    if canary.available >= wanted && ready >= wanted {
        return true;
    }
    if ready == 0
        && pass.weight().is_some_and(|weight| weight > 0)
        && let Some(write) = pass.reweight(0, None)
    {
        // No traffic without a ready pod, whatever the step says.
        pass.writes.push(write);
        pass.trial().weighted_at = None;
        return false;
    }
    let trouble = pass.s.pods.iter().find(|pod| pod.hash == canary.hash && pod.trouble.is_some());
    let why = trouble
        .and_then(|pod| pod.trouble.as_ref().map(|(reason, text)| format!("; {}: {reason} {text}", pod.name)))
        .unwrap_or_default();
    let now = pass.s.now;
    let since = *pass.trial().step_since.get_or_insert(now);
    let until = Pass::after(since, deadline);
    if now >= until {
        back::fail(pass, "PodsNotReady", &format!("the canary's pods were not ready in time{why}"), None);
        return false;
    }
    pass.wait_until("Pods", format!("waiting for {wanted} ready canary pods{why}"), until);
    false
}

/// Gives the canary this weight and waits until its router has taken it. Returns whether it has.
pub(super) fn weighted(pass: &mut Pass, weight: u8) -> bool {
    if let Some(write) = pass.reweight(weight, None) {
        let shift = format!("ShiftTo{weight}");
        pass.writes.push(write);
        pass.tell(false, "WeightShifted", shift, format!("the canary gets {weight} % of the traffic"));
        let trial = pass.trial();
        (trial.weighted_at, trial.stage_since) = (None, None);
        return false;
    }
    match pass.route().map(|(route, _)| route.acceptance.clone()) {
        Some(Acceptance::Accepted) => {}
        Some(Acceptance::Pending) => {
            pass.wait("Router", "waiting for the route's gateway to take the new weight");
            return false;
        }
        Some(Acceptance::Rejected { reason, message }) => {
            pass.wait("RouteRejected", format!("the gateway refuses the route: {reason} {message}"));
            return false;
        }
        None => {
            pass.wait("RouteGone", "the route was deleted: waiting for it");
            return false;
        }
    }
    if pass.weight() != Some(weight) {
        pass.wait(
            "RouteChanged",
            "the route no longer names the Service once a rule: waiting for it to do so",
        );
        return false;
    }
    let now = pass.s.now;
    let trial = pass.trial();
    trial.weighted_at.get_or_insert(now);
    trial.traffic_since.get_or_insert(now);
    true
}

/// Does what is missing first.
pub(super) fn go_on(pass: &mut Pass) {
    let Some(valid) = judge::policy(pass) else { return };
    let index = pass.trial().step;
    let Some((weight, hold)) = valid.steps.get(index).copied() else {
        promote(pass);
        return;
    };
    pass.status.step = Some(format!("{}/{}", index + 1, valid.steps.len()));
    if pass.d.replicas == 0 {
        pass.wait("ZeroReplicas", "the Deployment is scaled to zero: waiting for replicas");
        return;
    }
    if !filled(pass, pods_for(weight, pass.d.replicas), valid.deadline) || !weighted(pass, weight) {
        return;
    }
    judge::ask(pass, &valid);
    measure(pass, &valid, weight, hold);
}

fn measure(pass: &mut Pass, valid: &valid::Valid, weight: u8, hold: std::time::Duration) {
    let now = pass.s.now;
    let verdict = judge::verdict(pass, valid);
    pass.status.verdict = Some(format!("{verdict:?}"));
    let since = pass.trial().weighted_at.unwrap_or(now);
    let earliest = Pass::after(since, hold);
    let until = Pass::after(earliest, valid.deadline);
    let said = judge::last_error(pass);
    match verdict {
        _ if now < earliest => pass.wait_until("Hold", format!("holding {weight} % and measuring"), earliest),
        Verdict::Pass => next(pass, valid),
        Verdict::Error => pass.wait("MetricsUnavailable", said),
        _ if now >= until => {
            pass.wait("Inconclusive", "the step reached its deadline without a verdict: it holds and asks");
        }
        Verdict::Inconclusive => pass.wait_until("Inconclusive", said, until),
        Verdict::Pending | Verdict::Fail => {
            pass.wait_until("Metrics", "waiting for each metric's verdict", until);
        }
    }
}

fn next(pass: &mut Pass, valid: &valid::Valid) {
    let now = pass.s.now;
    let trial = pass.trial();
    trial.step += 1;
    trial.step_since = Some(now);
    trial.weighted_at = None;
    for state in trial.metrics.values_mut() {
        state.tally = crate::analysis::Tally::default();
    }
    let step = trial.step;
    pass.status.verdict = None;
    pass.tell(
        false,
        "StepPassed",
        format!("PassStep{step}"),
        format!("step {step} of {} passed", valid.steps.len()),
    );
    if step >= valid.steps.len() {
        promote(pass);
    }
}

fn promote(pass: &mut Pass) {
    pass.status.phase = Phase::Promoting;
    pass.enter(Handover::Filling);
    pass.tell(
        false,
        "Promoting",
        "Promote",
        "all steps passed: the canary's pods are being handed over to the Deployment",
    );
}
