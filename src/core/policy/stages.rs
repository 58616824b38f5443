//! Compiles a strategy into stages: shifts of traffic, and gates between them.
//!
//! Blue-green is two shifts: to none of the traffic, then to all of it. A bake is a shift that
//! keeps the weight.

use std::time::Duration;

use super::{
    checks::{exactly_one, span},
    fault::Fault,
    gate::{self, Gate},
    problem::Problem,
};
use crate::{
    api::{self, BlueGreen, Canary, Step, Strategy},
    traffic::Weight,
};

/// The highest weight without a router: stable keeps all its pods, so the canary has at most half
/// of them.
const BY_NUMBER: Weight = Weight::percent(50);

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
    /// Its share of the traffic.
    pub weight: Weight,
    /// How many pods it has.
    pub size: Size,
    /// The minimum time that the stage lasts.
    pub duration: Duration,
    /// What ends it after that.
    pub until: Until,
}

/// How many pods the canary has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// This percentage of the Deployment's replicas, rounded up.
    Percent(u8),
    /// As many as carry the weight: this share of the Deployment's replicas, rounded up.
    ForWeight,
    /// So many that their number beside stable's makes the weight, as near as whole pods come.
    Beside,
}

/// What ends a shift once its duration is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The pods are ready.
    Ready,
    /// Each metric has its verdict.
    Verdicts,
}

impl Shift {
    /// All traffic on a canary of full size, measured.
    pub const ALL: Self = Self {
        weight: Weight::ALL,
        size: Size::Percent(100),
        duration: Duration::ZERO,
        until: Until::Verdicts,
    };
}

/// Compiles a strategy, and adds its errors to `faults`.
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
    let mut before = Before::default();
    for (index, step) in steps.iter().enumerate() {
        stages.extend(one_step(step, &format!("{path}[{index}]"), &mut before, by_number, faults));
    }
    // Each empty step is reported separately.
    if steps.iter().all(|step| step.weight.is_none()) && steps.iter().any(|step| *step != Step::default()) {
        faults.push(Fault::of(path, &Problem::NoWeight));
    }
    if let Some(bake) = bake {
        let duration = span(*bake, "spec.strategy.canary.bake", faults);
        stages.push(Stage::Shift(Shift { duration, ..Shift::ALL }));
    }
    stages
}

/// What the steps before gave the canary.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    weight: Weight,
    /// The largest percentage of `replicas`.
    percent: u8,
}

fn one_step(
    step: &Step,
    path: &str,
    before: &mut Before,
    by_number: bool,
    faults: &mut Vec<Fault>,
) -> Option<Stage> {
    let Step { weight, duration, replicas, gate } = step;
    let set = usize::from(weight.is_some()) + usize::from(gate.is_some());
    exactly_one(path, "weight and gate", set, faults);
    if gate.is_some() && duration.is_some() {
        faults.push(Fault::of(format!("{path}.duration"), &Problem::GateWithDuration));
    }
    if replicas.is_some() && weight.is_none() {
        faults.push(Fault::of(format!("{path}.replicas"), &Problem::ReplicasWithoutWeight));
    }
    let duration =
        duration.map_or(Duration::ZERO, |written| span(written, &format!("{path}.duration"), faults));
    let percent = replicas.as_ref().and_then(|text| percentage(text, &format!("{path}.replicas"), faults));
    if let Some(gate) = gate {
        return gate::gate(gate, &format!("{path}.gate"), faults).map(Stage::Gate);
    }
    let weight = (*weight)?;
    if weight == Weight::ZERO {
        faults.push(Fault::of(format!("{path}.weight"), &Problem::WeightZero));
        return None;
    }
    if weight <= before.weight {
        let problem = Problem::WeightNotRising { weight, before: before.weight };
        faults.push(Fault::of(format!("{path}.weight"), &problem));
        return None;
    }
    before.weight = weight;
    if let Some(problem) = percent.and_then(|percent| too_few(percent, weight, *before)) {
        faults.push(Fault::of(format!("{path}.replicas"), &problem));
    }
    before.percent = before.percent.max(percent.unwrap_or_default());
    let size = match percent {
        None if by_number && weight < Weight::ALL => Size::Beside,
        // The canary never shrinks while it has traffic.
        None if weight < Weight::percent(before.percent) => Size::Percent(before.percent),
        None => Size::ForWeight,
        Some(percent) => Size::Percent(percent),
    };
    if by_number && weight < Weight::ALL {
        if weight > BY_NUMBER {
            faults.push(Fault::of(format!("{path}.weight"), &Problem::WeightByPods));
        }
        if replicas.is_some() {
            faults.push(Fault::of(format!("{path}.replicas"), &Problem::ReplicasByPods));
        }
    }
    Some(Stage::Shift(Shift { weight, size, duration, until: Until::Verdicts }))
}

/// Returns why a step has too few replicas for its weight, or fewer than a step before.
fn too_few(percent: u8, weight: Weight, before: Before) -> Option<Problem> {
    // A percentage has no decimals: 33% may serve 33.3%.
    if percent < 100 && weight >= Weight::percent(percent + 1) {
        return Some(Problem::ReplicasBelowWeight { percent, weight });
    }
    (percent < before.percent).then_some(Problem::ReplicasFalling { percent, before: before.percent })
}

fn in_one_switch(blue_green: &BlueGreen, faults: &mut Vec<Fault>) -> Vec<Stage> {
    let BlueGreen { preview, before, gate, after, keep_stable } = blue_green;
    let path = "spec.strategy.blueGreen";
    let percent = preview
        .as_ref()
        .and_then(|preview| percentage(&preview.replicas, &format!("{path}.preview.replicas"), faults));
    let mut lasts = |stage: &Option<api::Measured>, name: &str| {
        stage
            .as_ref()
            .map_or(Duration::ZERO, |stage| span(stage.duration, &format!("{path}.{name}.duration"), faults))
    };
    let (duration_before, duration_after) = (lasts(before, "before"), lasts(after, "after"));
    let until = if before.is_some() { Until::Verdicts } else { Until::Ready };
    let size = Size::Percent(percent.unwrap_or(100));
    let mut stages =
        vec![Stage::Shift(Shift { weight: Weight::ZERO, size, duration: duration_before, until })];
    if let Some(gate) = gate {
        stages.extend(gate::gate(gate, &format!("{path}.gate"), faults).map(Stage::Gate));
    }
    stages.push(Stage::Shift(Shift { duration: duration_after, ..Shift::ALL }));
    if let Some(keep) = keep_stable {
        let duration = span(*keep, &format!("{path}.keepStable"), faults);
        stages.push(Stage::Shift(Shift { duration, ..Shift::ALL }));
    }
    stages
}

/// Parses a percentage such as `50%`, from 1 to 100.
fn percentage(text: &str, path: &str, faults: &mut Vec<Fault>) -> Option<u8> {
    let percent = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let percent =
        percent.and_then(|digits| digits.parse().ok()).filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        faults.push(Fault::of(path, &Problem::Percentage));
    }
    percent
}
