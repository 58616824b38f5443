//! Limits on rollouts in progress: which one waits, which one is next, and that a rollback never
//! waits.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use lab::support::{Demo, Failure, Policy, Rollout, Space};
use serde_json::json;

use crate::kills::controller::Controller;

/// The longest time of a rollout, and of a change of leader.
const LIMIT: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_rollouts_queue_fairly_across_namespaces_and_a_rollback_does_not_wait() -> Result<(), Failure> {
    Space::run("queue-a", async |one| {
        Space::run("queue-b", async |two| {
            Controller::with(one, &["--set", "concurrency.cluster=1"], async |controller| {
                turns(one, two, controller).await
            })
            .await
        })
        .await
    })
    .await
}

async fn turns(one: &Space, two: &Space, controller: &Controller) -> Result<(), Failure> {
    for (space, name) in [(one, "first"), (one, "second"), (two, "third")] {
        space.apply(&Policy::new("quick").step(50, 3).to_string()).await?;
        space.apply(&Demo::new(name, "v1").replicas(1).manifest(space.name())).await?;
        space.adopt(name, "quick").await?;
    }
    push(one, "first").await?;
    let first = reached(one, "first", "a first step", |rollout| rollout.phase() == "Stepping").await?;
    push(one, "second").await?;
    reached(one, "second", "first in the queue", |rollout| place(rollout, "1st of 1")).await?;
    push(two, "third").await?;
    // It was pushed last, but its namespace has no rollout in progress.
    reached(two, "third", "first in the queue", |rollout| place(rollout, "1st of 2")).await?;
    reached(one, "second", "second in the queue", |rollout| place(rollout, "2nd of 2")).await?;
    assert_eq!(
        one.kubectl(&["get", "replicasets", "-l", "steelyard.io/rollout=second", "-o", "name"]).await?,
        ""
    );

    // A new leader counts the rollouts in progress before it starts another one.
    let leader = controller.leader().await?;
    controller.kill_for_good(&leader.pod).await?;
    controller.after(&leader).await?;
    let abort = json!({"spec": {"abort": {"revision": first.text("/canary/revision")}}});
    one.api::<Rollout>().patch("first", &PatchParams::default(), &Patch::Merge(abort)).await?;
    let first = reached(one, "first", "rolled back", |rollout| rollout.phase() == "RolledBack").await?;
    let third = reached(two, "third", "Complete", |rollout| rollout.complete("v2")).await?;
    let second = reached(one, "second", "Complete", |rollout| rollout.complete("v2")).await?;
    let spans: Vec<_> = [&first, &third, &second].map(span).into();
    assert!(spans.is_sorted(), "one after the other, in the order of the queue: {spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "never two at a time: {spans:?}");
    Ok(())
}

/// The start and the end of the last rollout.
fn span(rollout: &Rollout) -> (Timestamp, Timestamp) {
    let past = rollout.status["history"].as_array().and_then(|history| history.last()).cloned();
    let at = |key: &str| past.as_ref().and_then(|past| past[key].as_str()?.parse().ok()).unwrap_or_default();
    (at("started"), at("ended"))
}

fn place(rollout: &Rollout, place: &str) -> bool {
    rollout.text("/waiting/reason") == "Queue" && rollout.text("/waiting/message").contains(place)
}

async fn push(space: &Space, name: &str) -> Result<(), Failure> {
    space.kubectl(&["set", "image", &format!("deployment/{name}"), "app=demo:v2"]).await?;
    Ok(())
}

async fn reached(
    space: &Space,
    name: &str,
    what: &str,
    found: impl Fn(&Rollout) -> bool,
) -> Result<Rollout, Failure> {
    let what = format!("{name}: {what}");
    Ok(space.until(name, &what, LIMIT, |rollout: &Rollout| found(rollout).then(|| rollout.clone())).await?)
}
