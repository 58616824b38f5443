//! `wait`: its exit codes, and that it waits for the push before it.

use lab::support::{Demo, Failure, Space};

use super::{LONG, adopted, at, plugin, policy, push};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_ends_with_the_end_of_the_push_before_it() -> Result<(), Failure> {
    Space::run("wait", async |space| {
        adopted(space, &policy(&[(50, 1)])).await?;
        plugin(space, &["wait", "web"]).await?.good()?;
        push(space, "v2").await?;
        let ran = plugin(space, &["wait", "web", "--timeout", "110s"]).await?;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("v2 serves"), "{ran:?}");
        assert!(ran.err.contains("50 %"), "it says what it waits for: {ran:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_tells_a_timeout_from_a_way_back_and_that_from_nothing_to_wait_for() -> Result<(), Failure> {
    Space::run("wait-codes", async |space| {
        adopted(space, &policy(&[(25, LONG)])).await?;
        push(space, "v2").await?;
        plugin(space, &["wait", "web", "--timeout", "1s"]).await?.refused(2, "not ended in time");
        at(space, 25).await?;
        let (waited, aborted) = tokio::join!(plugin(space, &["wait", "web"]), async {
            // The wait is there when its first line is; an abort before it would be seen as well.
            plugin(space, &["abort", "web"]).await
        });
        aborted?.good()?;
        waited?.refused(1, "Aborted");
        plugin(space, &["wait", "web"]).await?.refused(1, "Aborted");
        // A push over the rejected version is another one to wait for, whatever status still says.
        push(space, "v3").await?;
        plugin(space, &["wait", "web", "--timeout", "1s"]).await?.refused(2, "not ended in time");

        plugin(space, &["wait", "nobody"]).await?.refused(3, "no Deployment nobody");
        plugin(space, &["wait", "web", "--timeout", "soon"]).await?.refused(3, "not a duration");
        plugin(space, &["wait"]).await?.refused(3, "NAME");
        space.apply(&Demo::new("plain", "v1").replicas(1).to_string()).await?;
        plugin(space, &["wait", "plain"]).await?.refused(3, "not managed");
        Ok(())
    })
    .await
}
