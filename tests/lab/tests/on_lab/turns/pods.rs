//! The canary's `ReplicaSet` and pods, and stable's: scaled, edited, deleted, killed, flapping.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use lab::agent::control::Fault;
use lab::support::turn::{At, End, SOON, Turn, Way};
use lab::support::{Failure, Space};

use crate::ready;

/// The names of the running pods of an image.
pub(crate) async fn pods(space: &Space, image: &str) -> Result<Vec<String>, Failure> {
    let all = space.api::<Pod>().list(&ListParams::default().labels("app=web")).await?;
    let runs = |pod: &&Pod| {
        let spec = pod.spec.as_ref();
        let of_image = spec.is_some_and(|spec| spec.containers[0].image.as_deref() == Some(image));
        of_image && pod.metadata.deletion_timestamp.is_none()
    };
    Ok(all.iter().filter(runs).map(ResourceExt::name_any).collect())
}

/// Kills all pods of an image and keeps them unready after their restart: the first restart is
/// immediate and could pass unnoticed. Returns their names.
pub(crate) async fn kill_for_a_while(space: &Space, image: &str) -> Result<Vec<String>, Failure> {
    let pods = pods(space, image).await?;
    for pod in &pods {
        space.fault(Fault::Kill, pod).await?;
        space.fault(Fault::Unready, pod).await?;
    }
    Ok(pods)
}

/// The name of the canary's `ReplicaSet` in a Rollout's status.
fn set(rollout: &lab::support::Rollout) -> String {
    rollout.text("/canary/replicaSet").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_scaled_by_hand_is_scaled_back() -> Result<(), Failure> {
    Space::run("scaled-canary", async |space| {
        let turn = Turn::begin(space, "the canary ReplicaSet scaled to 0, then to 6", At::LastStep).await?;
        let rollout = turn.bring(At::LastStep).await?;
        let set = set(&rollout);
        for replicas in ["0", "6"] {
            space.kubectl(&["scale", "replicaset", &set, &format!("--replicas={replicas}")]).await?;
            let back = |set: &k8s_openapi::api::apps::v1::ReplicaSet| {
                (set.spec.as_ref()?.replicas == Some(2)).then_some(())
            };
            space.until(&set, "two canary pods again", SOON, back).await?;
        }
        // At zero replicas all canary pods end at once, and the router may apply that before the
        // weight.
        turn.ends(End::complete("v2").started("v2", 4..=10).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_an_edited_template_is_rolled_back() -> Result<(), Failure> {
    Space::run("edited-canary", async |space| {
        let turn = Turn::begin(space, "the canary ReplicaSet's template edited", At::FirstStep).await?;
        let rollout = turn.bring(At::FirstStep).await?;
        let since = Timestamp::now();
        space.kubectl(&["set", "image", &format!("replicaset/{}", set(&rollout)), "app=demo:v9"]).await?;
        turn.ends(End::rolled_back("v1").since(since).never("v9").started("v2", 1..=2).started("v9", 0..=0))
            .await
    })
    .await
}

mod the_canary_replica_set_is_deleted {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("no-canary", async |space| {
            let turn = Turn::begin(space, "the canary ReplicaSet deleted", at).await?;
            let rollout = turn.bring(at).await?;
            let since = Timestamp::now();
            space.kubectl(&["delete", "replicaset", &set(&rollout), "--wait=false"]).await?;
            let most = if at < At::LastStep { 1 } else { 4 };
            // Garbage collection ends its pods at once, and the router may apply that before the
            // weight.
            let end = End::rolled_back("v1").since(since).started("v2", 0..=most);
            turn.ends(end.may_fail(Way::Gateway)).await
        })
        .await
    }

    crate::turns::at_each_moment!(run;
        at_the_first_step: FirstStep,
        also_at_the_last_step: LastStep,
        also_while_the_canary_fills: ScalingUp,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canary_pods_deleted_one_by_one_are_replaced_and_the_rollout_continues() -> Result<(), Failure> {
    Space::run("one-by-one", async |space| {
        let turn = Turn::begin(space, "canary pods deleted one by one", At::LastStep).await?;
        turn.bring(At::LastStep).await?;
        let mut gone = BTreeSet::new();
        for pod in pods(space, "demo:v2").await? {
            space.api::<Pod>().delete(&pod, &DeleteParams::default()).await?;
            gone.insert(pod);
            let fresh = |all: &std::collections::BTreeMap<String, Pod>| {
                let ready = all.iter().filter(|(name, pod)| {
                    let v2 = pod
                        .spec
                        .as_ref()
                        .is_some_and(|s| s.containers[0].image.as_deref() == Some("demo:v2"));
                    v2 && !gone.contains(*name) && crate::holds(pod, "Ready")
                });
                (ready.count() >= 2).then_some(())
            };
            let which = kube::runtime::watcher::Config::default().labels("app=web");
            space.until_all(which, "two ready canary pods", SOON, fresh).await?;
        }
        turn.ends(End::complete("v2").started("v2", 5..=8)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canary_pods_killed_all_at_once_get_no_traffic_until_they_are_ready() -> Result<(), Failure> {
    Space::run("all-at-once", async |space| {
        let turn = Turn::begin(space, "canary pods killed all at once", At::LastStep).await?;
        turn.bring(At::LastStep).await?;
        let killed = kill_for_a_while(space, "demo:v2").await?;
        space.weight("web", 0, SOON).await?;
        for pod in killed {
            space.fault(Fault::Ready, &pod).await?;
        }
        turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_whose_readiness_flaps_gets_traffic_only_while_it_is_ready() -> Result<(), Failure> {
    Space::run("flapping", async |space| {
        let turn = Turn::begin(space, "canary readiness flapping", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        let pod = pods(space, "demo:v2").await?.pop().ok_or("no canary pod")?;
        for _ in 0..3 {
            space.fault(Fault::Unready, &pod).await?;
            space.weight("web", 0, SOON).await?;
            space.fault(Fault::Ready, &pod).await?;
            ready(space, &pod).await?;
            space.weight("web", 25, SOON).await?;
        }
        turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rollout_continues_after_stable_pods_are_killed_at_half_the_traffic() -> Result<(), Failure> {
    Space::run("stable-killed", async |space| {
        let turn = Turn::begin(space, "stable pods killed at 50 %", At::LastStep).await?;
        turn.bring(At::LastStep).await?;
        for pod in pods(space, "demo:v1").await? {
            space.fault(Fault::Kill, &pod).await?;
        }
        // While stable has no ready pod, the canary is scaled to carry everything, if that is decided
        // before the killed pods are ready again; then it returns to the size of its step.
        let end = End::complete("v2").started("v2", 4..=6);
        turn.ends(end.may_fail(Way::Gateway).may_fail(Way::Service)).await
    })
    .await
}
