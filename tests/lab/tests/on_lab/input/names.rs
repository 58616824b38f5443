//! Names at the length limits.

use lab::load::Load;
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};

use super::{RATE, all_answered};
use crate::canary::ROLLOUT;

/// A Deployment name of 54 characters: generated pod names are cut and lose the hash, so they do
/// not identify the version.
const LONG: &str = "a-name-of-fifty-four-characters-that-leaves-no-room-ab";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_distinguished_when_pod_names_have_no_hash() -> Result<(), Failure> {
    assert_eq!(LONG.len(), 54);
    Space::run("long-names", async |space| {
        let demo = Demo::new(LONG, "v1").replicas(2);
        let (gateway, service) = space.serve(LONG, &demo, RATE).await?;
        space.apply(&Policy::new("web").step(50, 3).measured().to_string()).await?;
        space.adopt(LONG, "web").await?;
        let noticing = Load::start(gateway.clone());
        // Half of all answers are errors, and every answer of the canary: only a query for the
        // canary's pods returns 1.
        space.apply(&demo.clone().tag("v2").env("ERROR_RATE", "1").to_string()).await?;
        let rollout = space
            .until(LONG, "rolled back", ROLLOUT, |rollout: &Rollout| {
                (rollout.phase() == "RolledBack").then(|| rollout.clone())
            })
            .await?;
        let record = noticing.stop().await;
        assert_eq!(record.lost(), 0, "{record}");
        let failure = &rollout.status["failure"];
        tell(format_args!("{failure}"));
        assert_eq!(failure["metric"], "errors", "{failure}");
        assert!(failure["value"].as_f64().is_some_and(|value| value > 0.99), "{failure}");
        let loads = vec![Load::start(gateway), Load::start(service)];
        space.apply(&demo.tag("v3").to_string()).await?;
        space
            .until(LONG, "v3 stable and Complete", ROLLOUT, |rollout: &Rollout| {
                rollout.complete("v3").then_some(())
            })
            .await?;
        all_answered(loads).await;
        Ok(())
    })
    .await
}
