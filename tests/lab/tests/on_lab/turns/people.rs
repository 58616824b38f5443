//! Users with kubectl: undo, restart, pause, resume.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use lab::support::turn::{At, End, SOON, Turn};
use lab::support::{Failure, Space};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollout_restart_from_stable_starts_a_rollout_with_steps() -> Result<(), Failure> {
    Space::run("restart", async |space| {
        let turn = Turn::begin(space, "rollout restart", None).await?;
        let since = Timestamp::now();
        space.kubectl(&["rollout", "restart", "deployment/web"]).await?;
        turn.first(since, "the first step", |rollout| At::FirstStep.is(rollout)).await?;
        turn.ends(End::complete("v1").since(Timestamp::now()).started("v1", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollout_undo_from_stable_starts_a_rollout_with_steps() -> Result<(), Failure> {
    Space::run("undo", async |space| {
        let turn = Turn::begin(space, "rollout undo", None).await?;
        turn.push("v2").await?;
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        let since = Timestamp::now();
        space.kubectl(&["rollout", "undo", "deployment/web"]).await?;
        turn.first(since, "the first step", |rollout| {
            At::FirstStep.is(rollout) && rollout.text("/canary/tag") == "v1"
        })
        .await?;
        turn.ends(End::complete("v1").since(since).started("v2", 4..=4).started("v1", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_restart_and_resume_are_refused_while_a_template_is_held() -> Result<(), Failure> {
    Space::run("refused", async |space| {
        let turn = Turn::begin(space, "undo, restart and resume while held", At::FirstStep).await?;
        // Without an earlier revision kubectl has nothing to undo.
        turn.push("v2").await?;
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        turn.bring_tag("v3", At::FirstStep).await?;
        for (verb, word) in [("undo", "paused"), ("restart", "paused"), ("resume", "held by Steelyard")] {
            let refused = space.kubectl(&["rollout", verb, "deployment/web"]).await;
            let text = refused.expect_err("refused while held").to_string();
            assert!(text.contains(word), "rollout {verb}: {text}");
        }
        turn.ends(End::complete("v3").started("v2", 4..=4).started("v3", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_a_user_paused_is_held_at_the_next_push() -> Result<(), Failure> {
    Space::run("own-pause", async |space| {
        let turn = Turn::begin(space, "paused by a user before the push", None).await?;
        space.kubectl(&["rollout", "pause", "deployment/web"]).await?;
        let paused = |d: &Deployment| (d.spec.as_ref()?.paused == Some(true)).then_some(());
        space.until("web", "paused", SOON, paused).await?;
        let since = Timestamp::now();
        turn.push("v2").await?;
        turn.ends(End::complete("v2").since(since).started("v2", 4..=4)).await
    })
    .await
}
