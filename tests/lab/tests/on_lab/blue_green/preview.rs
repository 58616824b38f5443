//! The preview gets requests only through its own Service.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use lab::load::{Load, Plan, Running};
use lab::support::turn::{End, SOON, Turn, Way};
use lab::support::{Failure, Policy, Space, routed};

use super::until_switched;

/// Requests per second to the preview.
const RATE: f64 = 20.0;
/// The time span of the answers that are examined.
const LATELY: Duration = Duration::from_secs(1);

/// Sends requests to the preview's Service once it answers.
async fn load_on_preview(turn: &Turn) -> Result<Running, Failure> {
    let address = turn
        .space
        .until("web-canary", "the preview's Service", SOON, |service: &Service| {
            service.spec.as_ref()?.cluster_ip.clone()
        })
        .await?;
    let plan = Plan::new(&format!("http://{address}"), RATE)?;
    routed(&plan, SOON).await?;
    Ok(Load::start(plan))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_preview_fails_on_its_own_requests_and_never_gets_traffic() -> Result<(), Failure> {
    Space::run("bg-preview-bad", async |space| {
        let policy = Policy::blue_green("web").before(2).measured();
        let turn = Turn::switching(space, "a bad preview", &policy).await?;
        let bad = turn.demo.clone().tag("v2").env("ERROR_RATE", "1");
        space.apply(&bad.to_string()).await?;
        let clients = load_on_preview(&turn).await?;
        turn.first(Timestamp::MIN, "v2 RollingBack", |rollout| rollout.phase() == "RollingBack").await?;
        let seen = clients.stop().await;
        assert_eq!(seen.by_version().keys().map(|tag| &**tag).collect::<Vec<_>>(), ["v2"], "{seen}");
        let rollout =
            turn.first(Timestamp::MIN, "v2 RolledBack", |rollout| rollout.phase() == "RolledBack").await?;
        assert_eq!(rollout.text("/failure/reason"), "MetricFailed");
        turn.ends(End::rolled_back("v1").never("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_waits_at_its_person_gate_without_client_traffic() -> Result<(), Failure> {
    Space::run("bg-preview", async |space| {
        let policy = Policy::blue_green("web").before(2).gate("look at the preview").measured();
        let turn = Turn::switching(space, "a good preview, and a person's gate", &policy).await?;
        turn.push("v2").await?;
        let clients = load_on_preview(&turn).await?;
        let waits = |rollout: &lab::support::Rollout| rollout.phase() == "Waiting";
        let rollout = turn.first(Timestamp::MIN, "the gate", waits).await?;
        let message = rollout.text("/waiting/message");
        assert!(message.contains("look at the preview"), "{message}");
        for way in [Way::Gateway, Way::Service] {
            assert_eq!(
                turn.recent(way, LATELY).share("v1"),
                Some(1.0),
                "{way:?}: other clients reach only stable"
            );
        }
        let seen = clients.stop().await;
        assert_eq!((seen.failed(), seen.by_version().len()), (0, 1), "{seen}");
        let since = Timestamp::now();
        turn.promote(rollout.text("/canary/revision"), 2).await?;
        until_switched(&turn, since, "v2").await?;
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}
