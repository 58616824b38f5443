//! Stepping: pods, then weight, then the router's word, then measuring, until hold and verdicts are there.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    ReplicaSet, back, gate, judge, object,
    pass::{Pass, person},
    prepare, share,
};
use crate::{
    analysis::Verdict,
    api::{Handover, Phase, Shifting, Unclear},
    policy::{Shift, Stage, Until, Valid},
    traffic::gateway::Acceptance,
};

/// How long a pod that is not ready is taken for one that is starting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes the canary this large and waits until it stands ready behind its Service. Returns whether it does.
pub(super) fn filled(pass: &mut Pass, wanted: i32, deadline: Duration) -> bool {
    let Some(canary) = pass.canary() else {
        back::fail(pass, "CanaryGone", "the canary ReplicaSet was deleted", None);
        return false;
    };
    let ready = pass.canary_service().map_or(0, |service| pass.ready(service, &canary.hash));
    // Somebody else may have scaled it to zero: its pods are as good as gone.
    let none = ready == 0 || canary.replicas == 0;
    if none && pass.weight().is_none_or(|weight| weight > 0) && pass.send_home() {
        // No traffic without a ready pod, whatever the step says.
        pass.tell(
            true,
            "CanaryUnready",
            "TakeBack",
            "no canary pod is ready: its traffic goes to stable until one is",
        );
        pass.trial().weighted_at = None;
        return false;
    }
    if canary.replicas != wanted {
        // Also down: the Deployment was made smaller, and never by a step, for weights only rise.
        pass.writes.push(object::scale(&canary.meta, wanted));
        return false;
    }
    if canary.available >= wanted && ready >= wanted {
        pass.trial().short_since = None;
        return true;
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
    let before = pass.weight().unwrap_or(0);
    match pass.give(weight) {
        Ok(true) => {}
        Ok(false) => {
            shifted(pass, before, weight);
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
    if pass.shifting() != Shifting::Services && !taken(pass, deadline) {
        return false;
    }
    let now = pass.s.now;
    // A failure counts from the first request on, though the step is measured only when the shift is seen.
    pass.trial().traffic_since.get_or_insert(now);
    if pass.trial().weighted_at.is_none() && !(followed(pass, deadline) && share::arrived(pass, weight)) {
        return false;
    }
    pass.trial().weighted_at.get_or_insert(now);
    true
}

/// Whether a gateway has taken the route as it is now; else the wait is named.
fn taken(pass: &mut Pass, deadline: Duration) -> bool {
    match pass.route().map(|(route, _)| route.acceptance.clone()) {
        Some(Acceptance::Accepted) => return true,
        Some(Acceptance::Pending) => {
            let now = pass.s.now;
            let until = Pass::after(pass.trial().shifted_at.unwrap_or(now), deadline);
            if now >= until {
                back::fail(pass, "RouterSilent", "no gateway took the route's new weight in time", None);
            } else {
                pass.wait_until("Router", "waiting for the route's gateway to take the new weight", until);
            }
        }
        Some(Acceptance::Rejected { reason, message }) => {
            pass.wait("RouteRejected", format!("the gateway refuses the route: {reason} {message}"));
        }
        None => pass.wait("RouteGone", "the route was deleted: waiting for it"),
    }
    false
}

/// Whether the Services' endpoints are those of the version they lead to; else the wait is named.
fn followed(pass: &mut Pass, deadline: Duration) -> bool {
    if pass.followed() {
        return true;
    }
    let now = pass.s.now;
    let until = Pass::after(pass.trial().shifted_at.unwrap_or(now), deadline);
    if now >= until {
        let message = "the Services' endpoints did not follow their selectors in time";
        back::fail(pass, "EndpointsSilent", message, None);
    } else {
        pass.wait_until("Endpoints", "waiting for the Services' endpoints to follow their selectors", until);
    }
    false
}

/// Tells of a weight that is written. One that only comes back, after somebody else took it off the route, doesn't begin
/// the step anew: else whoever applies the route again and again would hold the rollout for ever.
fn shifted(pass: &mut Pass, before: u8, weight: u8) {
    if pass.trial().weighted_at.is_some() {
        let note = format!("somebody else changed the route: the canary gets its {weight} % again");
        pass.tell(true, "RouteRestored", format!("Restore{weight}"), note);
        return;
    }
    let now = pass.s.now;
    let trial = pass.trial();
    (trial.stage_since, trial.shifted_at) = (None, Some(now));
    trial.weight_before = before;
    pass.status.observed_weight = None;
    let note = format!("the canary gets {weight} % of the traffic");
    pass.tell(false, "WeightShifted", format!("ShiftTo{weight}"), note);
}

/// What holds at every step, whatever somebody did meanwhile: Services that lead where they were told to, a canary Service.
/// Returns whether it does.
pub(super) fn kept(pass: &mut Pass) -> bool {
    let side = pass.trial().side;
    pass.lead(side) && prepare::canary_service(pass)
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
    pass.send_home();
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
    let Some(stage) = valid.stages.get(index) else {
        promote(pass, "all steps passed");
        return;
    };
    pass.status.step = Some(format!("{}/{}", index + 1, valid.stages.len()));
    match stage {
        Stage::Shift(shift) => {
            pass.status.phase = Phase::Stepping;
            if given(pass, &valid, *shift) {
                measure(pass, &valid, *shift);
            }
        }
        Stage::Gate(gate) => {
            pass.status.phase = Phase::Waiting;
            // What the canary has it keeps, and metrics go on guarding it.
            let before = valid.stages[..index].iter().rev().find_map(|stage| match stage {
                Stage::Shift(shift) => Some(*shift),
                Stage::Gate(_) => None,
            });
            if before.is_none_or(|shift| given(pass, &valid, shift))
                && let Some(key) = gate::open(pass, &valid, gate)
            {
                opened(pass, &valid, &key);
            }
        }
    }
}

/// Gives the canary the pods and the weight of a shift. Returns whether it has both.
fn given(pass: &mut Pass, valid: &Valid, shift: Shift) -> bool {
    judge::ask(pass, valid);
    if !filled(pass, shift.pods(pass.d.replicas), valid.deadline)
        || held_back(pass, shift.weight)
        || !weighted(pass, shift.weight, valid.deadline)
    {
        return false;
    }
    judge::ask(pass, valid);
    true
}

/// A gate that opened is passed, unless the rollout is paused.
fn opened(pass: &mut Pass, valid: &Valid, key: &gate::Key) {
    if let Some(by) = pass.paused_by() {
        pass.wait("Paused", format!("the gate is open; paused by {by}: waiting for `resume`"));
        return;
    }
    let (step, of) = (pass.trial().step, valid.stages.len());
    gate::opened(pass, valid, step..step + 1, key);
    let said = key.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
    let note = format!("the gate of step {} of {of} was opened by {}{said}", step + 1, key.by);
    next(pass, valid, "GateOpened", &note);
}

/// A paused rollout keeps the weight it has. Returns whether that keeps it from this one.
pub(super) fn held_back(pass: &mut Pass, weight: u8) -> bool {
    let Some(by) = pass.paused_by().filter(|_| pass.weight() != Some(weight)) else { return false };
    pass.wait("Paused", format!("paused by {by} before {weight} %: waiting for `resume`"));
    true
}

/// A person may go past a step, or past all of them. Returns whether one did.
fn promoted(pass: &mut Pass, valid: &Valid) -> bool {
    let Some(wish) = pass.r.spec.promote.as_ref().filter(|wish| pass.meant(&wish.revision)) else {
        return false;
    };
    let by = person(wish.by.as_deref());
    let (at, key) = (pass.trial().step, gate::Key { by: by.clone(), said: None });
    if wish.full == Some(true) {
        gate::opened(pass, valid, at..valid.stages.len(), &key);
        promote(pass, &format!("{by} promoted it past all steps"));
        return true;
    }
    let step = pass.trial().step + 1;
    if wish.step.and_then(|step| usize::try_from(step).ok()) != Some(step) {
        return false;
    }
    gate::opened(pass, valid, at..step, &key);
    let of = valid.stages.len();
    let (reason, note) = match valid.stages.get(pass.trial().step) {
        Some(Stage::Gate(_)) => {
            ("GateOpened", format!("{by} promoted it past the gate, step {step} of {of}"))
        }
        _ => ("StepSkipped", format!("{by} promoted it past step {step} of {of}")),
    };
    next(pass, valid, reason, &note);
    true
}

fn measure(pass: &mut Pass, valid: &Valid, shift: Shift) {
    let Shift { weight, hold, until: ends, .. } = shift;
    let now = pass.s.now;
    let verdict = judge::verdict(pass, valid);
    pass.status.verdict = Some(format!("{verdict:?}"));
    let since = pass.trial().weighted_at.unwrap_or(now);
    let earliest = Pass::after(since, hold);
    let until = Pass::after(earliest, valid.deadline);
    let said = judge::last_error(pass);
    match verdict {
        Verdict::Error if valid.on_error == Unclear::Fail => {
            back::fail(pass, "MetricsUnavailable", &said, None);
        }
        Verdict::Inconclusive if valid.on_inconclusive == Unclear::Fail => {
            back::fail(pass, "Inconclusive", &said, None);
        }
        _ if now < earliest && weight == 0 => {
            pass.wait_until(
                "Preview",
                "measuring the preview, which only its own Service leads to",
                earliest,
            );
        }
        _ if now < earliest && weight == 100 => {
            pass.wait_until("Hold", "holding 100 % and measuring, with stable kept to go back to", earliest);
        }
        _ if now < earliest => pass.wait_until("Hold", format!("holding {weight} % and measuring"), earliest),
        _ if ends == Until::Ready => passed(pass, valid),
        Verdict::Pass => passed(pass, valid),
        Verdict::Error if valid.on_error == Unclear::Continue => unmeasured(pass, valid, &said),
        Verdict::Error => pass.wait("MetricsUnavailable", said),
        Verdict::Inconclusive if valid.on_inconclusive == Unclear::Continue => unmeasured(pass, valid, &said),
        _ if now >= until => late(pass, valid),
        Verdict::Inconclusive => pass.wait_until("Inconclusive", said, until),
        Verdict::Pending | Verdict::Fail => {
            pass.wait_until("Metrics", "waiting for each metric's verdict", until);
        }
    }
}

/// The step's deadline is over, and some metric has no verdict.
fn late(pass: &mut Pass, valid: &Valid) {
    let late = "the step reached its deadline without a verdict";
    match valid.on_inconclusive {
        Unclear::Hold => pass.wait("Inconclusive", format!("{late}: it holds and asks")),
        Unclear::Fail => back::fail(pass, "Inconclusive", late, None),
        Unclear::Continue => unmeasured(pass, valid, late),
    }
}

/// The policy lets a step end that has no verdict.
fn unmeasured(pass: &mut Pass, valid: &Valid, why: &str) {
    if let Some(by) = pass.paused_by() {
        pass.wait(
            "Paused",
            format!("the step has no verdict, and may end; paused by {by}: waiting for `resume`"),
        );
        return;
    }
    let note = format!(
        "step {} of {} ends without a verdict, as the policy says: {why}",
        pass.trial().step + 1,
        valid.stages.len()
    );
    next(pass, valid, "StepUnmeasured", &note);
}

fn passed(pass: &mut Pass, valid: &Valid) {
    if let Some(by) = pass.paused_by() {
        pass.wait("Paused", format!("the step passed; paused by {by}: waiting for `resume`"));
        return;
    }
    let note = format!("step {} of {} passed", pass.trial().step + 1, valid.stages.len());
    next(pass, valid, "StepPassed", &note);
}

fn next(pass: &mut Pass, valid: &Valid, reason: &'static str, note: &str) {
    let trial = pass.trial();
    trial.step += 1;
    for state in trial.metrics.values_mut() {
        state.tally = crate::analysis::Tally::default();
    }
    let step = trial.step;
    pass.status.verdict = None;
    pass.tell(false, reason, format!("PassStep{step}"), note);
    if step >= valid.stages.len() {
        promote(pass, "all steps passed");
    } else {
        let trial = pass.trial();
        (trial.weighted_at, trial.short_since) = (None, None);
    }
}

fn promote(pass: &mut Pass, why: &str) {
    pass.status.phase = Phase::Promoting;
    // A step that held all traffic has had it taken already.
    let taken = pass.weight() == Some(100);
    let trial = pass.trial();
    trial.weighted_at = trial.weighted_at.filter(|_| taken);
    trial.short_since = None;
    pass.enter(Handover::Filling);
    let note = format!("{why}: the canary's pods are being handed over to the Deployment");
    pass.tell(false, "Promoting", "Promote", note);
}
