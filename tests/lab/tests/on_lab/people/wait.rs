//! `wait`: its exit codes, and that it waits for the latest push.

use lab::support::{Demo, Failure, Space};

use super::{LONG, adopted, at, plugin, policy, push};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_ends_when_the_latest_push_ends() -> Result<(), Failure> {
    Space::run("wait", async |space| {
        adopted(space, &policy(&[(50, 1)])).await?;
        plugin(space, &["wait", "web"]).await?.good()?;
        push(space, "v2").await?;
        let ran = plugin(space, &["wait", "web", "--timeout", "110s"]).await?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("v2 serves"), "{ran:?}");
        assert!(ran.err.contains("50%"), "it prints what it waits for: {ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_has_distinct_exit_codes_for_a_timeout_a_rollback_and_nothing_to_wait_for() -> Result<(), Failure>
{
    Space::run("wait-codes", async |space| {
        adopted(space, &policy(&[(25, LONG)])).await?;
        push(space, "v2").await?;
        plugin(space, &["wait", "web", "--timeout", "1s"]).await?.refused(2, "timed out");
        at(space, 25).await?;
        let (waited, aborted) = tokio::join!(plugin(space, &["wait", "web"]), async {
            // The wait has started when it prints its first line. It would also notice an earlier
            // abort.
            plugin(space, &["abort", "web"]).await
        });
        aborted?.good()?;
        waited?.refused(1, "Aborted");
        plugin(space, &["wait", "web"]).await?.refused(1, "Aborted");
        // A push over the rejected version is waited for, even if status still shows the rejected
        // one.
        push(space, "v3").await?;
        plugin(space, &["wait", "web", "--timeout", "1s"]).await?.refused(2, "timed out");

        plugin(space, &["wait", "missing"]).await?.refused(3, "no Deployment missing");
        plugin(space, &["wait", "web", "--timeout", "soon"]).await?.refused(3, "not a duration");
        plugin(space, &["wait"]).await?.refused(3, "NAME");
        space.apply(&Demo::new("plain", "v1").replicas(1).to_string()).await?;
        plugin(space, &["wait", "plain"]).await?.refused(3, "not managed");
        Ok(())
    })
    .await
}
