//! The API server, etcd and the router are unavailable for a while.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use lab::cluster::Cluster;
use lab::components::Part;
use lab::load::Record;
use lab::paths::Layout;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};

use super::app::App;
use super::controller::Controller;

/// Requests per second on each path.
const RATE: f64 = 50.0;
/// The longest time from a router's restart until it has all routes.
const SYNC: Duration = Duration::from_secs(5);
/// How long a test checks that nothing happens.
const STILL: Duration = Duration::from_secs(6);
/// The load's timeout: a failed request may have been sent this long before the failure.
const TIMEOUT: Duration = Duration::from_secs(2);

fn cluster() -> Result<Cluster, Failure> {
    Ok(Cluster::of(&Layout::of(std::env::var("LAB_NAME")?.parse()?)?))
}

/// Stops a part and starts it again. Returns when it was unavailable.
async fn restart(part: Part) -> Result<Range<Timestamp>, Failure> {
    let began = Timestamp::now();
    // In a separate thread, because the load must not wait for it.
    tokio::task::spawn_blocking(move || Ok::<_, Failure>(cluster()?.stop(part)?)).await??;
    cluster()?.start(part).await?;
    Ok(began..Timestamp::now())
}

/// Waits until the status of a Rollout has this weight.
async fn until_weight(app: &App<'_>, weight: u64) -> Result<(), Failure> {
    app.until(&format!("weight {weight}"), |rollout: &Rollout| {
        (rollout.weight() == Some(weight)).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_rollout_survives_a_restart_of_the_api_server_and_etcd() -> Result<(), Failure> {
    Space::run("api-restart", async |space| {
        let pods = Controller::of(space).leader().await?.pod;
        let steps = |name: &str| Policy::new(name).step(25, 4).step(60, 4);
        let good = App::start(space, "good", 4, steps("good"), RATE).await?;
        let bad = App::start(space, "bad", 4, steps("bad").measured(), RATE).await?;
        good.push(&good.demo.clone().tag("v2")).await?;
        bad.push(&Demo::new("bad", "v2").env("ERROR_RATE", "1")).await?;
        until_weight(&good, 25).await?;
        until_weight(&bad, 25).await?;
        let away = restart(Part::KubeApiserver).await?;
        until_weight(&good, 60).await?;
        let etcd = restart(Part::Etcd).await?;
        good.completes("v2").await?;
        let rollout = bad.rolls_back().await?;
        assert_eq!(rollout.text("/failure/reason"), "MetricFailed", "{}", rollout.status["failure"]);
        let (good, bad) = (good.stop().await, bad.stop().await);
        tell(format_args!(
            "the API server was unavailable for {:#}, etcd for {:#}; good: {}bad: {}",
            away.end - away.start,
            etcd.end - etcd.start,
            good.gateway,
            bad.gateway
        ));
        good.nothing_failed("good");
        bad.only_bad_answers("bad");
        let leader = Controller::of(space).leader().await?;
        tell(format_args!("{pods} led before, {} leads after", leader.pod));
        Ok(())
    })
    .await
}

/// Checks that requests failed only while the router was unavailable.
fn failed_only_within(record: &Record, away: &Range<Timestamp>) {
    let window = away.start - TIMEOUT..away.end + SYNC;
    for failure in record.failures() {
        let at = record.at(failure.ended());
        assert!(window.contains(&at) && !failure.bad_answer(), "{failure} is not in {window:?}: {record}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_rollout_survives_a_restart_of_the_router() -> Result<(), Failure> {
    Space::run("router-restart", async |space| {
        let app = App::start(space, "web", 4, Policy::new("web").step(25, 4).step(60, 3), RATE).await?;
        app.push(&app.demo.clone().tag("v2")).await?;
        until_weight(&app, 25).await?;
        let away = restart(Part::Traefik).await?;
        app.completes("v2").await?;
        let seen = app.stop().await;
        tell(format_args!("the router was unavailable for {:#}: {}", away.end - away.start, seen.gateway));
        assert_eq!(seen.service.failed(), 0, "{}", seen.service);
        failed_only_within(&seen.gateway, &away);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_rollout_waits_for_a_frozen_router() -> Result<(), Failure> {
    Space::run("router-frozen", async |space| {
        let cluster = cluster()?;
        let app = App::start(space, "web", 4, Policy::new("web").step(25, 2).step(60, 2), RATE).await?;
        app.push(&app.demo.clone().tag("v2")).await?;
        until_weight(&app, 25).await?;
        cluster.freeze(Part::Traefik)?;
        let frozen = Timestamp::now();
        let held = app
            .until("waiting for the router at 60", |rollout: &Rollout| {
                let waits = rollout.text("/waiting/reason") == "Router";
                (waits && rollout.weight() == Some(60)).then_some(())
            })
            .await;
        // Thawed before anything can fail this test, because other tests need it.
        cluster.thaw(Part::Traefik)?;
        let thawed = Timestamp::now();
        held?;
        app.completes("v2").await?;
        let weights: Vec<_> = app.trails.weights().into_iter().filter(|(at, _)| *at < thawed).collect();
        assert_eq!(weights.last().map(|(_, weight)| *weight), Some(60), "no further step: {weights:?}");
        let seen = app.stop().await;
        tell(format_args!("the router was frozen for {:#}: {}", thawed - frozen, seen.gateway));
        assert_eq!(seen.service.failed(), 0, "{}", seen.service);
        failed_only_within(&seen.gateway, &(frozen..thawed));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_bad_release_waits_for_a_frozen_router_and_rolls_back_afterwards() -> Result<(), Failure> {
    Space::run("bad-frozen", async |space| {
        let cluster = cluster()?;
        let policy = Policy::new("web").step(25, 1).step(60, 1).measured();
        let app = App::start(space, "web", 4, policy, RATE).await?;
        cluster.freeze(Part::Traefik)?;
        let frozen = Timestamp::now();
        let held = async {
            app.push(&Demo::new("web", "v2").env("ERROR_RATE", "1")).await?;
            let waits = |rollout: &Rollout| {
                (rollout.text("/waiting/reason") == "Router" && rollout.weight() == Some(25)).then_some(())
            };
            app.until("waiting for the router at 25", waits).await?;
            // Longer than the step's duration, its settle time and several measurements.
            tokio::time::sleep(STILL).await;
            app.rollout().await
        }
        .await;
        // Thawed before anything can fail this test, because other tests need it.
        cluster.thaw(Part::Traefik)?;
        let thawed = Timestamp::now();
        let rollout = held?;
        let waiting = &rollout.status["waiting"];
        assert_eq!(waiting["reason"], "Router", "{}", rollout.status);
        assert!(waiting["message"].as_str().is_some_and(|text| text.contains("gateway")), "{waiting}");
        assert!(waiting["until"].is_string(), "the wait has a deadline: {waiting}");
        let rollout = app.rolls_back().await?;
        assert_eq!(rollout.text("/failure/reason"), "MetricFailed", "{}", rollout.status["failure"]);
        let weights = app.trails.weights();
        assert!(weights.iter().all(|(_, weight)| [0, 25].contains(weight)), "no further step: {weights:?}");
        let back = weights.iter().rev().find(|(_, weight)| *weight == 0).map(|(at, _)| *at);
        let back = back.ok_or("weight 0 again")?;
        // The router continues without the canary: later requests show that.
        tokio::time::sleep(STILL).await;
        let seen = app.stop().await;
        tell(format_args!("the router was frozen for {:#}: {}", thawed - frozen, seen.gateway));
        assert_eq!(seen.service.failed(), 0, "{}", seen.service);
        assert!(!seen.service.by_version().contains_key("v2"), "{}", seen.service);
        let bad = seen.gateway.last_bad("v2");
        assert!(bad < Some(back + SYNC), "{bad:?} is long after weight 0 at {back}: {}", seen.gateway);
        for failure in seen.gateway.failures().filter(|failure| !failure.bad_answer()) {
            let at = seen.gateway.at(failure.ended());
            assert!((frozen - TIMEOUT..thawed + SYNC).contains(&at), "{failure}: {}", seen.gateway);
        }
        Ok(())
    })
    .await
}
