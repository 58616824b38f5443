//! Commands that set intents: promote, pause, resume, abort, retry, skip.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use lab::support::{Failure, HttpRoute, Space};

use super::{LONG, adopted, at, plugin, policy, push, status};
use crate::canary::held;

/// The notes of all Events of the namespace with this reason.
pub(crate) async fn event_notes(space: &Space, reason: &str) -> Result<Vec<String>, Failure> {
    let all = space.api::<Event>().list(&ListParams::default()).await?;
    let ours = all.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
    Ok(ours.filter_map(|event| event.note).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promote_ends_one_step_and_full_ends_all_steps() -> Result<(), Failure> {
    Space::run("promote", async |space| {
        adopted(space, &policy(&[(25, LONG), (50, LONG), (75, LONG)])).await?;
        plugin(space, &["promote", "web"]).await?.refused(1, "no rollout of web is in progress");
        push(space, "v2").await?;
        at(space, 25).await?;
        let output = plugin(space, &["promote", "web", "--as", "alice"]).await?.good()?;
        assert!(output.contains("step 1 of 3 ends now"), "{output}");
        let rollout = at(space, 50).await?;
        assert_eq!(rollout.spec["promote"]["by"], "alice");
        assert_eq!(rollout.spec["promote"]["revision"], rollout.text("/canary/revision"));
        let notes = event_notes(space, "StepSkipped").await?;
        assert!(notes.iter().any(|note| note.contains("alice")), "{notes:?}");

        plugin(space, &["promote", "web", "--full"]).await?.good()?;
        let rollout = status(space, "v2 complete", |rollout| rollout.complete("v2")).await?;
        assert_eq!(rollout.text("/history/0/outcome"), "Complete");
        let past = plugin(space, &["history", "web"]).await?.good()?;
        assert!(
            past.lines().nth(1).is_some_and(|line| line.contains("v2") && line.contains("Complete")),
            "{past}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_right_after_a_push_keeps_the_canary_without_traffic_until_resume() -> Result<(), Failure> {
    Space::run("pause", async |space| {
        adopted(space, &policy(&[(25, 1), (50, 1)])).await?;
        plugin(space, &["pause", "web"]).await?.refused(1, "no rollout of web is in progress");
        push(space, "v2").await?;
        plugin(space, &["pause", "web", "--as", "alice"]).await?.good()?;
        let rollout = status(space, "paused", |r| r.text("/waiting/reason") == "Paused").await?;
        assert!(rollout.text("/waiting/message").contains("alice"), "{}", rollout.status);
        let percent = |route: HttpRoute| route.percent("web-canary");
        assert_eq!(percent(space.api::<HttpRoute>().get("web").await?), 0, "paused before the first weight");
        plugin(space, &["promote", "web"]).await?.refused(1, "resume web");
        let output = plugin(space, &["pause", "web"]).await?.good()?;
        assert!(output.contains("is already paused"), "{output}");
        let output = plugin(space, &["explain", "web"]).await?.good()?;
        assert!(output.contains("The rollout is paused by alice"), "{output}");

        plugin(space, &["resume", "web"]).await?.good()?;
        status(space, "v2 complete", |rollout| rollout.complete("v2")).await?;
        plugin(space, &["resume", "web"]).await?.refused(1, "no rollout of web is in progress");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_overrides_a_pause_and_a_retry_starts_a_new_attempt() -> Result<(), Failure> {
    Space::run("abort", async |space| {
        adopted(space, &policy(&[(25, LONG)])).await?;
        push(space, "v2").await?;
        let first = at(space, 25).await?;
        plugin(space, &["retry", "web"]).await?.refused(1, "only a revision that was rolled back");
        plugin(space, &["pause", "web"]).await?.good()?;
        plugin(space, &["abort", "web", "--as", "alice"]).await?.good()?;
        let back = status(space, "rolled back", |rollout| rollout.phase() == "RolledBack").await?;
        assert_eq!(back.text("/failure/reason"), "Aborted");
        assert!(back.text("/failure/message").contains("alice"), "{}", back.status["failure"]);
        assert_eq!(back.text("/history/0/reason"), "Aborted");
        assert_eq!(space.api::<HttpRoute>().get("web").await?.percent("web-canary"), 0);
        plugin(space, &["abort", "web"]).await?.refused(1, "retry web");

        plugin(space, &["retry", "web"]).await?.good()?;
        let again = at(space, 25).await?;
        assert_eq!(again.text("/canary/revision"), first.text("/canary/revision"), "the same ReplicaSet");
        assert_eq!(again.status["attempt"], 2);
        plugin(space, &["promote", "web", "--full"]).await?.good()?;
        status(space, "v2 complete", |rollout| rollout.complete("v2")).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skip_rolls_out_natively_and_requires_confirmation() -> Result<(), Failure> {
    Space::run("skip", async |space| {
        adopted(space, &policy(&[(25, LONG)])).await?;
        push(space, "v2").await?;
        at(space, 25).await?;
        plugin(space, &["skip", "web"]).await?.refused(3, "--yes");
        plugin(space, &["skip", "web", "--yes", "--as", "alice"]).await?.good()?;
        status(space, "v2 complete", |rollout| rollout.complete("v2")).await?;
        space.rolled_out("web", super::LIMIT).await?;
        assert_eq!(held(&space.api::<Deployment>().get("web").await?), Some(false), "released");
        plugin(space, &["skip", "web", "--yes"]).await?.refused(1, "no rollout of web is in progress");
        let notes = [event_notes(space, "Skipped").await?, event_notes(space, "Withdrawing").await?].concat();
        assert!(notes.iter().any(|note| note.contains("alice")), "{notes:?}");
        Ok(())
    })
    .await
}
