//! Canaries in steps: by the number of pods without a router, and with a bake at the end.

use std::time::Duration;

use jiff::Timestamp;
use lab::load::Load;
use lab::support::turn::{End, Turn, Way};
use lab::support::{Failure, Policy, Rollout, Space, tell};

use super::{stable_was_whole, until_step};

/// Requests per second on new connections. A few hundred requests give a share to within a few
/// percentage points.
const RATE: f64 = 40.0;
/// The time span that a share is measured over.
const WINDOW: Duration = Duration::from_secs(3);
/// The largest accepted deviation of a share: four times the statistical error.
const NEAR: f64 = 0.17;

/// Waits until a rollout has left a step.
async fn past(turn: &Turn, step: &str) -> Result<Rollout, Failure> {
    until_step(turn, Timestamp::MIN, "v2", step).await?;
    let since = Timestamp::now();
    let left = |rollout: &Rollout| rollout.text("/progress") != step || rollout.phase() == "Promoting";
    Ok(turn.first(since, &format!("step {step} passed"), left).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_router_the_pod_count_sets_the_share_and_stable_never_shrinks() -> Result<(), Failure> {
    Space::run("bg-shares", async |space| {
        let policy = Policy::new("web").step(20, 5).step(50, 5).step(100, 1).bake(2).by_service();
        let turn = Turn::switching(space, "a canary by Service: 20, 50 and 100 %", &policy).await?;
        let mut plan = turn.plan(Way::Service)?.kept_alive(0.0);
        plan.rate = RATE;
        let load = Load::start(plan);
        turn.push("v2").await?;
        for (step, weight) in [("1/4", 20_u32), ("2/4", 50)] {
            let rollout = until_step(&turn, Timestamp::MIN, "v2", step).await?;
            assert_eq!(rollout.weight(), Some(weight.into()));
            past(&turn, step).await?;
            let (asked, gateway) = (f64::from(weight) / 100.0, turn.recent(Way::Gateway, WINDOW).share("v2"));
            let service = load.recent(WINDOW).share("v2");
            tell(format_args!(
                "desired {asked}, through the Gateway {gateway:?}, by the ClusterIP {service:?}"
            ));
            for share in [gateway, service] {
                assert!(share.is_some_and(|share| (share - asked).abs() <= NEAR), "{share:?} of {asked}");
            }
        }
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        let seen = load.stop().await;
        assert_eq!(seen.failed(), 0, "{seen}");
        stable_was_whole(&turn);
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bake_keeps_stable_at_full_scale_while_the_canary_has_all_traffic_of_the_route()
-> Result<(), Failure> {
    Space::run("bg-bake", async |space| {
        let policy = Policy::new("web").step(50, 1).bake(8);
        let turn = Turn::switching(space, "a canary by HTTPRoute with a bake", &policy).await?;
        turn.push("v2").await?;
        past(&turn, "2/2").await?;
        assert_eq!(turn.recent(Way::Gateway, WINDOW).share("v2"), Some(1.0), "all of the route");
        assert_eq!(
            turn.recent(Way::Service, WINDOW).share("v1"),
            Some(1.0),
            "the Services are still pinned to stable"
        );
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        stable_was_whole(&turn);
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}
