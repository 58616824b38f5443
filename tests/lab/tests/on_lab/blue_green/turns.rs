//! What may come in between a canary may come in between a switch: the same turns of events, at the preview, after the
//! switch and in the handover that follows it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use lab::agent::control::Fault;
use lab::support::turn::{At, End, SOON, Turn, Way};
use lab::support::{Failure, Policy, Space};

use super::until_step;
use crate::turns::pods::{kill_for_a_while, pods};

/// How often a tool applies everything again.
const AGAIN: Duration = Duration::from_secs(2);

/// What moves the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Route,
    Service,
}

impl By {
    /// A preview and a switch, each held for two seconds.
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

/// Pushes v2 and waits for this moment: of two steps the first is the preview, the last what follows the switch.
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
    async fn at_the_preview_the_one_before_never_serves() -> Result<(), Failure> {
        run(By::Service, At::FirstStep).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_the_handover() -> Result<(), Failure> {
        run(By::Service, At::Narrowed).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn also_in_the_handover_by_route() -> Result<(), Failure> {
        run(By::Route, At::Narrowed).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn also_in_the_adoption() -> Result<(), Failure> {
        run(By::Route, At::Adopted).await
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
        run(By::Service, At::Narrowed).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_deleted_after_the_switch_takes_all_home_and_a_new_one_begins() -> Result<(), Failure> {
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
async fn a_deployment_deleted_after_the_switch_and_made_again_is_adopted_anew() -> Result<(), Failure> {
    Space::run("bg-anew", async |space| {
        let mut turn =
            By::Service.turn(space, "the Deployment deleted after the switch and made again").await?;
        bring(&turn, At::LastStep).await?;
        let since = turn.remake().await?;
        turn.ends(End::complete("v1").since(since).started("v1", 4..=4).started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selector_written_without_the_pin_after_the_switch_leads_to_the_new_version_again()
-> Result<(), Failure> {
    Space::run("bg-unpinned", async |space| {
        let turn = By::Service.turn(space, "the Service's selector written without the pin").await?;
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
async fn new_pods_killed_all_at_once_after_the_switch_lose_all_traffic_until_they_are_back()
-> Result<(), Failure> {
    Space::run("bg-killed", async |space| {
        let turn = By::Service.turn(space, "all new pods killed after the switch").await?;
        bring(&turn, At::LastStep).await?;
        let since = Timestamp::now();
        let killed = kill_for_a_while(space, "demo:v2").await?;
        let home = |rollout: &lab::support::Rollout| {
            rollout.text("/canary/tag") == "v2" && !matches!(rollout.text("/trial/side"), "Canary" | "Both")
        };
        turn.first(since, "all traffic on stable", home).await?;
        for pod in killed {
            space.fault(Fault::Ready, &pod).await?;
        }
        let end = End::complete("v2").started("v2", 4..=4);
        turn.ends(end.may_fail(Way::Gateway).may_fail(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stable_pods_killed_after_the_switch_cost_no_request() -> Result<(), Failure> {
    Space::run("bg-stable", async |space| {
        let turn = By::Route.turn(space, "all stable pods killed after the switch").await?;
        turn.push("v2").await?;
        // Connections to stable that are kept alive end with its pods: each finds a new one.
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
async fn a_canary_service_deleted_after_the_switch_is_made_again() -> Result<(), Failure> {
    Space::run("bg-no-svc", async |space| {
        let turn = By::Route.turn(space, "the canary Service deleted after the switch").await?;
        bring(&turn, At::LastStep).await?;
        space.kubectl(&["delete", "service", "web-canary", "--wait=false"]).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_applies_everything_every_two_seconds_is_no_hindrance() -> Result<(), Failure> {
    Space::run("bg-gitops", async |space| {
        let turn = By::Service.turn(space, "everything applied every 2 s").await?;
        let pushed = turn.demo.clone().tag("v2");
        let all = format!("{pushed}---\n{}", pushed.manifest_of_service());
        let again = space.apply_again(all, AGAIN);
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        again.abort();
        // A selector is applied as a whole: each time the pin is off until Steelyard hears of it.
        let end = End::complete("v2").started("v2", 4..=4);
        turn.ends(end.unchecked(Way::Service).unchecked(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaled_to_zero_after_the_switch_it_waits_and_switches_again() -> Result<(), Failure> {
    Space::run("bg-zero", async |space| {
        let mut turn = By::Service.turn(space, "scaled to zero after the switch, and back").await?;
        bring(&turn, At::LastStep).await?;
        turn.unload().await;
        let since = Timestamp::now();
        turn.scale(0).await?;
        turn.first(since, "the wait named", |r| r.text("/waiting/reason") == "ZeroReplicas").await?;
        let none = |pods: &std::collections::BTreeMap<String, Pod>| pods.is_empty().then_some(());
        // Also so that the router knows of none: else it sends to those of before for a while.
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
