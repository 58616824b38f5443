//! Events that can occur during a canary also occur during a switch: at the preview, after the
//! switch, and in the handover that follows.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use lab::agent::control::Fault;
use lab::support::turn::{At, End, SOON, Turn, Way};
use lab::support::{Failure, Policy, Space};

use super::until_step;
use crate::turns::pods::{kill_for_a_while, pods};

/// The interval at which a tool applies everything again.
const AGAIN: Duration = Duration::from_secs(2);

/// How the traffic moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Route,
    Service,
}

impl By {
    /// A preview and a switch, each with a duration of two seconds.
    async fn turn(self, space: &Space, case: &str) -> Result<Turn, Failure> {
        let policy = Policy::blue_green("web").before(2).after(2);
        match self {
            Self::Route => Turn::switching(space, &format!("{case}, by HTTPRoute"), &policy).await,
            Self::Service => {
                Turn::switching(space, &format!("{case}, by Service"), &policy.by_service()).await
            }
        }
    }
}

/// Pushes v2 and waits for this moment. The first of the two steps is the preview; the last one
/// follows the switch.
async fn bring(turn: &Turn, at: At) -> Result<(), Failure> {
    match at {
        At::FirstStep => {
            turn.push("v2").await?;
            until_step(turn, Timestamp::MIN, "v2", "1/2").await?;
        }
        At::LastStep => {
            turn.push("v2").await?;
            until_step(turn, Timestamp::MIN, "v2", "2/2").await?;
        }
        at => drop(turn.bring(at).await?),
    }
    Ok(())
}

mod a_newer_template {
    use super::*;

    async fn run(by: By, at: At) -> Result<(), Failure> {
        Space::run("bg-newer", async |space| {
            let turn = by.turn(space, &format!("a newer template {at}")).await?;
            bring(&turn, at).await?;
            let since = Timestamp::now();
            turn.push("v3").await?;
            let mut end = End::complete("v3").since(since).started("v2", 4..=4).started("v3", 4..=4);
            if at == At::FirstStep {
                end = end.never("v2");
            }
            turn.ends(end).await
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn at_the_preview_the_older_one_never_serves() -> Result<(), Failure> {
        run(By::Service, At::FirstStep).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_the_handover() -> Result<(), Failure> {
        run(By::Service, At::Narrowing).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn also_in_the_handover_by_route() -> Result<(), Failure> {
        run(By::Route, At::Narrowing).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn also_in_the_transfer() -> Result<(), Failure> {
        run(By::Route, At::Transferring).await
    }
}

mod stables_template_again {
    use super::*;

    async fn run(by: By, at: At) -> Result<(), Failure> {
        Space::run("bg-again", async |space| {
            let turn = by.turn(space, &format!("the stable template again {at}")).await?;
            bring(&turn, at).await?;
            let since = Timestamp::now();
            turn.push("v1").await?;
            let mut end = End::complete("v1").since(since).started("v2", 4..=4);
            if at == At::FirstStep {
                end = end.never("v2");
            }
            turn.ends(end).await
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn also_at_the_preview() -> Result<(), Failure> {
        run(By::Route, At::FirstStep).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_the_handover() -> Result<(), Failure> {
        run(By::Service, At::Narrowing).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_deleted_after_the_switch_returns_traffic_to_stable_and_a_new_one_starts()
-> Result<(), Failure> {
    Space::run("bg-deleted", async |space| {
        let turn = By::Service.turn(space, "the Rollout deleted after the switch").await?;
        bring(&turn, At::LastStep).await?;
        let since = Timestamp::now();
        space.kubectl(&["delete", "rollout", "web", "--wait=true", "--timeout=60s"]).await?;
        turn.ends(End::complete("v2").since(since).started("v2", 4..=8)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_deleted_and_recreated_after_the_switch_is_adopted_again() -> Result<(), Failure> {
    Space::run("bg-recreated", async |space| {
        let mut turn =
            By::Service.turn(space, "the Deployment deleted and recreated after the switch").await?;
        bring(&turn, At::LastStep).await?;
        let since = turn.remake().await?;
        turn.ends(End::complete("v1").since(since).started("v1", 4..=4).started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_removed_after_the_switch_is_restored() -> Result<(), Failure> {
    Space::run("bg-unpinned", async |space| {
        let turn = By::Service.turn(space, "the Service's selector applied without the pin").await?;
        bring(&turn, At::LastStep).await?;
        let off = r#"[{"op": "replace", "path": "/spec/selector", "value": {"app": "web"}}]"#;
        space.kubectl(&["patch", "service", "web", "--type=json", "-p", off]).await?;
        let rollout = turn.trails.rollout.latest("web").ok_or("no Rollout")?;
        let canary = rollout.text("/canary/revision").to_owned();
        let pinned = |service: &Service| {
            let pin = service.spec.as_ref()?.selector.as_ref()?.get("pod-template-hash")?;
            (*pin == canary).then_some(())
        };
        space.until("web", "the Service pinned to the new version again", SOON, pinned).await?;
        let end = End::complete("v2").started("v2", 4..=4);
        turn.ends(end.unchecked(Way::Service).unchecked(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_returns_to_stable_while_all_new_pods_are_down_after_the_switch() -> Result<(), Failure> {
    Space::run("bg-killed", async |space| {
        let turn = By::Service.turn(space, "all new pods killed after the switch").await?;
        bring(&turn, At::LastStep).await?;
        let since = Timestamp::now();
        let killed = kill_for_a_while(space, "demo:v2").await?;
        let on_stable = |rollout: &lab::support::Rollout| {
            rollout.text("/canary/tag") == "v2" && !matches!(rollout.text("/trial/side"), "Canary" | "Both")
        };
        turn.first(since, "all traffic on stable", on_stable).await?;
        for pod in killed {
            space.fault(Fault::Ready, &pod).await?;
        }
        let end = End::complete("v2").started("v2", 4..=4);
        turn.ends(end.may_fail(Way::Gateway).may_fail(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_stable_pods_are_killed_after_the_switch() -> Result<(), Failure> {
    Space::run("bg-stable", async |space| {
        let turn = By::Route.turn(space, "all stable pods killed after the switch").await?;
        turn.push("v2").await?;
        // Kept-alive connections to stable end with its pods; each client opens a new one.
        super::until_step(&turn, Timestamp::MIN, "v2", "2/2").await?;
        for pod in pods(space, "demo:v1").await? {
            space.fault(Fault::Kill, &pod).await?;
        }
        let end = End::complete("v2").started("v2", 4..=4);
        turn.ends(end.may_fail(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_service_deleted_after_the_switch_is_recreated() -> Result<(), Failure> {
    Space::run("bg-no-svc", async |space| {
        let turn = By::Route.turn(space, "the canary Service deleted after the switch").await?;
        bring(&turn, At::LastStep).await?;
        space.kubectl(&["delete", "service", "web-canary", "--wait=false"]).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_completes_while_a_tool_applies_everything_every_two_seconds() -> Result<(), Failure> {
    Space::run("bg-gitops", async |space| {
        let turn = By::Service.turn(space, "everything applied every 2 s").await?;
        let pushed = turn.demo.clone().tag("v2");
        let all = format!("{pushed}---\n{}", pushed.manifest_of_service());
        let again = space.apply_again(all, AGAIN);
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        again.abort();
        // An apply replaces the whole selector, so the pin is missing until Steelyard restores it.
        let end = End::complete("v2").started("v2", 4..=4);
        turn.ends(end.unchecked(Way::Service).unchecked(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_scaled_to_zero_after_the_switch_waits_and_switches_again() -> Result<(), Failure> {
    Space::run("bg-zero", async |space| {
        let mut turn = By::Service.turn(space, "scaled to zero after the switch, and back").await?;
        bring(&turn, At::LastStep).await?;
        turn.unload().await;
        let since = Timestamp::now();
        turn.scale(0).await?;
        turn.first(since, "a wait with a reason", |r| r.text("/waiting/reason") == "ZeroReplicas").await?;
        let none = |pods: &std::collections::BTreeMap<String, Pod>| pods.is_empty().then_some(());
        // The router must see no pods either: otherwise it sends requests to the old ones for a
        // while.
        space
            .until_all(kube::runtime::watcher::Config::default().labels("app=web"), "no pod", SOON, none)
            .await?;
        turn.scale(4).await?;
        turn.routed().await?;
        turn.load();
        let end = End::complete("v2").since(since).started("v1", 4..=4).started("v2", 8..=8);
        turn.ends(end).await
    })
    .await
}
