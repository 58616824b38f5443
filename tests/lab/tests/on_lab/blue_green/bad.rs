//! Bad releases: everything that was switched returns to stable at once.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use kube::runtime::watcher;
use lab::load::Load;
use lab::support::turn::{End, Turn, Way};
use lab::support::{Failure, Policy, Rollout, Space, Trail, tell};

use super::{push_bad, until_step, until_switched};

/// The largest time between the writes of one reconcile, on a busy machine too.
const ONE_RECONCILE: SignedDuration = SignedDuration::from_secs(1);
/// Requests per second at which the bad version fails.
const BURST: f64 = 150.0;

/// Follows the selector of Service `web`.
fn services(space: &Space) -> Trail<Service> {
    Trail::follow(space, watcher::Config::default().fields("metadata.name=web"))
}

/// The `pod-template-hash` that the Service is pinned to.
fn pin(service: &Service) -> Option<String> {
    service.spec.as_ref()?.selector.as_ref()?.get("pod-template-hash").cloned()
}

/// Checks that everything that pointed to the canary was switched back in one reconcile. Prints the
/// time.
fn returned_in_one_reconcile(turn: &Turn, services: &Trail<Service>, way: Option<Way>) {
    let rollouts = turn.trails.rollout.all();
    let back = rollouts.iter().find(|seen| seen.object.phase() == "RollingBack").expect("a rollback");
    let stable = back.object.text("/stable/revision").to_owned();
    let flipped = services.changes(pin).into_iter().rev().find(|(_, pin)| pin.as_deref() == Some(&stable));
    let (flipped, _) = flipped.expect("the Service is pinned to stable again");
    assert!(
        flipped.duration_since(back.at).abs() <= ONE_RECONCILE,
        "pinned at {flipped}, status at {}",
        back.at
    );
    if way == Some(Way::Gateway) {
        let weights = turn.trails.weights();
        let (zero, _) =
            weights.iter().skip_while(|(_, weight)| *weight == 0).find(|(_, w)| *w == 0).expect("back");
        assert!(
            zero.duration_since(back.at).abs() <= ONE_RECONCILE,
            "weight 0 at {zero}, status at {}",
            back.at
        );
    }
    let apart = flipped.duration_since(back.at).as_millis();
    tell(format_args!("the Service was pinned to stable {apart} ms after status showed the rollback"));
}

/// Waits until the rollback of v2 starts, and checks its reason.
async fn rolling_back(turn: &Turn, since: Timestamp) -> Result<Rollout, Failure> {
    let rollout = turn.first(since, "v2 RollingBack", |rollout| rollout.phase() == "RollingBack").await?;
    assert_eq!(rollout.text("/failure/reason"), "MetricFailed");
    Ok(rollout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_after_a_switch_by_route_returns_traffic_in_one_reconcile() -> Result<(), Failure> {
    Space::run("bg-bad-after", async |space| {
        let policy = Policy::blue_green("web").after(20).keep_stable(20).measured();
        let turn = Turn::switching(space, "bad after the switch by HTTPRoute", &policy).await?;
        let services = services(space);
        let since = push_bad(&turn, "v2", 2).await?;
        rolling_back(&turn, since).await?;
        turn.first(since, "v2 RolledBack", |rollout| rollout.phase() == "RolledBack").await?;
        returned_in_one_reconcile(&turn, &services, Some(Way::Gateway));
        turn.ends(End::rolled_back("v1").bad("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_while_stable_is_kept_flips_the_services_back() -> Result<(), Failure> {
    Space::run("bg-bad-kept", async |space| {
        let policy = Policy::blue_green("web").after(1).keep_stable(60).by_service().measured();
        let turn = Turn::switching(space, "bad while stable is kept, by Service", &policy).await?;
        let services = services(space);
        let since = push_bad(&turn, "v2", 40).await?;
        until_switched(&turn, since, "v2").await?;
        until_step(&turn, since, "v2", "3/3").await?;
        let mut plan = turn.plan(Way::Service)?.kept_alive(0.0);
        plan.rate = BURST;
        let burst = Load::start(plan);
        rolling_back(&turn, since).await?;
        let burst = burst.stop().await;
        assert_eq!(burst.lost(), 0, "{burst}");
        turn.first(since, "v2 RolledBack", |rollout| rollout.phase() == "RolledBack").await?;
        returned_in_one_reconcile(&turn, &services, None);
        let first = burst.first_bad("v2").expect("a bad answer");
        tell(format_args!("the first bad answer {:#} after the push", first.duration_since(since)));
        turn.ends(End::rolled_back("v1").bad("v2").started("v2", 4..=4)).await
    })
    .await
}
