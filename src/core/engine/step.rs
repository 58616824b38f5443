//! Phases Stepping and Waiting: pods, then weight, then the router's acceptance, then measurements,
//! until the step's duration is over and every metric passes. A gate waits instead.

use super::{
    canary_service, gate, measure, pods,
    reasons::{EventReason, Evidence, Failure, Opener, Paused, PromotedBy, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since, after, person},
    rollback, sizing, weight,
    zero_replicas::suspended,
};
use crate::{
    analysis::{Tally, Verdict},
    api::{Awaited, Handover, Lost, Phase, WithoutVerdict},
    policy::{Gate, Policy, Shift, Stage, Until},
    traffic::Weight,
};

/// Plans the first thing that is missing.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    let policy = r.runnable()?;
    suspended(r)?;
    // Before anything that can stop here again and again: metrics guard the canary meanwhile.
    measure::ask(r, &policy);
    restore_services(r)?;
    handle_promote(r, &policy)?;
    let index = r.trial().step;
    let Some(stage) = policy.stages.get(index) else { return start_handover(r, PromotedBy::Steps) };
    r.set_step(index + 1, policy.stages.len());
    match stage {
        Stage::Shift(shift) => {
            r.move_to(Phase::Stepping);
            ensure_shift(r, &policy, *shift)?;
            decide_step(r, &policy, *shift)
        }
        Stage::Gate(gate) => {
            r.move_to(Phase::Waiting);
            at_gate(r, &policy, gate)
        }
    }
}

/// Restores what every step needs, whatever other clients changed: the selectors of the Services,
/// and the canary Service.
pub(super) fn restore_services(r: &mut Reconcile) -> Flow {
    let side = r.trial().side;
    r.lead(side)?;
    canary_service::ensure(r)
}

/// Gives the canary the pods and the weight of a step.
fn ensure_shift(r: &mut Reconcile, policy: &Policy, shift: Shift) -> Flow {
    pods::ensure(r, sizing::pods(&shift, r.deployment().replicas), policy.deadline)?;
    weight::unpaused(r, shift.weight)?;
    weight::ensure(r, shift.weight, policy.deadline)?;
    measure::ask(r, policy);
    GO_ON
}

/// Waits at a gate. The canary keeps its pods and weight, guarded by metrics. An open gate is
/// passed unless the rollout is paused.
fn at_gate(r: &mut Reconcile, policy: &Policy, gate: &Gate) -> Flow {
    let step = r.trial().step;
    let before = policy.stages[..step].iter().rev().find_map(|stage| match stage {
        Stage::Shift(shift) => Some(*shift),
        Stage::Gate(_) => None,
    });
    if let Some(shift) = before {
        ensure_shift(r, policy, shift)?;
    }
    let opening = gate::open(r, policy, gate)?;
    if let Some(by) = r.paused_by() {
        let paused = WaitReason::Paused(Paused::AtOpenGate { by });
        return r.wait(&paused, Since::FirstReported, EndsBy::Person);
    }
    gate::record(r, policy, step..step + 1, &opening);
    let opener = Opener::Itself { by: opening.by, response: opening.response };
    let event = EventReason::GateOpened { step: step + 1, of: policy.stages.len(), opener };
    next(r, policy, &event)
}

/// Handles `spec.promote`: ends a step, or all of them. Continues if there is no such intent.
fn handle_promote(r: &mut Reconcile, policy: &Policy) -> Flow {
    let Some(intent) = r.rollout().spec.promote.as_ref().filter(|intent| r.meant(&intent.revision)) else {
        return GO_ON;
    };
    let by = person(intent.by.as_deref());
    let (at, of) = (r.trial().step, policy.stages.len());
    let opening = gate::Opening { by: by.clone(), response: None };
    if intent.full == Some(true) {
        gate::record(r, policy, at..of, &opening);
        return start_handover(r, PromotedBy::Person { by });
    }
    let step = at + 1;
    if intent.step.and_then(|step| usize::try_from(step).ok()) != Some(step) {
        return GO_ON;
    }
    gate::record(r, policy, at..step, &opening);
    let event = match policy.stages.get(at) {
        Some(Stage::Gate(_)) => EventReason::GateOpened { step, of, opener: Opener::Person { by } },
        _ => EventReason::StepSkipped { by, step, of },
    };
    next(r, policy, &event)
}

/// Decides on a step that has its weight: it passes, rolls back, or waits.
fn decide_step(r: &mut Reconcile, policy: &Policy, shift: Shift) -> Flow {
    let Shift { weight, duration, until: ends, .. } = shift;
    let now = r.now();
    let verdict = measure::verdict(r, policy);
    r.set_verdict(Some(verdict));
    let since = r.trial().weight_accepted_at.unwrap_or(now);
    let earliest = after(since, duration);
    let evidence = measure::evidence(r);
    match verdict {
        Verdict::Error if policy.on_error == WithoutVerdict::RollBack => {
            return rollback::fail(r, &Failure::MetricsUnavailable(evidence));
        }
        Verdict::Inconclusive if policy.on_inconclusive == WithoutVerdict::RollBack => {
            return rollback::fail(r, &Failure::Inconclusive(evidence));
        }
        _ => {}
    }
    if now < earliest {
        // No verdict is awaited yet.
        r.met(Awaited::Verdict);
        let lasts =
            if weight == Weight::ZERO { WaitReason::Preview } else { WaitReason::StepDuration { weight } };
        return r.wait(&lasts, Since::At(since), EndsBy::After(duration));
    }
    if ends == Until::Ready || verdict == Verdict::Pass {
        r.met(Awaited::Verdict);
        return end_with_pass(r, policy);
    }
    let late = r.is_late(Awaited::Verdict, policy.deadline);
    match verdict {
        Verdict::Error if policy.on_error == WithoutVerdict::Continue => {
            end_without_pass(r, policy, evidence)
        }
        Verdict::Error => {
            let unavailable = WaitReason::MetricsUnavailable(evidence);
            // While the source does not answer, no deadline counts.
            r.wait(&unavailable, Since::FirstReported, EndsBy::Person)
        }
        Verdict::Inconclusive if policy.on_inconclusive == WithoutVerdict::Continue => {
            end_without_pass(r, policy, evidence)
        }
        _ if late => without_verdict(r, policy),
        Verdict::Inconclusive => {
            let inconclusive = WaitReason::Inconclusive(evidence);
            r.wait(&inconclusive, Since::Lost(Awaited::Verdict), EndsBy::After(policy.deadline))
        }
        // Fail does not get here: the guard has rolled back.
        Verdict::Pass | Verdict::Pending | Verdict::Fail => {
            r.wait(&WaitReason::Metrics, Since::Lost(Awaited::Verdict), EndsBy::After(policy.deadline))
        }
    }
}

/// Applies `onInconclusive` to a step whose deadline is over while a metric has no verdict.
fn without_verdict(r: &mut Reconcile, policy: &Policy) -> Flow {
    match policy.on_inconclusive {
        WithoutVerdict::Wait => {
            let late = WaitReason::Inconclusive(Evidence::Deadline);
            r.wait(&late, Since::Lost(Awaited::Verdict), EndsBy::Person)
        }
        WithoutVerdict::RollBack => rollback::fail(r, &Failure::Inconclusive(Evidence::Deadline)),
        WithoutVerdict::Continue => end_without_pass(r, policy, Evidence::Deadline),
    }
}

/// Ends a step without a verdict, as the policy allows.
fn end_without_pass(r: &mut Reconcile, policy: &Policy, why: Evidence) -> Flow {
    if let Some(by) = r.paused_by() {
        let paused = WaitReason::Paused(Paused::WithoutVerdict { by });
        return r.wait(&paused, Since::Lost(Awaited::Verdict), EndsBy::Person);
    }
    let event = EventReason::StepInconclusive { step: r.trial().step + 1, of: policy.stages.len(), why };
    next(r, policy, &event)
}

fn end_with_pass(r: &mut Reconcile, policy: &Policy) -> Flow {
    if let Some(by) = r.paused_by() {
        let paused = WaitReason::Paused(Paused::AfterPass { by });
        return r.wait(&paused, Since::FirstReported, EndsBy::Person);
    }
    let event = EventReason::StepPassed { step: r.trial().step + 1, of: policy.stages.len() };
    next(r, policy, &event)
}

/// Starts the next step, or the handover.
fn next(r: &mut Reconcile, policy: &Policy, event: &EventReason) -> Flow {
    let trial = r.trial();
    trial.step += 1;
    for state in trial.metrics.values_mut() {
        (state.tally, state.would_have_failed) = (Tally::default(), None);
    }
    let step = trial.step;
    r.set_verdict(None);
    r.report(event);
    if step >= policy.stages.len() {
        return start_handover(r, PromotedBy::Steps);
    }
    let trial = r.trial();
    (trial.weight_accepted_at, trial.lost) = (None, Lost::default());
    STOP
}

/// Starts the handover.
fn start_handover(r: &mut Reconcile, by: PromotedBy) -> Flow {
    r.move_to(Phase::Promoting);
    // After a step at weight 100, the router has already accepted the weight.
    let accepted = r.weight() == Some(Weight::ALL);
    let trial = r.trial();
    trial.weight_accepted_at = trial.weight_accepted_at.filter(|_| accepted);
    trial.lost = Lost::default();
    r.enter(Handover::ScalingUp);
    r.report(&EventReason::Promoting(by));
    STOP
}
