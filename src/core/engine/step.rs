//! Stepping: pods, then weight, then the router's acceptance, then measurements, until the step's time is
//! over and every metric has a verdict. A gate waits instead.

use super::{
    canary_service, gate, measure, pods,
    reasons::{EventReason, Evidence, Failure, Opener, Paused, PromotedBy, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since, after, person},
    rollback, sizing, weight,
    zero_replicas::suspended,
};
use crate::{
    analysis::{Tally, Verdict},
    api::{Handover, Phase, Unclear},
    policy::{Gate, Shift, Stage, Until, Valid},
};

/// Does what is missing first.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    let Some(valid) = r.policy() else { return STOP };
    suspended(r)?;
    kept(r)?;
    promoted(r, &valid)?;
    let index = r.trial().step;
    let Some(stage) = valid.stages.get(index) else { return promote(r, PromotedBy::Steps) };
    r.set_step(index + 1, valid.stages.len());
    match stage {
        Stage::Shift(shift) => {
            r.move_to(Phase::Stepping);
            given(r, &valid, *shift)?;
            decided(r, &valid, *shift)
        }
        Stage::Gate(gate) => {
            r.move_to(Phase::Waiting);
            at_gate(r, &valid, gate)
        }
    }
}

/// What holds at every step, whatever other clients did meanwhile: Services that lead where they were
/// pointed, a canary Service.
pub(super) fn kept(r: &mut Reconcile) -> Flow {
    let side = r.trial().side;
    r.lead(side)?;
    canary_service::stands(r)
}

/// Gives the canary the pods and the weight of a shift.
fn given(r: &mut Reconcile, valid: &Valid, shift: Shift) -> Flow {
    measure::ask(r, valid);
    pods::filled(r, sizing::pods(&shift, r.deployment().replicas), valid.deadline)?;
    weight::unpaused(r, shift.weight)?;
    weight::weighted(r, shift.weight, valid.deadline)?;
    measure::ask(r, valid);
    GO_ON
}

/// What the canary has it keeps at a gate, and metrics go on guarding it. One that opened is passed,
/// unless the rollout is paused.
fn at_gate(r: &mut Reconcile, valid: &Valid, gate: &Gate) -> Flow {
    let step = r.trial().step;
    let before = valid.stages[..step].iter().rev().find_map(|stage| match stage {
        Stage::Shift(shift) => Some(*shift),
        Stage::Gate(_) => None,
    });
    if let Some(shift) = before {
        given(r, valid, shift)?;
    }
    let key = gate::open(r, valid, gate)?;
    if let Some(by) = r.paused_by() {
        let paused = WaitReason::Paused(Paused::AtOpenGate { by });
        return r.wait(&paused, Since::FirstReported, EndsBy::Person);
    }
    gate::record(r, valid, step..step + 1, &key);
    let opener = Opener::Itself { by: key.by, said: key.said };
    let event = EventReason::GateOpened { step: step + 1, of: valid.stages.len(), opener };
    next(r, valid, &event)
}

/// A person may go past a step, or past all of them. Goes on where no one did.
fn promoted(r: &mut Reconcile, valid: &Valid) -> Flow {
    let Some(intent) = r.rollout().spec.promote.as_ref().filter(|intent| r.meant(&intent.revision)) else {
        return GO_ON;
    };
    let by = person(intent.by.as_deref());
    let (at, of) = (r.trial().step, valid.stages.len());
    let key = gate::Key { by: by.clone(), said: None };
    if intent.full == Some(true) {
        gate::record(r, valid, at..of, &key);
        return promote(r, PromotedBy::Person { by });
    }
    let step = at + 1;
    if intent.step.and_then(|step| usize::try_from(step).ok()) != Some(step) {
        return GO_ON;
    }
    gate::record(r, valid, at..step, &key);
    let event = match valid.stages.get(at) {
        Some(Stage::Gate(_)) => EventReason::GateOpened { step, of, opener: Opener::Person { by } },
        _ => EventReason::StepSkipped { by, step, of },
    };
    next(r, valid, &event)
}

/// Decides on a step that has its weight: it lasts, passes, fails, or waits for verdicts.
fn decided(r: &mut Reconcile, valid: &Valid, shift: Shift) -> Flow {
    let Shift { weight, hold, until: ends, .. } = shift;
    let now = r.now();
    let verdict = measure::verdict(r, valid);
    r.set_verdict(Some(verdict));
    let since = r.trial().weighted_at.unwrap_or(now);
    let earliest = after(since, hold);
    let latest = after(earliest, valid.deadline);
    let evidence = measure::evidence(r);
    match verdict {
        Verdict::Error if valid.on_error == Unclear::Fail => {
            return rollback::fail(r, &Failure::MetricsUnavailable(evidence));
        }
        Verdict::Inconclusive if valid.on_inconclusive == Unclear::Fail => {
            return rollback::fail(r, &Failure::Inconclusive(evidence));
        }
        _ => {}
    }
    if now < earliest {
        let lasts = if weight == 0 { WaitReason::Preview } else { WaitReason::Hold { weight } };
        return r.wait(&lasts, Since::At(since), EndsBy::Deadline(earliest));
    }
    match verdict {
        _ if ends == Until::Ready => passed(r, valid),
        Verdict::Pass => passed(r, valid),
        Verdict::Error if valid.on_error == Unclear::Continue => unmeasured(r, valid, evidence),
        Verdict::Error => {
            let unavailable = WaitReason::MetricsUnavailable(evidence);
            r.wait(&unavailable, Since::FirstReported, EndsBy::Person)
        }
        Verdict::Inconclusive if valid.on_inconclusive == Unclear::Continue => unmeasured(r, valid, evidence),
        _ if now >= latest => late(r, valid),
        Verdict::Inconclusive => {
            let inconclusive = WaitReason::Inconclusive(evidence);
            r.wait(&inconclusive, Since::FirstReported, EndsBy::Deadline(latest))
        }
        Verdict::Pending | Verdict::Fail => {
            r.wait(&WaitReason::Metrics, Since::At(earliest), EndsBy::Deadline(latest))
        }
    }
}

/// The step's deadline is over, and some metric has no verdict.
fn late(r: &mut Reconcile, valid: &Valid) -> Flow {
    match valid.on_inconclusive {
        Unclear::Hold => {
            let late = WaitReason::Inconclusive(Evidence::Deadline);
            r.wait(&late, Since::FirstReported, EndsBy::Person)
        }
        Unclear::Fail => rollback::fail(r, &Failure::Inconclusive(Evidence::Deadline)),
        Unclear::Continue => unmeasured(r, valid, Evidence::Deadline),
    }
}

/// The policy lets a step end that has no verdict.
fn unmeasured(r: &mut Reconcile, valid: &Valid, why: Evidence) -> Flow {
    if let Some(by) = r.paused_by() {
        let paused = WaitReason::Paused(Paused::WithoutVerdict { by });
        return r.wait(&paused, Since::FirstReported, EndsBy::Person);
    }
    let event = EventReason::StepUnmeasured { step: r.trial().step + 1, of: valid.stages.len(), why };
    next(r, valid, &event)
}

fn passed(r: &mut Reconcile, valid: &Valid) -> Flow {
    if let Some(by) = r.paused_by() {
        let paused = WaitReason::Paused(Paused::AfterPass { by });
        return r.wait(&paused, Since::FirstReported, EndsBy::Person);
    }
    let event = EventReason::StepPassed { step: r.trial().step + 1, of: valid.stages.len() };
    next(r, valid, &event)
}

/// The next step begins, or the handover.
fn next(r: &mut Reconcile, valid: &Valid, event: &EventReason) -> Flow {
    let trial = r.trial();
    trial.step += 1;
    for state in trial.metrics.values_mut() {
        state.tally = Tally::default();
    }
    let step = trial.step;
    r.set_verdict(None);
    r.report(event);
    if step >= valid.stages.len() {
        return promote(r, PromotedBy::Steps);
    }
    let trial = r.trial();
    (trial.weighted_at, trial.short_since) = (None, None);
    STOP
}

/// The handover begins.
fn promote(r: &mut Reconcile, by: PromotedBy) -> Flow {
    r.move_to(Phase::Promoting);
    // A step that held all traffic has had it accepted already.
    let accepted = r.weight() == Some(100);
    let trial = r.trial();
    trial.weighted_at = trial.weighted_at.filter(|_| accepted);
    trial.short_since = None;
    r.enter(Handover::Filling);
    r.report(&EventReason::Promoting(by));
    STOP
}
