//! What a strategy asks for, as stages that follow one another: shifts of traffic, and gates between them.
//!
//! Blue-green is two shifts: none of the traffic, then all of it. A bake is a shift that changes nothing and lasts.

use std::time::Duration;

use super::{
    checks::{exactly_one, span, unserved},
    fault::{Fault, Sort},
    gate::{self, Gate},
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

    /// How many pods a Deployment of `replicas` needs for it: at least one, at most all.
    pub fn pods(&self, replicas: i32) -> i32 {
        let n = i64::from(replicas);
        let pods = match self.size {
            Size::Percent(percent) => (n * i64::from(percent) + 99) / 100,
            Size::Beside => {
                let (weight, rest) = (i64::from(self.weight), i64::from(100 - self.weight.min(99)));
                (n * weight + rest / 2) / rest
            }
        };
        pods.clamp(1, n.max(1)).try_into().unwrap_or(replicas)
    }
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
        faults.push(Fault::invalid(path, format!("must have 1 to 32 items, not {count}")));
    }
    let mut stages = Vec::new();
    let mut before = 0;
    for (index, step) in steps.iter().enumerate() {
        stages.extend(one_step(step, &format!("{path}[{index}]"), &mut before, by_number, faults));
    }
    // Empty steps are told one by one.
    if steps.iter().all(|step| step.weight.is_none()) && steps.iter().any(|step| *step != Step::default()) {
        faults.push(Fault::new(Sort::Missing, path, "at least one step needs a weight"));
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
        faults.push(Fault::invalid(format!("{path}.hold"), "a gate has no hold: it lasts until it opens"));
    }
    if replicas.is_some() && weight.is_none() {
        faults.push(Fault::invalid(format!("{path}.replicas"), "replicas go with a weight"));
    }
    let hold = hold.map_or(Duration::ZERO, |hold| span(hold, &format!("{path}.hold"), faults));
    let percent = replicas.as_ref().and_then(|text| percentage(text, &format!("{path}.replicas"), faults));
    if let Some(gate) = gate {
        return gate::gate(gate, &format!("{path}.gate"), faults).map(Stage::Gate);
    }
    let weight = (*weight)?;
    if !(1..=100).contains(&weight) {
        faults.push(Fault::invalid(format!("{path}.weight"), format!("must be from 1 to 100, not {weight}")));
        return None;
    }
    if weight <= *before {
        let why = format!("weights must rise from step to step: {weight} is not above {before}");
        faults.push(Fault::invalid(format!("{path}.weight"), why));
        return None;
    }
    *before = weight;
    let size = match percent {
        None if by_number && weight < 100 => Size::Beside,
        percent => Size::Percent(percent.unwrap_or(weight)),
    };
    if by_number && weight < 100 {
        if weight > BY_NUMBER {
            let why =
                "without a router pods share by their number, and stable never shrinks: at most 50, or 100";
            faults.push(Fault::invalid(format!("{path}.weight"), why));
        }
        if replicas.is_some() {
            let why = "without a router the number of pods follows from the weight: leave it out";
            faults.push(Fault::invalid(format!("{path}.replicas"), why));
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
        faults.push(Fault::invalid(path, "must be a percentage from 1% to 100%"));
    }
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(weight: u8, size: Size) -> Shift {
        Shift { weight, size, hold: Duration::ZERO, until: Until::Verdicts }
    }

    #[test]
    fn a_share_of_the_replicas_is_rounded_up_and_at_least_one_pod() {
        let pods = |percent, n| shift(5, Size::Percent(percent)).pods(n);
        assert_eq!([pods(5, 4), pods(50, 4), pods(51, 4), pods(100, 4), pods(100, 0)], [1, 2, 3, 4, 1]);
    }

    #[test]
    fn pods_beside_stable_make_the_weight_as_near_as_whole_pods_come() {
        let pods = |weight, n| shift(weight, Size::Beside).pods(n);
        // 1 of 5 is 20 %, 4 of 8 is 50 %, 3 of 13 is 23 %, 11 of 111 is 10 %.
        assert_eq!([pods(20, 4), pods(50, 4), pods(25, 10), pods(10, 100), pods(1, 4)], [1, 4, 3, 11, 1]);
    }
}
