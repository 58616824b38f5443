//! Good releases: one switch, then the canary's pods are handed over.

use jiff::Timestamp;
use lab::support::turn::{End, Turn};
use lab::support::{Failure, Policy, Space};

use super::{stable_was_whole, until_switched};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_by_route_moves_all_traffic_in_one_write_to_ready_pods() -> Result<(), Failure> {
    Space::run("bg-route", async |space| {
        let policy = Policy::blue_green("web").after(2).keep_stable(2).measured();
        let turn = Turn::switching(space, "a good release by HTTPRoute", &policy).await?;
        turn.push("v2").await?;
        until_switched(&turn, Timestamp::MIN, "v2").await?;
        let before = turn.trails.pods("demo:v2");
        assert_eq!(before.len(), 4, "the preview is at full scale before the switch");
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        let weights: Vec<u64> = turn.trails.weights().into_iter().map(|(_, weight)| weight).collect();
        assert_eq!(weights, [0, 100, 0], "one switch, then the route is restored");
        assert_eq!(turn.trails.pods("demo:v2"), before, "no pod starts at the promotion");
        stable_was_whole(&turn);
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_by_service_never_writes_the_route_and_grows_a_partial_preview_first() -> Result<(), Failure>
{
    Space::run("bg-service", async |space| {
        let policy = Policy::blue_green("web").preview(50).after(2).keep_stable(2).by_service().measured();
        let turn = Turn::switching(space, "a good release by Service, preview of 50 %", &policy).await?;
        turn.push("v2").await?;
        until_switched(&turn, Timestamp::MIN, "v2").await?;
        assert_eq!(turn.trails.pods("demo:v2").len(), 4, "all pods are ready before the switch");
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        let routes =
            turn.trails.route.changes(|route| (route.spec.clone(), route.metadata.annotations.clone()));
        assert_eq!(routes.len(), 1, "{routes:?}");
        stable_was_whole(&turn);
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}
