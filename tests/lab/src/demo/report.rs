//! The figures of a release, compared with the expected ones.

use std::time::Duration;

use jiff::Timestamp;

use super::act::Shown;
use super::screen::Screen;
use super::{BACK_WITHIN, Error, REPLICAS};

/// How much later than a client the watch can see a switch.
const HEARD: Duration = Duration::from_millis(700);

/// Returns the seconds between two times, in tenths.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Returns the error `else_shown` unless `holds`.
fn expect_that(holds: bool, else_shown: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Unexpected(else_shown())) }
}

/// Returns when a phase began.
fn phase(shown: &Shown, name: &str) -> Option<Timestamp> {
    let phases = shown.trails.rollout.changes(|rollout| rollout.phase().to_owned());
    phases.into_iter().find(|(_, phase)| phase == name).map(|(at, _)| at)
}

/// Reports a release that was handed over. Checks that no request failed, that only the measured
/// pods were started, and that the weights between 0 and 100 were `wanted`.
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
        "  {:.1} s from the push to Complete, {promoting:.1} s of them after the last step passed",
        seconds(shown.pushed, shown.ended)
    ));
    screen.say(&format!("  lag of the load generator: {}", shown.record.lag()));
    expect_that(shown.record.failed() == 0, || format!("requests failed: {}", shown.record))?;
    expect_that(kept == REPLICAS && started.len() == REPLICAS, || {
        format!("pods {started:?} were started, {:?} serve", shown.pods)
    })?;
    let weights: Vec<u64> = shown.trails.weights().into_iter().map(|(_, weight)| weight).collect();
    let steps: Vec<u64> = weights.iter().copied().filter(|weight| (1..100).contains(weight)).collect();
    expect_that(steps == wanted, || format!("the weights on the route were {weights:?}"))
}

/// Reports a preview. Checks that its testers saw only the new version, and that no other client
/// saw it before the switch.
pub(super) fn preview(screen: &mut Screen, shown: &Shown) -> Result<(), Error> {
    let Some(testers) = &shown.testers else {
        return Err(Error::Unexpected(format!("{} had no preview", shown.version)));
    };
    let weights = shown.trails.weights();
    let switched = weights.iter().find(|(_, weight)| *weight == 100).map(|(at, _)| *at);
    let switched =
        switched.ok_or_else(|| Error::Unexpected(format!("{} never got all traffic", shown.version)))?;
    let first = shown.record.first(&shown.version);
    screen.say(&format!(
        "  {} requests of testers to the preview, all answered by {}; its first answer to another client {:.1} s after the switch",
        testers.requests(),
        shown.version,
        first.map_or(0.0, |first| seconds(switched, first))
    ));
    let by = testers.by_version();
    expect_that(testers.failed() == 0 && by.len() == 1 && by.contains_key(shown.version.as_str()), || {
        format!("testers saw {testers}")
    })?;
    // The watch can report the switch a little later than the router applies it.
    let early = first.is_some_and(|first| first + HEARD < switched);
    expect_that(!early, || format!("{} answered before the switch", shown.version))
}

/// Reports a release that was rolled back. Checks that this happened in time, without intervention,
/// and that stable's pods were not changed.
pub(super) fn bad(screen: &mut Screen, shown: &Shown) -> Result<(), Error> {
    let missing = |what: &str| Error::Unexpected(format!("{} has no {what}", shown.version));
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
        "  {untouched} of {REPLICAS} pods of the previous version still serve; the rejected template is held"
    ));
    expect_that(back.duration_since(first) <= limit(BACK_WITHIN), || {
        format!("weight 0 within {} s of the first bad answer", BACK_WITHIN.as_secs())
    })?;
    expect_that(shown.record.lost() == 0, || format!("requests were lost: {}", shown.record))?;
    expect_that(untouched == REPLICAS, || format!("{:?} served before, {:?} now", shown.before, shown.pods))
}

/// Returns the same as a signed duration.
fn limit(time: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX)
}
