//! What a tenant can write delays no rollback of its neighbors.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{TryStreamExt, stream};
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use lab::bench::reaction::{self, Figures};
use lab::support::{Demo, Failure, Policy, Rollout, Space, tell};
use serde_json::{Value, json};

use crate::SOON;

/// The number of Deployments beside the hostile one.
const NEIGHBORS: usize = 200;
/// The number of their namespaces.
const NAMESPACES: usize = 10;
/// How many Deployments, or routes, are created at the same time.
const AT_ONCE: usize = 10;
/// The number of routes that name the hostile Service: with the 16 rules that the Gateway API
/// admits for each, 512.
const ROUTES: usize = 32;
/// The interval at which the status of the hostile Rollout is written.
const CHURN: Duration = Duration::from_millis(100);
/// The factor by which a rollback may take longer than its goal on a busy machine.
const MARGIN: f64 = 2.5;
/// The hostile Deployment, its Service, policy and Rollout.
const HOSTILE: &str = "hostile";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_objects_delay_no_rollback_among_200_neighbors_on_a_quiet_machine() -> Result<(), Failure> {
    Space::run_quietly("hostile", async |space| {
        let namespaces: Vec<Space> =
            (0..NAMESPACES).map(|n| space.beside(&format!("{}-{n}", space.name()))).collect();
        let measured = measure(space, &namespaces).await;
        for namespace in &namespaces {
            namespace.delete().await?;
        }
        let figures = measured?;
        tell(&figures);
        assert_eq!(figures.missed(MARGIN), Vec::<String>::new());
        Ok(())
    })
    .await
}

/// Fills the namespaces with neighbors and a hostile tenant, and measures a bad and a good release
/// beside them. Every neighbor stays adopted.
async fn measure(space: &Space, namespaces: &[Space]) -> Result<Figures, Failure> {
    for namespace in namespaces {
        space.kubectl(&["create", "namespace", namespace.name()]).await?;
        namespace.apply(&Policy::new("neighbor").step(25, 2).by_service().to_string()).await?;
    }
    let neighbors = namespaces.iter().flat_map(|of| (0..NEIGHBORS / NAMESPACES).map(move |n| (of, n)));
    let created = stream::iter(neighbors.map(Ok)).try_for_each_concurrent(AT_ONCE, |(of, n)| async move {
        tenant(of, &format!("neighbor-{n}"), "neighbor").await
    });
    created.await?;
    space.apply(&Policy::new(HOSTILE).step(25, 200).to_string()).await?;
    tenant(space, HOSTILE, HOSTILE).await?;
    stream::iter((0..ROUTES).map(Ok)).try_for_each_concurrent(AT_ONCE, |n| route(space, n)).await?;
    space.apply(&bait().to_string()).await?;
    adopted(namespaces).await?;
    let found = |rollout: &Rollout| (!rollout.status.is_null()).then_some(());
    space.until(HOSTILE, "a Rollout of the hostile Deployment", SOON, found).await?;
    space.kubectl(&["set", "image", &format!("deployment/{HOSTILE}"), "app=demo:v2"]).await?;

    let rollouts = space.api::<Rollout>();
    let churn = async {
        let (absurd, mut tick) = (Patch::Merge(absurd()), tokio::time::interval(CHURN));
        loop {
            tick.tick().await;
            if let Err(error) = rollouts.patch_status(HOSTILE, &PatchParams::default(), &absurd).await {
                return error;
            }
        }
    };
    let figures = tokio::select! {
        figures = reaction::measure(space, 1, |line| tell(line)) => figures?,
        error = churn => return Err(error.into()),
    };
    adopted(namespaces).await?;
    Ok(figures)
}

/// Creates a Deployment, whose pods run nothing, with its Service and this policy.
async fn tenant(space: &Space, name: &str, policy: &str) -> Result<(), Failure> {
    let demo = Demo::new(name, "v1").replicas(1).policy(policy).light();
    Ok(space.apply(&format!("{demo}---\n{}", demo.manifest_of_service())).await?)
}

/// Creates a route with as many rules as the Gateway API admits, which all name the hostile
/// Service.
async fn route(space: &Space, n: usize) -> Result<(), Failure> {
    let rules: Vec<Value> = (0..16)
        .map(|rule| {
            json!({
                "matches": [{"path": {"type": "PathPrefix", "value": format!("/{n}/{rule}")}}],
                "backendRefs": [{"name": HOSTILE, "port": 80}]})
        })
        .collect();
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": format!("{HOSTILE}-{n}")},
        "spec": {
            "hostnames": [format!("hostile.{}.example", space.name())],
            "parentRefs": [{"name": "lab", "namespace": "lab-system"}],
            "rules": rules}});
    Ok(space.apply(&route.to_string()).await?)
}

/// A Service that pretends to be a canary Service, to be created for the Rollout that is measured,
/// and to be written by a leader of the last epoch of all.
fn bait() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "bait",
            "labels": {"steelyard.io/canary-of": HOSTILE, "steelyard.io/rollout": "web"},
            "annotations": {"steelyard.io/epoch": u64::MAX.to_string()}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

/// A status that Steelyard never writes, as large as the schema accepts its numbers.
fn absurd() -> Value {
    json!({"status": {
        "epoch": i64::MAX, "phase": "Promoting", "weight": "100%", "step": u32::MAX, "steps": 1,
        "attempt": u32::MAX, "observedGeneration": i64::MAX, "observedDeploymentGeneration": i64::MAX,
        "progress": "x".repeat(1000), "templateHash": "x".repeat(1000)}})
}

/// Waits until every neighbor is adopted, and its policy accepted.
async fn adopted(namespaces: &[Space]) -> Result<(), Failure> {
    let all = |rollouts: &BTreeMap<String, Rollout>| {
        let fine = rollouts.values().filter(|one| one.phase() == "Stable" && one.holds("Accepted"));
        (fine.count() == NEIGHBORS / NAMESPACES).then_some(())
    };
    for namespace in namespaces {
        namespace.until_all(Config::default(), "all neighbors adopted", 2 * SOON, all).await?;
    }
    Ok(())
}
