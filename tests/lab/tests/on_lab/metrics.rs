//! Measured releases: failures roll back, and rollouts without data wait.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::watcher;
use lab::cluster::Cluster;
use lab::components::Part;
use lab::load::Load;
use lab::paths::Layout;
use lab::support::{Demo, Failure, Policy, Rollout, Space, SupportError, Trails, tell};
use serde_json::Value;

use crate::canary::{ROLLOUT, held, rolled_back, still_held};
use crate::{SOON, pods_of};

/// Requests per second through the Gateway.
const RATE: f64 = 50.0;
/// The longest time that the router uses an old weight: Traefik applies changes every two seconds.
const ROUTER: Duration = Duration::from_secs(3);
/// How long a test checks that nothing happens: longer than the step's duration and several
/// measurements.
const QUIET: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_release_rolls_back() -> Result<(), Failure> {
    Space::run("bad-release", async |space| {
        let stable = Demo::new("web", "v1");
        let bad = Demo::new("web", "v2").env("ERROR_RATE", "1");
        let (gateway, _) = space.serve("web", &stable, RATE).await?;
        let before = pods_of(space, "web", 4).await?;
        space.apply(&Policy::new("web").step(20, 5).step(50, 5).measured().to_string()).await?;
        space.adopt("web", "web").await?;
        let trails = Trails::follow(space, "web");
        let load = Load::start(gateway);
        space.apply(&bad.to_string()).await?;
        let rollout = rolled_back(space).await?;

        let failure = &rollout.status["failure"];
        assert!(failure["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{failure}");
        assert_eq!(failure["metric"], "errors", "{failure}");
        let query = failure["query"].as_str().unwrap_or_default();
        assert!(query.contains(space.name()) && !query.contains('$'), "the query as it was sent: {failure}");
        assert!(failure["value"].as_f64().is_some_and(|value| value > 0.1), "{failure}");
        assert!(failure["message"].as_str().is_some_and(|message| message.contains("0.1")), "{failure}");
        assert_eq!(rollout.text("/canary/tag"), "v2");
        still_held(space, &before).await?;
        check_events(space, &failure["value"]).await?;

        // The same template again is no new push, and neither is another change.
        let tried = trails.pods("demo:v2");
        space.apply(&bad.to_string()).await?;
        space.kubectl(&["annotate", "deployment", "web", "example.com/touched=yes"]).await?;
        stays(space, "another attempt for the failed template", |rollout| rollout.phase() != "RolledBack")
            .await?;
        assert_eq!(trails.pods("demo:v2"), tried, "no pod of the rejected version was started again");
        still_held(space, &before).await?;

        space.apply(&stable.to_string()).await?;
        space
            .until("web", "stable again", SOON, |rollout: &Rollout| {
                (rollout.phase() == "Stable").then_some(())
            })
            .await?;
        space
            .until("web", "the Deployment released", SOON, |deployment: &Deployment| {
                (held(deployment) == Some(false)).then_some(())
            })
            .await?;
        let record = load.stop().await;
        tell(format_args!("through the Gateway: {record}"));
        let weights = trails.weights();
        let (back, _) = *weights.iter().rev().find(|(_, weight)| *weight == 0).expect("weight 0 again");
        let (first, last) = (record.first_bad("v2").expect("bad answers"), record.last_bad("v2"));
        tell(format_args!(
            "first bad answer to weight 0: {:#}, to the last one: {:#}",
            back - first,
            last.unwrap_or(first) - first
        ));
        assert!(last < Some(back + ROUTER), "bad answers end soon after weight 0: {last:?}, {back}");
        assert_eq!(record.lost(), 0, "{record}");
        let raised: Vec<u64> =
            weights.iter().map(|(_, weight)| *weight).filter(|weight| *weight > 0).collect();
        assert_eq!(raised, [20], "the rollout never reached the second step");
        assert_eq!(trails.pods("demo:v1"), before, "the rollback starts no pod");
        Ok(())
    })
    .await
}

/// The Event with this reason about Rollout `web`: its type and its note.
async fn event(space: &Space, reason: &str) -> Result<(String, String), SupportError> {
    let what = format!("an Event {reason} about the Rollout");
    space
        .until_all(watcher::Config::default(), &what, SOON, |events: &BTreeMap<String, Event>| {
            events.values().find_map(|event| {
                let about = event.regarding.as_ref()?;
                let ours = about.kind.as_deref() == Some("Rollout") && about.name.as_deref() == Some("web");
                let related = event.related.as_ref().and_then(|related| related.kind.as_deref());
                (ours && related == Some("Deployment") && event.reason.as_deref() == Some(reason)).then(
                    || (event.type_.clone().unwrap_or_default(), event.note.clone().unwrap_or_default()),
                )
            })
        })
        .await
}

/// Checks that Events describe the failed release, with metric, value and limit, and that `kubectl
/// describe` shows them.
async fn check_events(space: &Space, value: &Value) -> Result<(), Failure> {
    let measured = format!("metric errors is {value}, above max 0.1");
    for (reason, kind, words) in [
        ("Preparing", "Normal", vec!["v2 is held"]),
        ("WeightShifted", "Normal", vec!["20%"]),
        ("RollingBack", "Warning", vec![&measured, "stable"]),
        ("RolledBack", "Warning", vec![&measured, "held"]),
    ] {
        let (type_, note) = event(space, reason).await?;
        tell(format_args!("Event {type_} {reason}: {note}"));
        assert_eq!(type_, kind, "{reason}: {note}");
        assert!(words.iter().all(|word| note.contains(word)), "{reason}: {note}");
    }
    let described = space.kubectl(&["describe", "rollout", "web"]).await?;
    for word in ["Preparing", "WeightShifted", "RollingBack", "RolledBack", &measured] {
        assert!(described.contains(word), "{word} is not in\n{described}");
    }
    Ok(())
}

/// Checks that for a while `other` never returns true for a Rollout.
async fn stays(space: &Space, what: &str, other: impl Fn(&Rollout) -> bool) -> Result<(), Failure> {
    let seen = space
        .until("web", what, QUIET, |rollout: &Rollout| other(rollout).then(|| rollout.status.clone()))
        .await;
    match seen {
        Err(SupportError::Deadline { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(status) => Err(format!("{what}: {status}").into()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_stable_keeps_its_share_while_prometheus_is_down() -> Result<(), Failure> {
    let cluster = Cluster::of(&Layout::of(std::env::var("LAB_NAME")?.parse()?)?);
    Space::run("no-prometheus", async |space| {
        let (gateway, _) = space.serve("web", &Demo::new("web", "v1"), RATE).await?;
        space.apply(&Policy::new("web").step(25, 5).step(50, 3).measured().to_string()).await?;
        space.adopt("web", "web").await?;
        let trails = Trails::follow(space, "web");
        let load = Load::start(gateway);
        space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
        space.weight("web", 25, ROLLOUT).await?;
        cluster.stop(Part::Prometheus)?;
        let stopped = Timestamp::now();
        let held = stays(space, "another weight without Prometheus", |rollout| {
            // Status may not have reached 25 yet.
            rollout.phase() != "Stepping" || rollout.weight().unwrap_or(0) > 25
        })
        .await;
        // Started before anything can fail this test, because other tests need it.
        cluster.start(Part::Prometheus).await?;
        let started = Timestamp::now();
        held?;
        space
            .until("web", "v2 stable and Complete", ROLLOUT, |rollout: &Rollout| {
                rollout.complete("v2").then_some(())
            })
            .await?;
        let record = load.stop().await;
        tell(format_args!(
            "Prometheus was unavailable for {:#}; through the Gateway: {record}",
            started - stopped
        ));
        assert_eq!(record.failed(), 0, "{record}");
        let quiet = trails.weights().into_iter().filter(|(at, _)| (stopped..started).contains(at)).count();
        assert_eq!(quiet, 0, "the weight did not change: {:?}", trails.weights());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_failing_release_is_not_promoted_while_prometheus_is_down() -> Result<(), Failure> {
    let cluster = Cluster::of(&Layout::of(std::env::var("LAB_NAME")?.parse()?)?);
    Space::run("blind", async |space| {
        let stable = Demo::new("web", "v1");
        let (gateway, _) = space.serve("web", &stable, RATE).await?;
        let before = pods_of(space, "web", 4).await?;
        space.apply(&Policy::new("web").step(25, 5).step(50, 3).measured().to_string()).await?;
        space.adopt("web", "web").await?;
        let trails = Trails::follow(space, "web");
        let load = Load::start(gateway);
        space.apply(&stable.tag("v2").env("ERROR_RATE", "1").to_string()).await?;
        space.weight("web", 25, ROLLOUT).await?;
        // A measurement that fails needs three seconds of traffic, which have not passed yet.
        cluster.stop(Part::Prometheus)?;
        let stopped = Timestamp::now();
        let held = async {
            stays(space, "another weight without Prometheus", |rollout| {
                rollout.phase() != "Stepping" || rollout.weight().unwrap_or(0) > 25
            })
            .await?;
            let unavailable = |rollout: &Rollout| {
                (rollout.text("/waiting/reason") == "MetricsUnavailable").then(|| rollout.status.clone())
            };
            let status = space.until("web", "Prometheus reported as unavailable", SOON, unavailable).await?;
            Ok::<_, Failure>(status["waiting"].clone())
        }
        .await;
        let failing = load.recent(Duration::from_secs(2));
        // Started before anything can fail this test, because other tests need it.
        cluster.start(Part::Prometheus).await?;
        let started = Timestamp::now();
        let waiting = held?;
        tell(format_args!("without Prometheus it waits: {waiting}"));
        let message = waiting["message"].as_str().unwrap_or_default();
        assert!(message.contains("errors") && message.contains("connection"), "{waiting}");
        let bad = failing.by_version.get("v2").copied().unwrap_or_default();
        assert!(bad.requests > 0 && bad.failed == bad.requests, "v2 failed every request meanwhile: {bad:?}");

        let rollout = rolled_back(space).await?;
        let failure = &rollout.status["failure"];
        assert_eq!((&failure["reason"], &failure["metric"]), (&"MetricFailed".into(), &"errors".into()));
        still_held(space, &before).await?;
        let record = load.stop().await;
        let weights = trails.weights();
        let steps: Vec<u64> =
            weights.iter().map(|(_, weight)| *weight).filter(|weight| *weight > 0).collect();
        assert_eq!(steps, [25], "nothing was promoted");
        let (back, _) = *weights.iter().rev().find(|(_, weight)| *weight == 0).expect("weight 0");
        tell(format_args!(
            "Prometheus was unavailable for {:#}; weight 0 came {:#} after its return; {record}",
            started - stopped,
            back - started
        ));
        assert!(back > started, "the failure can't be measured without Prometheus");
        assert_eq!(record.lost(), 0, "{record}");
        let kept = record.by_version().get("v1").copied().unwrap_or_default();
        assert_eq!(kept.failed, 0, "stable never failed: {record}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_looping_canary_is_rolled_back() -> Result<(), Failure> {
    Space::run("crash-canary", async |space| {
        let stable = Demo::new("web", "v1");
        let (gateway, _) = space.serve("web", &stable, RATE).await?;
        let before = pods_of(space, "web", 4).await?;
        space.apply(&Policy::new("web").step(25, 20).to_string()).await?;
        space.adopt("web", "web").await?;
        let load = Load::start(gateway);
        space.apply(&stable.tag("v2").env("CRASH_AFTER", "1s").to_string()).await?;
        let rollout = rolled_back(space).await?;
        load.stop().await;
        let failure = &rollout.status["failure"];
        tell(format_args!("the crash loop is reported as {failure}"));
        let text = failure.to_string().to_lowercase();
        assert!(text.contains("crash") || text.contains("restart"), "{failure}");
        still_held(space, &before).await
    })
    .await
}
