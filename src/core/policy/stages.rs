//! What a strategy asks for, as stages that follow one another: shifts of traffic, and gates between them.
//!
//! Blue-green is two shifts: none of the traffic, then all of it. A bake is a shift that changes nothing and lasts.

use std::time::Duration;

use super::{
    checks::{exactly_one, span, unserved},
    fault::Fault,
    gate::{self, Gate},
    problem::Problem,
};
use crate::api::{self, BlueGreen, Canary, Step, Strategy};

/// The highest weight that pods of two versions can share by their number, for stable never shrinks.
const BY_NUMBER: u8 = 50;

/// A stage of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The canary gets this much.
    Shift(Shift),
    /// The rollout stays as it is until this opens.
    Gate(Gate),
}

/// What the canary gets, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Its share of the traffic, 0 to 100 percent.
    pub weight: u8,
    /// How many pods it has.
    pub size: Size,
    /// How long the stage lasts at least.
    pub hold: Duration,
    /// What ends it after that.
    pub until: Until,
}

/// How many pods the canary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// This percentage of the Deployment's replicas, rounded up.
    Percent(u8),
    /// So many that their number beside stable's makes the weight, as near as whole pods come.
    Beside,
}

/// What ends a shift once its hold is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The pods are ready.
    Ready,
    /// Each metric has its verdict.
    Verdicts,
}

impl Shift {
    /// All traffic on a canary of full size, measured.
    pub const ALL: Self =
        Self { weight: 100, size: Size::Percent(100), hold: Duration::ZERO, until: Until::Verdicts };
}

/// The stages of a strategy; what is wrong with it goes to `faults`.
pub(super) fn stages(strategy: &Strategy, by_number: bool, faults: &mut Vec<Fault>) -> Vec<Stage> {
    let Strategy { canary, blue_green } = strategy;
    let set = usize::from(canary.is_some()) + usize::from(blue_green.is_some());
    exactly_one("spec.strategy", "canary and blueGreen", set, faults);
    let mut stages = Vec::new();
    if let Some(canary) = canary {
        stages.extend(in_steps(canary, by_number, faults));
    }
    if let Some(blue_green) = blue_green {
        stages.extend(in_one_switch(blue_green, faults));
    }
    stages
}

fn in_steps(canary: &Canary, by_number: bool, faults: &mut Vec<Fault>) -> Vec<Stage> {
    let Canary { steps, bake } = canary;
    let path = "spec.strategy.canary.steps";
    let count = steps.len();
    if !(1..=32).contains(&count) {
        faults.push(Fault::of(path, &Problem::StepCount(count)));
    }
    let mut stages = Vec::new();
    let mut before = 0;
    for (index, step) in steps.iter().enumerate() {
        stages.extend(one_step(step, &format!("{path}[{index}]"), &mut before, by_number, faults));
    }
    // Empty steps are told one by one.
    if steps.iter().all(|step| step.weight.is_none()) && steps.iter().any(|step| *step != Step::default()) {
        faults.push(Fault::of(path, &Problem::NoWeight));
    }
    if let Some(bake) = bake {
        let hold = span(*bake, "spec.strategy.canary.bake", faults);
        stages.push(Stage::Shift(Shift { hold, ..Shift::ALL }));
    }
    stages
}

fn one_step(
    step: &Step,
    path: &str,
    before: &mut u8,
    by_number: bool,
    faults: &mut Vec<Fault>,
) -> Option<Stage> {
    let Step { weight, hold, replicas, matching, mirror, gate } = step;
    let set = [weight.is_some(), matching.is_some(), mirror.is_some(), gate.is_some()];
    let set = set.into_iter().filter(|set| *set).count();
    exactly_one(path, "weight, match, mirror and gate", set, faults);
    unserved(path, [("match", matching.is_some()), ("mirror", mirror.is_some())], faults);
    if gate.is_some() && hold.is_some() {
        faults.push(Fault::of(format!("{path}.hold"), &Problem::GateWithHold));
    }
    if replicas.is_some() && weight.is_none() {
        faults.push(Fault::of(format!("{path}.replicas"), &Problem::ReplicasWithoutWeight));
    }
    let hold = hold.map_or(Duration::ZERO, |hold| span(hold, &format!("{path}.hold"), faults));
    let percent = replicas.as_ref().and_then(|text| percentage(text, &format!("{path}.replicas"), faults));
    if let Some(gate) = gate {
        return gate::gate(gate, &format!("{path}.gate"), faults).map(Stage::Gate);
    }
    let weight = (*weight)?;
    if !(1..=100).contains(&weight) {
        faults.push(Fault::of(format!("{path}.weight"), &Problem::WeightRange(weight)));
        return None;
    }
    if weight <= *before {
        let problem = Problem::WeightNotRising { weight, before: *before };
        faults.push(Fault::of(format!("{path}.weight"), &problem));
        return None;
    }
    *before = weight;
    let size = match percent {
        None if by_number && weight < 100 => Size::Beside,
        percent => Size::Percent(percent.unwrap_or(weight)),
    };
    if by_number && weight < 100 {
        if weight > BY_NUMBER {
            faults.push(Fault::of(format!("{path}.weight"), &Problem::WeightByPods));
        }
        if replicas.is_some() {
            faults.push(Fault::of(format!("{path}.replicas"), &Problem::ReplicasByPods));
        }
    }
    Some(Stage::Shift(Shift { weight, size, hold, until: Until::Verdicts }))
}

fn in_one_switch(blue_green: &BlueGreen, faults: &mut Vec<Fault>) -> Vec<Stage> {
    let BlueGreen { preview, before, gate, after, keep_stable } = blue_green;
    let path = "spec.strategy.blueGreen";
    let percent = preview
        .as_ref()
        .and_then(|preview| percentage(&preview.replicas, &format!("{path}.preview.replicas"), faults));
    let mut lasts = |hold: &Option<api::Hold>, name: &str| {
        hold.as_ref().map_or(Duration::ZERO, |hold| span(hold.hold, &format!("{path}.{name}.hold"), faults))
    };
    let (hold_before, hold_after) = (lasts(before, "before"), lasts(after, "after"));
    let until = if before.is_some() { Until::Verdicts } else { Until::Ready };
    let size = Size::Percent(percent.unwrap_or(100));
    let mut stages = vec![Stage::Shift(Shift { weight: 0, size, hold: hold_before, until })];
    if let Some(gate) = gate {
        stages.extend(gate::gate(gate, &format!("{path}.gate"), faults).map(Stage::Gate));
    }
    stages.push(Stage::Shift(Shift { hold: hold_after, ..Shift::ALL }));
    if let Some(keep) = keep_stable {
        let hold = span(*keep, &format!("{path}.keepStable"), faults);
        stages.push(Stage::Shift(Shift { hold, ..Shift::ALL }));
    }
    stages
}

/// A percentage such as `50%`, from 1 to 100.
fn percentage(text: &str, path: &str, faults: &mut Vec<Fault>) -> Option<u8> {
    let percent = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let percent =
        percent.and_then(|digits| digits.parse().ok()).filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        faults.push(Fault::of(path, &Problem::Percentage));
    }
    percent
}
