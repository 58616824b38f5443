//! Pushes of newer templates, of stable's template, and of many at once.

use jiff::Timestamp;
use lab::support::turn::{At, End, Turn};
use lab::support::{Failure, Space};

/// The largest number of pods that a version can have when its rollout ends at this stage.
fn most(at: At) -> usize {
    match at {
        At::Preparing => 1,
        At::Starting | At::FirstStep | At::RollingBack | At::RolledBack => 2,
        At::LastStep
        | At::ScalingUp
        | At::Widening
        | At::Narrowing
        | At::Transferring
        | At::Releasing
        | At::Draining => 4,
    }
}

mod a_newer_template {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("newer", async |space| {
            let turn = Turn::begin(space, "a newer template", at).await?;
            turn.bring(at).await?;
            let since = Timestamp::now();
            turn.push("v3").await?;
            let mut end = End::complete("v3").since(since).started("v2", 0..=most(at)).started("v3", 4..=4);
            if matches!(at, At::Preparing | At::Starting) {
                end = end.never("v2");
            }
            turn.ends(end).await
        })
        .await
    }

    crate::turns::at_every_moment!(run);
}

mod the_stable_template_again {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("stable-again", async |space| {
            let turn = Turn::begin(space, "the stable template again", at).await?;
            turn.bring(at).await?;
            let since = Timestamp::now();
            turn.push("v1").await?;
            let mut end = End::complete("v1").since(since).started("v2", 0..=most(at));
            if matches!(at, At::Preparing | At::Starting) {
                end = end.never("v2");
            }
            if at.handed_over() {
                // v2 is stable by then, so v1 is an ordinary release.
                end = end.started("v1", 4..=4);
            } else if at == At::Transferring {
                // The push races with the transfer.
                end = end.started("v1", 0..=4);
            }
            turn.ends(end).await
        })
        .await
    }

    crate::turns::at_every_moment!(run);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_of_five_pushes_within_a_second_serves() -> Result<(), Failure> {
    Space::run("five-pushes", async |space| {
        let turn = Turn::begin(space, "five pushes within a second", None).await?;
        let since = Timestamp::now();
        for tag in ["v2", "v3", "v4", "v5", "v6"] {
            turn.push(tag).await?;
            // The interval of the pushes: four intervals are less than a second. Nothing is awaited
            // here.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        let mut end = End::complete("v6").since(since).started("v6", 4..=4);
        for tag in ["v2", "v3", "v4", "v5"] {
            end = end.never(tag).started(tag, 0..=1);
        }
        turn.ends(end).await
    })
    .await
}
