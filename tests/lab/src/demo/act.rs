//! One release, from the push to its end, drawn while it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::screen::{Gauges, Screen};
use super::{Error, NAME, TESTERS};
use crate::load::{Load, Plan, Record, Running};
use crate::support::{Demo, Rollout, Space, SupportError, Trails, routed};

/// Interval between updates of the drawing.
const FRAME: Duration = Duration::from_millis(200);
/// The period over which the observed weight is computed.
const SPLIT: Duration = Duration::from_secs(2);
/// How long a release may take.
const LIMIT: Duration = Duration::from_secs(150);

/// The expected end of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The Deployment owns its pods.
    HandedOver,
    /// The previous version has all traffic again.
    RolledBack,
}

/// How traffic moves to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// More with each step.
    InSteps,
    /// All at once, after testers have used the preview.
    AtOnce,
}

/// What was observed of a release.
#[derive(Debug)]
pub(super) struct Shown {
    /// The version, which is the tag of its image.
    pub(super) version: String,
    /// When it was pushed.
    pub(super) pushed: Timestamp,
    /// When its end was observed.
    pub(super) ended: Timestamp,
    /// Every request.
    pub(super) record: Record,
    /// The requests of testers to the preview, if there was one.
    pub(super) testers: Option<Record>,
    /// The events of the watches.
    pub(super) trails: Trails,
    /// The Rollout at the end.
    pub(super) rollout: Rollout,
    /// The pods that serve at the end.
    pub(super) pods: Vec<String>,
    /// The pods that served before.
    pub(super) before: Vec<String>,
}

/// Pushes `demo` under load, draws until it has ended as expected (or otherwise), and returns
/// everything observed.
pub(super) async fn release(
    space: &Space,
    plan: &Plan,
    screen: &mut Screen,
    demo: &Demo,
    way: Way,
    ending: Ending,
) -> Result<Shown, Error> {
    let before = pods(space).await?;
    let trails = Trails::follow(space, NAME);
    let load = Load::start(plan.clone());
    let pushed = Timestamp::now();
    space.apply(&demo.to_string()).await?;
    let version = demo.version().to_owned();
    let testers = (way == Way::AtOnce).then(|| tokio::spawn(testers(space.clone())));
    let rollout = watch(&trails, &load, screen, &version, ending).await?;
    let ended = Timestamp::now();
    let testers = match testers {
        Some(task) => Some(task.await.map_err(|error| Error::Unexpected(error.to_string()))??),
        None => None,
    };
    if ending == Ending::HandedOver {
        space.rolled_out(NAME, LIMIT).await?;
    }
    let after = pods(space).await?;
    let record = load.stop().await;
    Ok(Shown { version, pushed, ended, record, testers, trails, rollout, pods: after, before })
}

/// Sends requests to the preview from its first answer until the switch.
async fn testers(space: Space) -> Result<Record, Error> {
    let canary = format!("{NAME}-canary");
    let address = space
        .until(&canary, "the preview's Service", LIMIT, |service: &Service| {
            service.spec.as_ref()?.cluster_ip.clone()
        })
        .await?;
    let plan =
        Plan::new(&format!("http://{address}"), TESTERS).map_err(|error| Error::Stage(error.into()))?;
    routed(&plan, LIMIT).await?;
    let load = Load::start(plan);
    space.weight(NAME, 100, LIMIT).await?;
    Ok(load.stop().await)
}

/// Draws until the release has ended.
async fn watch(
    trails: &Trails,
    load: &Running,
    screen: &mut Screen,
    version: &str,
    ending: Ending,
) -> Result<Rollout, Error> {
    let began = Instant::now();
    let mut named = BTreeSet::new();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        frames.tick().await;
        let rollout = trails.rollout.latest(NAME).unwrap_or_default();
        let (tally, recent) = (load.tally(), load.recent(SPLIT));
        for pod in trails.pods(&format!("demo:{version}")) {
            if named.insert(pod.clone()) {
                screen.note(&format!("pod {pod} started"));
            }
        }
        let weights: Vec<u64> = trails.weights().into_iter().map(|(_, weight)| weight).collect();
        // After the handover the version has all traffic, and the route no longer needs a weight.
        let handed = weights.contains(&100) && !matches!(rollout.phase(), "RollingBack" | "RolledBack");
        let desired = if handed { 100 } else { weights.last().copied().unwrap_or(0) };
        screen.draw(&Gauges {
            elapsed: began.elapsed(),
            phase: rollout.phase().to_owned(),
            step: rollout.text("/progress").to_owned(),
            desired,
            observed: recent.share(version).unwrap_or(0.0) * 100.0,
            failed: tally.total.failed,
            requests: tally.total.requests,
        });
        let handed_over = rollout.complete(version);
        let rejected = rollout.phase() == "RolledBack" && rollout.text("/canary/tag") == version;
        let over = match ending {
            Ending::HandedOver if rejected => true,
            Ending::HandedOver => handed_over,
            Ending::RolledBack if handed_over => true,
            // Wait until the router, too, no longer sends requests to it.
            Ending::RolledBack => rejected && recent.total.failed == 0,
        };
        if over {
            screen.end();
            let as_expected = if ending == Ending::HandedOver { handed_over } else { rejected };
            let message =
                || format!("{version} is {}: {}", rollout.phase(), rollout.text("/failure/message"));
            return if as_expected { Ok(rollout) } else { Err(Error::Unexpected(message())) };
        }
        if began.elapsed() > LIMIT {
            screen.end();
            let what = format!("the end of the release of {version}");
            let seen = rollout.status.to_string();
            return Err(SupportError::Deadline { what, limit: LIMIT, seen }.into());
        }
    }
}

/// Returns the names of the application's pods that are not being deleted.
async fn pods(space: &Space) -> Result<Vec<String>, Error> {
    let which = kube::api::ListParams::default().labels(&format!("app={NAME}"));
    let list = space.api::<Pod>().list(&which).await.map_err(SupportError::api("list pods"))?;
    let serving = list.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(serving.map(ResourceExt::name_any).collect())
}
