//! One wrong object delays no other.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use lab::load::{Load, Running};
use lab::support::{Demo, Failure, Rollout, Space, SupportError, tell};
use serde_json::json;

use super::{POLICY, annotate, answered, served};
use crate::SOON;
use crate::canary::ROLLOUT;

/// How many wrong Deployments there are.
const CROWD: usize = 8;
/// How often one of them is written to, all the while.
const CHURN: Duration = Duration::from_millis(100);
/// How much longer a release may take among them than alone: the noise of a busy machine. Without a pace for what is refused it
/// took two thirds more.
const NOISE: f64 = 1.3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_deployments_delay_no_release_beside_them_alone() -> Result<(), Failure> {
    Space::run("crowd", async |space| {
        let loads: Vec<Running> = served(space).await?.into_iter().map(Load::start).collect();
        space.apply(POLICY).await?;
        space.adopt("web", "web").await?;
        let alone = release(space, "v2").await?;

        let names: Vec<String> = (0..CROWD).map(|n| format!("wrong-{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            // Pods of this one run nothing: they are only there.
            let manifest = Demo::new(name, "v1").replicas(1).to_string().replace(
                &format!("metadata: {{labels: {{app: {name}}}}}"),
                &format!(
                    "metadata: {{labels: {{app: {name}}}, annotations: {{lab.steelyard.io/light: \"true\"}}}}"
                ),
            );
            space.apply(&manifest).await?;
            // A policy that isn't there, one whose name can't be one, one with a Deployment that has no Service.
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
        let said = format!(
            "a release alone {alone:#}, beside {CROWD} wrong Deployments {beside:#}, alone again {again:#}"
        );
        tell(&said);
        assert!(beside.as_secs_f64() < alone.max(again).as_secs_f64() * NOISE + 2.0, "{said}");
        answered(loads).await;
        Ok(())
    })
    .await
}

/// Releases a version; gives the time from the push to Complete.
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
