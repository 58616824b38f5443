//! What users do during a switch: abort, push again, scale, remove the annotation.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use lab::support::turn::{End, State, Turn};
use lab::support::{Failure, Policy, Rollout, Space};
use serde_json::json;

use super::until_step;

/// A step duration, in seconds, that outlasts every test.
const LONG: u8 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_works_at_the_preview_after_the_switch_and_while_stable_is_kept() -> Result<(), Failure> {
    Space::run("bg-abort", async |space| {
        let policy = Policy::blue_green("web").gate("go on?").after(2).keep_stable(LONG);
        let turn = Turn::switching(
            space,
            "aborted at the preview, after the switch, and while stable is kept",
            &policy,
        )
        .await?;
        for (tag, step) in [("v2", "2/4"), ("v3", "3/4"), ("v4", "4/4")] {
            let since = Timestamp::now();
            turn.push(tag).await?;
            let waits = |r: &Rollout| r.phase() == "Waiting" && r.text("/canary/tag") == tag;
            let rollout = turn.first(since, &format!("{tag} at its gate"), waits).await?;
            let revision = rollout.text("/canary/revision");
            if step != "2/4" {
                turn.promote(revision, 2).await?;
                until_step(&turn, since, tag, step).await?;
            }
            turn.abort(revision).await?;
            let back = |r: &Rollout| r.phase() == "RolledBack" && r.text("/canary/tag") == tag;
            let rollout = turn.first(since, &format!("{tag} RolledBack"), back).await?;
            assert_eq!(rollout.text("/failure/reason"), "Aborted");
        }
        let end = End::rolled_back("v1").never("v2");
        turn.ends(end.started("v2", 4..=4).started("v3", 4..=4).started("v4", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_template_and_then_stables_template_are_pushed_after_the_switch() -> Result<(), Failure> {
    Space::run("bg-push", async |space| {
        let policy = Policy::blue_green("web").after(4).keep_stable(LONG);
        let case = "a newer template after the switch, and stable's template after the next switch";
        let turn = Turn::switching(space, case, &policy).await?;
        turn.push("v2").await?;
        until_step(&turn, Timestamp::MIN, "v2", "3/3").await?;
        let since = Timestamp::now();
        turn.push("v3").await?;
        let rollout = until_step(&turn, since, "v3", "3/3").await?;
        assert_eq!(rollout.text("/stable/tag"), "v1", "v2 was never handed over");
        let since = Timestamp::now();
        turn.push("v1").await?;
        let end = End::complete("v1").since(since);
        turn.ends(end.started("v2", 4..=4).started("v3", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_annotation_removed_after_the_switch_leaves_stable_serving() -> Result<(), Failure> {
    Space::run("bg-leave", async |space| {
        let policy = Policy::blue_green("web").after(4).keep_stable(LONG).by_service();
        let turn =
            Turn::switching(space, "the annotation removed after the switch by Service", &policy).await?;
        turn.push("v2").await?;
        until_step(&turn, Timestamp::MIN, "v2", "3/3").await?;
        let since = Timestamp::now();
        let off = json!({"metadata": {"annotations": {"steelyard.io/policy": null}}});
        space.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(off)).await?;
        turn.ends(End::left("v1", State::Paused).since(since).started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_follow_the_size_while_stable_is_kept() -> Result<(), Failure> {
    Space::run("bg-scale", async |space| {
        let policy = Policy::blue_green("web").keep_stable(12);
        let turn =
            Turn::switching(space, "scaled from 4 to 6 and to 3 while stable is kept", &policy).await?;
        turn.push("v2").await?;
        until_step(&turn, Timestamp::MIN, "v2", "3/3").await?;
        turn.scale(6).await?;
        let ready = |count: usize| {
            move |pods: &std::collections::BTreeMap<String, k8s_openapi::api::core::v1::Pod>| {
                let ready = pods.values().filter(|pod| crate::holds(pod, "Ready")).count();
                (ready == count).then_some(())
            }
        };
        let which = || kube::runtime::watcher::Config::default().labels("app=web");
        space.until_all(which(), "six pods of each version", crate::SOON, ready(12)).await?;
        turn.scale(3).await?;
        let end = End::complete("v2").replicas(3);
        turn.ends(end.started("v1", 2..=2).started("v2", 6..=6)).await
    })
    .await
}
