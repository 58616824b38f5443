//! Scale: up, down, to zero and back, by a user or an autoscaler.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use lab::support::turn::{At, End, SOON, Turn};
use lab::support::{Autoscaler, Failure, Rollout, Space};
use serde_json::json;

/// Waits until the Deployment controller has applied a change of scale.
async fn scaled(turn: &Turn, replicas: i32) -> Result<(), Failure> {
    let what = format!("stable or canary scaled to {replicas}");
    let seen = |d: &Deployment| {
        let status = d.status.as_ref()?;
        let observed = status.observed_generation >= d.metadata.generation;
        (observed && status.available_replicas.unwrap_or(0) >= replicas).then_some(())
    };
    Ok(turn.space.until("web", &what, SOON, seen).await?)
}

/// Returns the end of a case that scales from 4 to 6 replicas at this point, then to 3.
fn up_and_down(at: At, since: Timestamp) -> End {
    let end = match at {
        At::RollingBack | At::RolledBack => End::rolled_back("v1").started("v2", 0..=2),
        _ => End::complete("v2").since(since).started("v2", 3..=6),
    };
    // The pods of the version that the Deployment owns at that moment are scaled.
    end.replicas(3).started("v1", 0..=2)
}

mod up_and_down_again {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("scale", async |space| {
            let turn = Turn::begin(space, "scaled from 4 to 6, then to 3", at).await?;
            let since = turn.bring(at).await.map(|_| Timestamp::now())?;
            turn.scale(6).await?;
            scaled(&turn, 6).await?;
            turn.scale(3).await?;
            turn.ends(up_and_down(at, since)).await
        })
        .await
    }

    crate::turns::at_each_moment!(run;
        also_while_preparing: Preparing,
        also_at_the_first_step: FirstStep,
        also_at_the_last_step: LastStep,
        also_while_the_canary_fills: ScalingUp,
        also_once_services_are_widened: Widening,
        once_services_are_narrowed: Narrowing,
        during_the_transfer: Transferring,
        also_while_the_canary_service_drains: Draining,
        also_while_rolling_back: RollingBack,
        also_once_rolled_back: RolledBack,
    );
}

mod up_and_down_by_an_autoscaler {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("hpa", async |space| {
            let turn = Turn::begin(space, "scaled from 4 to 6, then to 3, by an autoscaler", at).await?;
            let autoscaler = Autoscaler::new(space, "web", 4).await?;
            let since = turn.bring(at).await.map(|_| Timestamp::now())?;
            autoscaler.demand(6).await?;
            scaled(&turn, 6).await?;
            autoscaler.demand(3).await?;
            turn.ends(up_and_down(at, since)).await
        })
        .await
    }

    // Within a second or two of this moment: the shorter ones are those of a user, above.
    crate::turns::at_each_moment!(run;
        also_while_preparing: Preparing,
        at_the_first_step: FirstStep,
        also_at_the_last_step: LastStep,
        also_while_the_canary_fills: ScalingUp,
        while_the_canary_service_drains: Draining,
        while_rolling_back: RollingBack,
        also_once_rolled_back: RolledBack,
    );
}

mod to_zero_and_back {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("to-zero", async |space| {
            let mut turn = Turn::begin(space, "scaled to zero and back", at).await?;
            let brought = turn.bring(at).await.map(|_| Timestamp::now())?;
            // Without pods no request can be served, so the load pauses until there are pods again.
            turn.unload().await;
            turn.scale(0).await?;
            none(&turn, at).await?;
            // A version that the Deployment already owns may be Complete before it has pods again.
            let own = at.handed_over() || at == At::Transferring;
            let since = if own { brought } else { Timestamp::now() };
            turn.scale(4).await?;
            scaled(&turn, 4).await?;
            turn.routed().await?;
            turn.load();
            let end = match at {
                At::RollingBack | At::RolledBack => End::rolled_back("v1").started("v2", 0..=2),
                _ => End::complete("v2").since(since).started("v2", 4..=8),
            };
            turn.ends(end.started("v1", 0..=4)).await
        })
        .await
    }

    /// Waits until no pod is left, and checks that the Rollout reports the wait.
    async fn none(turn: &Turn, at: At) -> Result<(), Failure> {
        let none = |pods: &std::collections::BTreeMap<String, k8s_openapi::api::core::v1::Pod>| {
            pods.is_empty().then_some(())
        };
        let which = kube::runtime::watcher::Config::default().labels("app=web");
        turn.space.until_all(which, "no pod", SOON, none).await?;
        let rests = at.handed_over() || matches!(at, At::RollingBack | At::RolledBack | At::Transferring);
        if !rests {
            let waiting = |r: &Rollout| (r.text("/waiting/reason") == "ZeroReplicas").then_some(());
            turn.space.until("web", "waiting for replicas", SOON, waiting).await?;
        }
        Ok(())
    }

    crate::turns::at_each_moment!(run;
        also_while_preparing: Preparing,
        at_the_first_step: FirstStep,
        also_at_the_last_step: LastStep,
        also_while_the_canary_fills: ScalingUp,
        once_services_are_narrowed: Narrowing,
        during_the_transfer: Transferring,
        also_while_the_canary_service_drains: Draining,
        while_rolling_back: RollingBack,
        also_once_rolled_back: RolledBack,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_at_zero_replicas_waits_for_replicas() -> Result<(), Failure> {
    Space::run("push-at-zero", async |space| {
        let mut turn = Turn::begin(space, "a push at zero replicas", None).await?;
        turn.unload().await;
        turn.scale(0).await?;
        let gone = |d: &Deployment| (d.status.as_ref()?.replicas.unwrap_or(0) == 0).then_some(());
        turn.space.until("web", "no pod", SOON, gone).await?;
        let since = Timestamp::now();
        turn.push("v2").await?;
        let rollout = turn
            .first(since, "a wait with a reason", |r| r.text("/waiting/reason") == "ZeroReplicas")
            .await?;
        assert_eq!(rollout.phase(), "Preparing");
        turn.scale(4).await?;
        scaled(&turn, 4).await?;
        turn.routed().await?;
        turn.load();
        // Stable starts first, because the new version must pass its steps.
        turn.ends(End::complete("v2").since(since).started("v1", 4..=4).started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_and_replicas_changed_in_one_write_both_take_effect() -> Result<(), Failure> {
    Space::run("both", async |space| {
        let turn = Turn::begin(space, "template and replicas in one write", None).await?;
        turn.patch_template(&json!([
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "demo:v2"},
            {"op": "replace", "path": "/spec/replicas", "value": 6}]))
            .await?;
        turn.ends(End::complete("v2").replicas(6).started("v1", 2..=2).started("v2", 6..=6)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_doubles_and_halves_in_the_middle_of_a_step() -> Result<(), Failure> {
    Space::run("hpa", async |space| {
        let turn = Turn::begin(space, "doubled and halved by an autoscaler", At::LastStep).await?;
        let autoscaler = Autoscaler::new(space, "web", 4).await?;
        turn.bring(At::LastStep).await?;
        for replicas in [8, 4, 8] {
            autoscaler.demand(replicas).await?;
            scaled(&turn, replicas).await?;
        }
        turn.ends(End::complete("v2").replicas(8).started("v1", 4..=8).started("v2", 8..=16)).await
    })
    .await
}
