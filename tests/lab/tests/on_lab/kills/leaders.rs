//! Two replicas: when the leader fails, the other one takes over within a lease duration, and a
//! former leader writes nothing.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use lab::agent::control::Fault;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};

use super::app::App;
use super::audit::Audit;
use super::controller::{Controller, LEADER};
use crate::container;

/// Requests per second on each path.
const RATE: f64 = 50.0;
/// Two replicas with the lease durations that the chart's values suggest for a short gap.
const PAIR: [&str; 2] = ["--set", "replicas=2,leaderElection.leaseSeconds=4,leaderElection.renewSeconds=1"];
/// The longest time that failing traffic continues after the leader died: the lease, a reconcile,
/// and a window of the metric.
const BACK: SignedDuration = SignedDuration::from_secs(10);
/// The longest time until a write that was sent before a freeze arrives.
const SENT: SignedDuration = SignedDuration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_the_other_replica_rolls_back_when_the_leader_is_killed() -> Result<(), Failure> {
    Space::run("leader-killed", async |space| {
        Controller::with(space, &PAIR, async |controller| {
            controller.pods(2).await?;
            let policy = Policy::new("web").step(10, 20).step(50, 5).measured();
            let app = App::start(space, "web", 4, policy, RATE).await?;
            app.push(&Demo::new("web", "v2").env("ERROR_RATE", "1")).await?;
            space.weight("web", 10, LEADER).await?;
            let leader = controller.leader().await?;
            let killed = controller.kill_for_good(&leader.pod).await?;
            let rollout = app.rolls_back().await?;
            assert_eq!(rollout.text("/failure/reason"), "MetricFailed", "{}", rollout.status["failure"]);
            let weights = app.trails.weights();
            let (back, _) = weights
                .iter()
                .find(|(at, weight)| *at > killed && *weight == 0)
                .ok_or_else(|| format!("weight 0 after the kill: {weights:?}"))?;
            let took = *back - killed;
            let seen = app.stop().await;
            tell(format_args!("weight 0 {took:#} after the leader was killed; {}", seen.gateway));
            assert!(took.total(jiff::Unit::Second)? < BACK.as_secs_f64(), "weight 0 after {took:#}");
            seen.only_bad_answers("web");
            assert!(
                seen.gateway.by_version()["v2"].failed > 0,
                "the bad version got requests: {}",
                seen.gateway
            );
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_leader_frozen_past_its_lease_writes_nothing() -> Result<(), Failure> {
    Space::run("leader-frozen", async |space| {
        Controller::with(space, &PAIR, async |controller| {
            controller.pods(2).await?;
            let app = App::start(space, "web", 4, Policy::new("web").step(25, 3).step(50, 5), RATE).await?;
            app.push(&app.demo.clone().tag("v2")).await?;
            // The step ends while the leader is frozen: its next write would raise the weight.
            space.weight("web", 25, LEADER).await?;
            let leader = controller.leader().await?;
            let audit = Audit::begin()?;
            controller.space.fault(Fault::Freeze, &leader.pod).await?;
            let frozen = Timestamp::now();
            let next = controller.after(&leader).await?;
            assert_ne!(next.pod, leader.pod);
            app.until("a write of the other leader", |rollout: &Rollout| {
                (rollout.weight() == Some(50)).then_some(())
            })
            .await?;
            controller.space.fault(Fault::Thaw, &leader.pod).await?;
            let thawed = Timestamp::now();
            controller
                .space
                .until(&leader.pod, "the former leader exited and restarted", LEADER, |pod: &Pod| {
                    (container(pod)?.restart_count > 0).then_some(())
                })
                .await?;
            app.completes("v2").await?;
            let late: Vec<_> =
                audit.writes()?.into_iter().filter(|w| w.pod == leader.pod && w.at > frozen + SENT).collect();
            tell(format_args!("frozen for {:#}; what it has sent since: {late:?}", thawed - frozen));
            assert!(late.iter().all(|write| write.code >= 400), "{late:?}");
            app.stop().await.nothing_failed("web");
            let leads = controller.leader().await?;
            assert_eq!(leads, next, "the other process still leads");
            Ok(())
        })
        .await
    })
    .await
}
