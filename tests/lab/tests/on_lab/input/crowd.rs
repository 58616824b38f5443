//! Invalid objects delay no others.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use lab::load::{Load, Running};
use lab::support::{Demo, Failure, Rollout, Space, SupportError, tell};
use serde_json::json;

use super::{POLICY, all_answered, annotate, served};
use crate::SOON;
use crate::canary::ROLLOUT;

/// The number of invalid Deployments.
const CROWD: usize = 8;
/// The interval of writes to one of them during the test.
const CHURN: Duration = Duration::from_millis(100);
/// The accepted factor by which a release may take longer among them, for the noise of a busy
/// machine. Without a rate limit for refused objects it took two thirds longer.
const NOISE: f64 = 1.3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_deployments_do_not_delay_other_releases_on_a_quiet_machine() -> Result<(), Failure> {
    Space::run_quietly("crowd", async |space| {
        let loads: Vec<Running> = served(space).await?.into_iter().map(Load::start).collect();
        space.apply(POLICY).await?;
        space.adopt("web", "web").await?;
        let alone = release(space, "v2").await?;

        let names: Vec<String> = (0..CROWD).map(|n| format!("wrong-{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            space.apply(&Demo::new(name, "v1").replicas(1).light().to_string()).await?;
            // A missing policy, an invalid policy name, and a policy for a Deployment without a
            // Service.
            let policy = ["absent", "../../secrets/x", "web", "cluster/"][n % 4];
            annotate(space, name, policy).await?;
        }
        for name in &names {
            space
                .until(name, "refused", SOON, |rollout: &Rollout| {
                    (!rollout.status.is_null() && !rollout.holds("Accepted")).then_some(())
                })
                .await?;
            space.kubectl(&["set", "image", &format!("deployment/{name}"), "app=demo:v2"]).await?;
        }
        let api = space.api::<Deployment>();
        let churn = async {
            for turn in 0_usize.. {
                let touched = json!({"metadata": {"annotations": {"example.com/touched": turn.to_string()}}});
                api.patch(&names[turn % CROWD], &PatchParams::default(), &Patch::Merge(touched)).await?;
                tokio::time::sleep(CHURN).await;
            }
            Ok::<(), kube::Error>(())
        };
        let beside = tokio::select! {
            taken = release(space, "v3") => taken?,
            ended = churn => return Err(format!("the writes ended: {ended:?}").into()),
        };
        for name in &names {
            space.kubectl(&["delete", "deployment", name, "--wait=false"]).await?;
        }
        let again = release(space, "v4").await?;
        let summary = format!(
            "a release alone {alone:#}, beside {CROWD} invalid Deployments {beside:#}, alone again {again:#}"
        );
        tell(&summary);
        assert!(beside.as_secs_f64() < alone.max(again).as_secs_f64() * NOISE + 2.0, "{summary}");
        all_answered(loads).await;
        Ok(())
    })
    .await
}

/// Releases a version. Returns the time from the push to Complete.
async fn release(space: &Space, tag: &str) -> Result<SignedDuration, SupportError> {
    let pushed = Timestamp::now();
    space.kubectl(&["set", "image", "deployment/web", &format!("app=demo:{tag}")]).await?;
    let done = space
        .until("web", "stable and Complete", ROLLOUT, |rollout: &Rollout| {
            rollout.complete(tag).then(Timestamp::now)
        })
        .await?;
    Ok(done.duration_since(pushed))
}
