//! What a release showed, in figures, held against what was promised.

use std::time::Duration;

use jiff::Timestamp;

use super::act::Shown;
use super::screen::Screen;
use super::{BACK_WITHIN, Error, REPLICAS};

/// How much later than a client this machine may hear of a switch.
const HEARD: Duration = Duration::from_millis(700);

/// Seconds from one moment to another, with a tenth.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Fails with what was promised instead, unless it holds.
fn promise(holds: bool, else_shown: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Promise(else_shown())) }
}

/// The first moment of a phase.
fn phase(shown: &Shown, name: &str) -> Option<Timestamp> {
    let phases = shown.trails.rollout.changes(|rollout| rollout.phase().to_owned());
    phases.into_iter().find(|(_, phase)| phase == name).map(|(at, _)| at)
}

/// A release that was handed over: nothing failed, and no pod was started but those that were measured.
/// On the way its weights were these, between nothing and everything.
pub(super) fn good(screen: &mut Screen, shown: &Shown, wanted: &[u64]) -> Result<(), Error> {
    let started = shown.trails.pods(&format!("demo:{}", shown.version));
    let kept = shown.pods.iter().filter(|pod| started.contains(pod)).count();
    screen.say(&format!(
        "  {} failed of {} requests, {kept} of {} pods kept: {}",
        shown.record.failed(),
        shown.record.requests(),
        started.len(),
        shown.pods.join(" ")
    ));
    let promoting = phase(shown, "Promoting").map_or(0.0, |at| seconds(at, shown.ended));
    screen.say(&format!(
        "  {:.1} s from the push to Complete, {promoting:.1} s of them from the last step's pass",
        seconds(shown.pushed, shown.ended)
    ));
    screen.say(&format!("  the load generator's own lag: {}", shown.record.lag()));
    promise(shown.record.failed() == 0, || format!("requests failed: {}", shown.record))?;
    promise(kept == REPLICAS && started.len() == REPLICAS, || {
        format!("started were {started:?}, {:?} serve", shown.pods)
    })?;
    let weights: Vec<u64> = shown.trails.weights().into_iter().map(|(_, weight)| weight).collect();
    let steps: Vec<u64> = weights.iter().copied().filter(|weight| (1..100).contains(weight)).collect();
    promise(steps == wanted, || format!("the weights on the route were {weights:?}"))
}

/// A preview: its testers saw the new version alone, and nobody else saw it before the switch.
pub(super) fn preview(screen: &mut Screen, shown: &Shown) -> Result<(), Error> {
    let Some(testers) = &shown.testers else {
        return Err(Error::Promise(format!("{} had no preview", shown.version)));
    };
    let weights = shown.trails.weights();
    let switched = weights.iter().find(|(_, weight)| *weight == 100).map(|(at, _)| *at);
    let switched =
        switched.ok_or_else(|| Error::Promise(format!("{} never got everything", shown.version)))?;
    let first = shown.record.first(&shown.version);
    screen.say(&format!(
        "  {} requests of testers to the preview, all answered by {}; its first answer to anybody else {:.1} s after the switch",
        testers.requests(),
        shown.version,
        first.map_or(0.0, |first| seconds(switched, first))
    ));
    let by = testers.by_version();
    promise(testers.failed() == 0 && by.len() == 1 && by.contains_key(shown.version.as_str()), || {
        format!("testers saw {testers}")
    })?;
    // The watch may tell of the switch a little later than the router.
    let early = first.is_some_and(|first| first + HEARD < switched);
    promise(!early, || format!("{} answered before it was switched to", shown.version))
}

/// A release that was taken back: at once, by itself, with stable's pods untouched.
pub(super) fn bad(screen: &mut Screen, shown: &Shown) -> Result<(), Error> {
    let missing = |what: &str| Error::Promise(format!("{} showed no {what}", shown.version));
    let first = shown.record.first_bad(&shown.version).ok_or_else(|| missing("bad answer"))?;
    let last = shown.record.last_bad(&shown.version).ok_or_else(|| missing("bad answer"))?;
    let weights = shown.trails.weights();
    let back = weights.iter().find(|(at, weight)| *at > first && *weight == 0);
    let (back, _) = *back.ok_or_else(|| missing("weight 0 after its bad answers"))?;
    let bad = shown.record.failed();
    screen.say(&format!("  {}", shown.rollout.text("/failure/message")));
    screen.say(&format!(
        "  {:.1} s from the first bad answer to weight 0, {:.1} s to the last bad answer; {bad} bad answers of {} requests",
        seconds(first, back),
        seconds(first, last),
        shown.record.requests()
    ));
    let untouched = shown.pods.iter().filter(|pod| shown.before.contains(pod)).count();
    screen.say(&format!(
        "  {untouched} of {REPLICAS} pods of the version before it serve as if nothing had been; the rejected template is held"
    ));
    promise(back.duration_since(first) <= limit(BACK_WITHIN), || {
        format!("weight 0 within {} s of the first bad answer", BACK_WITHIN.as_secs())
    })?;
    promise(shown.record.lost() == 0, || format!("requests were lost: {}", shown.record))?;
    promise(untouched == REPLICAS, || format!("{:?} served before, {:?} now", shown.before, shown.pods))
}

/// The same as a signed span.
fn limit(time: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX)
}
