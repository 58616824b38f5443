//! Removal of the annotation, the Rollout, the policy, the Deployment and the namespace.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use lab::support::turn::{At, End, LONG, State, Turn};
use lab::support::{Failure, Policy, Space};
use serde_json::json;

/// Removes the annotation in a separate write.
async fn remove_annotation(turn: &Turn) -> Result<(), Failure> {
    let off = json!({"metadata": {"annotations": {"steelyard.io/policy": null}}});
    turn.space.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(off)).await?;
    Ok(())
}

mod the_annotation_is_removed {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("leave", async |space| {
            let turn = Turn::begin(space, "the annotation removed", at).await?;
            turn.bring(at).await?;
            let since = Timestamp::now();
            remove_annotation(&turn).await?;
            let end = if at.handed_over() {
                End::left("v2", State::Free).started("v2", 4..=4)
            } else {
                End::left("v1", State::Paused).started("v2", 0..=4)
            };
            turn.ends(end.since(since)).await
        })
        .await
    }

    // Not during the transfer: whether a withdrawal is still possible then is a race of
    // milliseconds.
    crate::turns::at_each_moment!(run;
        also_while_preparing: Preparing,
        also_before_the_first_pod_is_ready: Starting,
        at_the_first_step: FirstStep,
        also_at_the_last_step: LastStep,
        also_while_the_canary_fills: ScalingUp,
        also_once_services_are_widened: Widening,
        once_services_are_narrowed: Narrowing,
        also_once_the_deployment_is_released: Releasing,
        also_while_the_canary_service_drains: Draining,
        while_rolling_back: RollingBack,
        also_once_rolled_back: RolledBack,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_annotation_removed_without_a_rollout_leaves_a_plain_deployment() -> Result<(), Failure> {
    Space::run("leave-idle", async |space| {
        let turn = Turn::begin(space, "the annotation removed without a rollout in progress", None).await?;
        let since = Timestamp::now();
        remove_annotation(&turn).await?;
        turn.ends(End::left("v1", State::Free).since(since)).await
    })
    .await
}

mod the_rollout_is_deleted {
    use super::*;

    async fn run(cascade: &str) -> Result<(), Failure> {
        Space::run("rollout-deleted", async |space| {
            let case = format!("the Rollout deleted, cascade {cascade}");
            let turn = Turn::begin(space, &case, At::LastStep).await?;
            turn.bring(At::LastStep).await?;
            let since = Timestamp::now();
            let how = format!("--cascade={cascade}");
            space.kubectl(&["delete", "rollout", "web", &how, "--wait=true", "--timeout=60s"]).await?;
            // The annotation is still set, so a new Rollout takes the held template through all
            // steps from the first.
            let end = End::complete("v2").since(since).started("v2", 4..=6);
            turn.ends(end).await
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_the_background() -> Result<(), Failure> {
        run("background").await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_the_foreground() -> Result<(), Failure> {
        run("foreground").await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn leaving_orphans() -> Result<(), Failure> {
        run("orphan").await
    }
}

mod the_policy {
    use super::*;

    async fn run(case: &str, change: impl AsyncFnOnce(&Turn) -> Result<(), Failure>) -> Result<(), Failure> {
        Space::run("policy", async |space| {
            let steps = Policy::new("web").step(25, 2).step(50, 2);
            let turn = Turn::with(space, case, At::FirstStep, &steps).await?;
            turn.bring(At::FirstStep).await?;
            change(&turn).await?;
            let weights = |turn: &Turn| -> Vec<u64> {
                turn.trails.weights().into_iter().map(|(_, weight)| weight).collect()
            };
            turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
            assert_eq!(
                weights(&turn),
                [0, 25, 50, 100, 0],
                "the rollout keeps the policy that it started with"
            );
            turn.ends(End::complete("v2").started("v2", 4..=4)).await
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn edited_during_a_rollout_changes_the_next_one() -> Result<(), Failure> {
        run("the policy edited", async |turn| {
            Ok(turn.space.apply(&Policy::new("web").step(10, 60).step(90, 60).to_string()).await?)
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn deleted_during_a_rollout_does_not_stop_it() -> Result<(), Failure> {
        run("the policy deleted", async |turn| {
            turn.space.kubectl(&["delete", "rolloutpolicy", "web"]).await?;
            Ok(())
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn made_invalid_during_a_rollout_does_not_stop_it() -> Result<(), Failure> {
        run("the policy made invalid", async |turn| {
            // Only the controller detects that this query does not distinguish the versions.
            let invalid = r#"[{"op": "add", "path": "/spec/analysis", "value": {"metrics": [
                {"name": "blind", "query": "up", "min": 1}]}}]"#;
            turn.space.kubectl(&["patch", "rolloutpolicy", "web", "--type=json", "-p", invalid]).await?;
            Ok(())
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn that_is_invalid_holds_a_push_until_it_is_fixed() -> Result<(), Failure> {
        Space::run("bad-policy", async |space| {
            let turn = Turn::begin(space, "a push under an invalid policy", None).await?;
            let invalid = r#"[{"op": "add", "path": "/spec/analysis", "value": {"metrics": [
                {"name": "blind", "query": "up", "min": 1}]}}]"#;
            space.kubectl(&["patch", "rolloutpolicy", "web", "--type=json", "-p", invalid]).await?;
            let since = Timestamp::now();
            turn.push("v2").await?;
            turn.first(since, "a wait with a reason", |r| r.text("/waiting/reason") == "NotAccepted").await?;
            space
                .kubectl(&[
                    "patch",
                    "rolloutpolicy",
                    "web",
                    "--type=json",
                    "-p",
                    r#"[{"op": "remove", "path": "/spec/analysis"}]"#,
                ])
                .await?;
            turn.ends(End::complete("v2").since(since).started("v2", 4..=4)).await
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_deleted_during_a_rollout_and_recreated_is_adopted_again() -> Result<(), Failure> {
    Space::run("again", async |space| {
        let mut turn = Turn::begin(space, "the Deployment deleted and recreated", At::LastStep).await?;
        turn.bring(At::LastStep).await?;
        let since = turn.remake().await?;
        let end = End::complete("v1").since(since).started("v1", 4..=4).started("v2", 2..=2);
        turn.ends(end).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_deleted_during_a_rollout() -> Result<(), Failure> {
    Space::run("no-space", async |space| {
        let turn = Turn::begin(space, "the namespace deleted", At::LastStep).await?;
        turn.bring(At::LastStep).await?;
        let api = Api::<Namespace>::all(space.client());
        api.delete(space.name(), &DeleteParams::background()).await?;
        let gone = kube::runtime::conditions::is_deleted;
        let uid = api.get(space.name()).await?.metadata.uid.unwrap_or_default();
        let wait = kube::runtime::wait::await_condition(api, space.name(), gone(&uid));
        let waited = tokio::time::timeout(LONG, wait).await;
        assert!(waited.is_ok(), "the namespace still exists");
        turn.gone().await
    })
    .await
}
