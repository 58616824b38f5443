//! Bad releases: all that was switched comes back at once.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use kube::runtime::watcher;
use lab::load::Load;
use lab::support::turn::{End, Turn, Way};
use lab::support::{Failure, Policy, Rollout, Space, Trail, tell};

use super::{push_bad, until_step, until_switched};

/// The writes of one pass are this close to each other, also on a busy machine.
const ONE_PASS: SignedDuration = SignedDuration::from_secs(1);
/// Requests per second that are too many for a version.
const BURST: f64 = 150.0;

/// Follows where Service `web` leads.
fn services(space: &Space) -> Trail<Service> {
    Trail::follow(space, watcher::Config::default().fields("metadata.name=web"))
}

/// The hash that a Service leads to.
fn pin(service: &Service) -> Option<String> {
    service.spec.as_ref()?.selector.as_ref()?.get("pod-template-hash").cloned()
}

/// Checks that whatever led to the canary was turned around within one pass; tells when.
fn turned_at_once(turn: &Turn, services: &Trail<Service>, way: Option<Way>) {
    let rollouts = turn.trails.rollout.all();
    let back = rollouts.iter().find(|seen| seen.object.phase() == "RollingBack").expect("the way back");
    let stable = back.object.text("/stable/revision").to_owned();
    let flipped = services.changes(pin).into_iter().rev().find(|(_, pin)| pin.as_deref() == Some(&stable));
    let (flipped, _) = flipped.expect("the Service leads to stable again");
    assert!(flipped.duration_since(back.at).abs() <= ONE_PASS, "pinned at {flipped}, status at {}", back.at);
    if way == Some(Way::Gateway) {
        let weights = turn.trails.weights();
        let (zero, _) =
            weights.iter().skip_while(|(_, weight)| *weight == 0).find(|(_, w)| *w == 0).expect("back");
        assert!(zero.duration_since(back.at).abs() <= ONE_PASS, "weight 0 at {zero}, status at {}", back.at);
    }
    let apart = flipped.duration_since(back.at).as_millis();
    tell(format_args!("the Service led to stable again {apart} ms after the status said so"));
}

/// Waits until traffic is taken back from v2, and says why.
async fn taken_back(turn: &Turn, since: Timestamp) -> Result<Rollout, Failure> {
    let rollout = turn.first(since, "v2 RollingBack", |rollout| rollout.phase() == "RollingBack").await?;
    assert_eq!(rollout.text("/failure/reason"), "MetricFailed");
    Ok(rollout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_turns_bad_after_the_switch_by_a_route_comes_back_in_one_pass() -> Result<(), Failure> {
    Space::run("bg-bad-after", async |space| {
        let policy = Policy::blue_green("web").after(20).keep_stable(20).measured();
        let turn = Turn::switching(space, "bad after the switch by HTTPRoute", &policy).await?;
        let services = services(space);
        let since = push_bad(&turn, "v2", 2).await?;
        taken_back(&turn, since).await?;
        turn.first(since, "v2 RolledBack", |rollout| rollout.phase() == "RolledBack").await?;
        turned_at_once(&turn, &services, Some(Way::Gateway));
        turn.ends(End::rolled_back("v1").bad("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_turns_bad_while_stable_is_kept_comes_back_by_the_services() -> Result<(), Failure> {
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
        taken_back(&turn, since).await?;
        let burst = burst.stop().await;
        assert_eq!(burst.lost(), 0, "{burst}");
        turn.first(since, "v2 RolledBack", |rollout| rollout.phase() == "RolledBack").await?;
        turned_at_once(&turn, &services, None);
        let first = burst.first_bad("v2").expect("a bad answer");
        tell(format_args!("the first bad answer {:#} after the push", first.duration_since(since)));
        turn.ends(End::rolled_back("v1").bad("v2").started("v2", 4..=4)).await
    })
    .await
}
