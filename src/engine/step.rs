//! Stepping: pods, then weight, then the router's word, then measuring, until hold and verdicts are there.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    ReplicaSet, back, judge, object,
    pass::{Pass, person},
    prepare, share, valid,
};
use crate::{
    analysis::Verdict,
    api::{Handover, Phase},
    traffic::gateway::Acceptance,
};

/// How long a pod that is not ready is taken for one that is starting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Pods that a weight needs: its share of the replicas, rounded up, at least one.
pub(super) fn pods_for(weight: u8, replicas: i32) -> i32 {
    ((i64::from(replicas) * i64::from(weight) + 99) / 100)
        .clamp(1, i64::from(replicas.max(1)))
        .try_into()
        .unwrap_or(replicas)
}

/// Makes the canary this large and waits until it stands ready behind its Service. Returns whether it does.
pub(super) fn filled(pass: &mut Pass, wanted: i32, deadline: Duration) -> bool {
    let Some(canary) = pass.canary() else {
        back::fail(pass, "CanaryGone", "the canary ReplicaSet was deleted", None);
        return false;
    };
    if canary.replicas != wanted {
        // Also down: the Deployment was made smaller, and never by a step, for weights only rise.
        pass.writes.push(object::scale(&canary.meta, wanted));
        return false;
    }
    let ready = pass.canary_service().map_or(0, |service| pass.ready(service, &canary.hash));
    if canary.available >= wanted && ready >= wanted {
        pass.trial().short_since = None;
        return true;
    }
    if ready == 0
        && pass.weight().is_none_or(|weight| weight > 0)
        && let Some(write) = pass.take_back(None)
    {
        // No traffic without a ready pod, whatever the step says.
        pass.writes.push(write);
        pass.tell(
            true,
            "CanaryUnready",
            "TakeBack",
            "no canary pod is ready: its traffic goes to stable until one is",
        );
        pass.trial().weighted_at = None;
        return false;
    }
    let now = pass.s.now;
    let since = *pass.trial().short_since.get_or_insert(now);
    let why = why_not_ready(pass, canary, since);
    let until = Pass::after(since, deadline);
    if now >= until {
        back::fail(pass, "PodsNotReady", &format!("the canary's pods were not ready in time{why}"), None);
        return false;
    }
    pass.wait_until("Pods", format!("waiting for {wanted} ready canary pods{why}"), until);
    false
}

/// Why canary pods are not ready, as far as anybody says it; else an empty text.
fn why_not_ready(pass: &mut Pass, canary: &ReplicaSet, since: Timestamp) -> String {
    let pods = pass.s.pods.iter().filter(|pod| pod.hash == canary.hash && !pod.deleting);
    let mut troubled = pods.clone().filter_map(|pod| Some((&pod.name, pod.trouble.as_ref()?)));
    if let Some((name, (reason, text))) = troubled.next() {
        return format!("; {name}: {reason} {text}");
    }
    if let Some(text) = &canary.failure {
        return format!("; pods can't be created: {text}");
    }
    // A pod that is only just starting is no news.
    let late = Pass::after(since, PATIENCE);
    if pass.s.now < late {
        pass.wake_at(late);
        return String::new();
    }
    let mut unready = pods.filter_map(|pod| Some((&pod.name, pod.unready.as_ref()?)));
    unready.next().map(|(name, text)| format!("; {name}: NotReady {text}")).unwrap_or_default()
}

/// Gives the canary this weight and waits until its router has taken it. Returns whether it has.
pub(super) fn weighted(pass: &mut Pass, weight: u8, deadline: Duration) -> bool {
    match pass.reweight(weight) {
        Ok(None) => {}
        Ok(Some(write)) => {
            pass.writes.push(write);
            shifted(pass, weight);
            return false;
        }
        Err(error) => {
            pass.wait(
                "RouteChanged",
                format!("somebody changed the route: {error}; waiting for it to fit again"),
            );
            return false;
        }
    }
    let now = pass.s.now;
    match pass.route().map(|(route, _)| route.acceptance.clone()) {
        Some(Acceptance::Accepted) => {}
        Some(Acceptance::Pending) => {
            let until = Pass::after(pass.trial().shifted_at.unwrap_or(now), deadline);
            if now >= until {
                back::fail(pass, "RouterSilent", "no gateway took the route's new weight in time", None);
            } else {
                pass.wait_until("Router", "waiting for the route's gateway to take the new weight", until);
            }
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
    // A failure counts from the first request on, though the step is measured only when the shift is seen.
    pass.trial().traffic_since.get_or_insert(now);
    if pass.trial().weighted_at.is_none() && !share::arrived(pass, weight) {
        return false;
    }
    pass.trial().weighted_at.get_or_insert(now);
    true
}

/// Tells of a weight that is written. One that only comes back, after somebody else took it off the route, doesn't begin
/// the step anew: else whoever applies the route again and again would hold the rollout for ever.
fn shifted(pass: &mut Pass, weight: u8) {
    if pass.trial().weighted_at.is_some() {
        let note = format!("somebody else changed the route: the canary gets its {weight} % again");
        pass.tell(true, "RouteRestored", format!("Restore{weight}"), note);
        return;
    }
    let (now, before) = (pass.s.now, pass.weight().unwrap_or(0));
    let trial = pass.trial();
    (trial.stage_since, trial.shifted_at) = (None, Some(now));
    trial.weight_before = before;
    pass.status.observed_weight = None;
    let note = format!("the canary gets {weight} % of the traffic");
    pass.tell(false, "WeightShifted", format!("ShiftTo{weight}"), note);
}

/// What holds at every step, whatever somebody did meanwhile: Services pinned to stable, a canary Service. Returns whether
/// it does.
pub(super) fn kept(pass: &mut Pass) -> bool {
    let stable = pass.stable_revision();
    pass.pin(Some(&stable)) && prepare::canary_service(pass)
}

/// A Deployment of no replicas is on trial no more than it serves: no weight, no canary pods, until there are some again.
/// Returns whether it is so.
pub(super) fn suspended(pass: &mut Pass) -> bool {
    if pass.d.replicas > 0 {
        return false;
    }
    if pass.trial().handover.is_some() {
        pass.enter(Handover::Filling);
    }
    let trial = pass.trial();
    (trial.weighted_at, trial.traffic_since, trial.short_since) = (None, None, None);
    pass.writes.extend(pass.take_back(None));
    let stable = pass.stable_revision();
    pass.pin(Some(&stable));
    if let Some(canary) = pass.canary().filter(|canary| canary.replicas > 0) {
        pass.writes.push(object::scale(&canary.meta, 0));
    }
    pass.wait("ZeroReplicas", "the Deployment is scaled to zero: waiting for replicas");
    true
}

/// Does what is missing first.
pub(super) fn go_on(pass: &mut Pass) {
    let Some(valid) = judge::policy(pass) else { return };
    if suspended(pass) || !kept(pass) || promoted(pass, &valid) {
        return;
    }
    let index = pass.trial().step;
    let Some((weight, hold)) = valid.steps.get(index).copied() else {
        promote(pass, "all steps passed");
        return;
    };
    pass.status.step = Some(format!("{}/{}", index + 1, valid.steps.len()));
    judge::ask(pass, &valid);
    if !filled(pass, pods_for(weight, pass.d.replicas), valid.deadline) || held_back(pass, weight) {
        return;
    }
    if weighted(pass, weight, valid.deadline) {
        judge::ask(pass, &valid);
        measure(pass, &valid, weight, hold);
    }
}

/// A paused rollout keeps the weight it has. Returns whether that keeps it from this one.
pub(super) fn held_back(pass: &mut Pass, weight: u8) -> bool {
    let Some(by) = pass.paused_by().filter(|_| pass.weight() != Some(weight)) else { return false };
    pass.wait("Paused", format!("paused by {by} before {weight} %: waiting for `resume`"));
    true
}

/// A person may go past a step, or past all of them. Returns whether one did.
fn promoted(pass: &mut Pass, valid: &valid::Valid) -> bool {
    let Some(wish) = pass.r.spec.promote.as_ref().filter(|wish| pass.meant(&wish.revision)) else {
        return false;
    };
    let by = person(wish.by.as_deref());
    if wish.full == Some(true) {
        promote(pass, &format!("{by} promoted it past all steps"));
        return true;
    }
    let step = pass.trial().step + 1;
    if wish.step.and_then(|step| usize::try_from(step).ok()) != Some(step) {
        return false;
    }
    next(pass, valid, "StepSkipped", &format!("{by} promoted it past step {step} of {}", valid.steps.len()));
    true
}

fn measure(pass: &mut Pass, valid: &valid::Valid, weight: u8, hold: Duration) {
    let now = pass.s.now;
    let verdict = judge::verdict(pass, valid);
    pass.status.verdict = Some(format!("{verdict:?}"));
    let since = pass.trial().weighted_at.unwrap_or(now);
    let earliest = Pass::after(since, hold);
    let until = Pass::after(earliest, valid.deadline);
    let said = judge::last_error(pass);
    match verdict {
        _ if now < earliest => pass.wait_until("Hold", format!("holding {weight} % and measuring"), earliest),
        Verdict::Pass => passed(pass, valid),
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

fn passed(pass: &mut Pass, valid: &valid::Valid) {
    if let Some(by) = pass.paused_by() {
        pass.wait("Paused", format!("the step passed; paused by {by}: waiting for `resume`"));
        return;
    }
    let note = format!("step {} of {} passed", pass.trial().step + 1, valid.steps.len());
    next(pass, valid, "StepPassed", &note);
}

fn next(pass: &mut Pass, valid: &valid::Valid, reason: &'static str, note: &str) {
    let trial = pass.trial();
    trial.step += 1;
    (trial.weighted_at, trial.short_since) = (None, None);
    for state in trial.metrics.values_mut() {
        state.tally = crate::analysis::Tally::default();
    }
    let step = trial.step;
    pass.status.verdict = None;
    pass.tell(false, reason, format!("PassStep{step}"), note);
    if step >= valid.steps.len() {
        promote(pass, "all steps passed");
    }
}

fn promote(pass: &mut Pass, why: &str) {
    pass.status.phase = Phase::Promoting;
    let trial = pass.trial();
    (trial.weighted_at, trial.short_since) = (None, None);
    pass.enter(Handover::Filling);
    let note = format!("{why}: the canary's pods are being handed over to the Deployment");
    pass.tell(false, "Promoting", "Promote", note);
}
