//! One release, measured.

use std::time::Duration;

use jiff::Timestamp;

use super::controller::Rollbacks;
use super::{Error, Figure, Figures, NAME};
use crate::load::{Load, Plan, Record};
use crate::support::{Demo, Rollout, Space, Trails, runs};

/// How long a release may take.
const LIMIT: Duration = Duration::from_secs(90);

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
fn count(count: u64) -> f64 {
    count as f64
}

/// What was observed of a release from its push to its end.
struct Shown {
    pushed: Timestamp,
    trails: Trails,
    record: Record,
}

/// Pushes `demo` under load and waits until `ended` returns true.
async fn push(
    space: &Space,
    plan: &Plan,
    demo: &Demo,
    what: &str,
    ended: impl Fn(&Rollout) -> bool,
) -> Result<Shown, Error> {
    let trails = Trails::follow(space, NAME);
    let load = Load::start(plan.clone());
    let pushed = Timestamp::now();
    space.apply(&demo.to_string()).await?;
    space.until(NAME, what, LIMIT, |rollout: &Rollout| ended(rollout).then_some(())).await?;
    let record = load.stop().await;
    Ok(Shown { pushed, trails, record })
}

/// Returns when a pod with this image was first seen.
fn pod(trails: &Trails, image: &str) -> Option<Timestamp> {
    trails.pods.all().iter().find(|seen| runs(&seen.object, image)).map(|seen| seen.at)
}

/// Makes a release that answers every request with an error. Returns a line that summarizes it.
pub(super) async fn bad(
    space: &Space,
    plan: &Plan,
    version: &str,
    figures: &mut Figures,
) -> Result<String, Error> {
    let missing = |what: &'static str| Error::Missing { version: version.to_owned(), what };
    let before = Rollbacks::read(space).await?;
    let demo = Demo::new(NAME, version).env("ERROR_RATE", "1");
    let rolled_back =
        |rollout: &Rollout| rollout.phase() == "RolledBack" && rollout.text("/canary/tag") == version;
    let Shown { pushed, trails, record } = push(space, plan, &demo, "rolled back", rolled_back).await?;
    let latency = Rollbacks::read(space).await?.since(before);
    let latency = latency.ok_or_else(|| missing("single rollback in Steelyard's metrics"))?;

    let first = record.first_bad(version).ok_or_else(|| missing("bad answer"))?;
    let last = record.last_bad(version).ok_or_else(|| missing("bad answer"))?;
    let weights = trails.weights();
    let raised = weights.iter().find(|(at, weight)| *at > pushed && *weight > 0);
    let (raised, _) = *raised.ok_or_else(|| missing("weight"))?;
    let zero = weights.iter().find(|(at, weight)| *at > raised && *weight == 0);
    let (zero, _) = *zero.ok_or_else(|| missing("weight 0 after a higher weight"))?;
    let image = format!("demo:{version}");
    let created = pod(&trails, &image).ok_or_else(|| missing("pod"))?;
    let bad = record.by_version().get(version).map_or(0, |answers| answers.failed);
    for (figure, value) in [
        (Figure::AnswerToWeightZero, latency),
        (Figure::BadToWeightZero, seconds(first, zero)),
        (Figure::BadToLastBad, seconds(first, last)),
        (Figure::BadAnswers, count(bad)),
        (Figure::Lost, count(record.lost())),
        (Figure::PodsStarted, count(trails.pods(&image).len() as u64)),
        (Figure::PushToPod, seconds(pushed, created)),
        (Figure::PushToAnswer, seconds(pushed, first)),
    ] {
        figures.add(figure, value);
    }
    Ok(format!(
        "{version}: pod after {:.2} s, weight after {:.2} s, bad answers from {:.2} s on, {bad} of them; weight 0 {:.2} s later, {:.0} ms after Prometheus's answer; lag of the generator: {}",
        seconds(pushed, created),
        seconds(pushed, raised),
        seconds(pushed, first),
        seconds(first, zero),
        latency * 1e3,
        record.lag()
    ))
}

/// Makes a release that is handed over. Returns a line that summarizes it.
pub(super) async fn good(
    space: &Space,
    plan: &Plan,
    version: &str,
    figures: &mut Figures,
) -> Result<String, Error> {
    let missing = |what: &'static str| Error::Missing { version: version.to_owned(), what };
    let demo = Demo::new(NAME, version);
    let complete = |rollout: &Rollout| rollout.complete(version);
    let Shown { pushed, trails, record } = push(space, plan, &demo, "Complete", complete).await?;
    // The phase; during the handover, its stage.
    let stages = trails.rollout.changes(|rollout| match rollout.phase() {
        "Promoting" => rollout.text("/trial/handover").to_owned(),
        phase => phase.to_owned(),
    });
    let passed = stages.iter().position(|(_, stage)| stage == "ScalingUp");
    let passed = passed.ok_or_else(|| missing("handover"))?;
    let handover = &stages[passed..];
    for pair in handover.windows(2) {
        figures.stage(&pair[0].1, seconds(pair[0].0, pair[1].0));
    }
    let (began, ended) = (handover[0].0, handover[handover.len() - 1].0);
    figures.add(Figure::PassToComplete, seconds(began, ended));
    figures.add(Figure::Lost, count(record.lost()));
    let created = pod(&trails, &format!("demo:{version}")).ok_or_else(|| missing("pod"))?;
    figures.add(Figure::PushToPod, seconds(pushed, created));
    Ok(format!(
        "{version}: Complete {:.2} s after the push, {:.2} s after the last step passed; {} of {} requests failed",
        seconds(pushed, ended),
        seconds(began, ended),
        record.failed(),
        record.requests()
    ))
}
