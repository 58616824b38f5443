//! `helm upgrade` and `helm uninstall` during rollouts, and an installation afterwards.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space, asked, tell};
use serde_json::{Value, json};

use super::app::App;
use super::audit::Audit;
use super::controller::{Controller, helm};
use super::fake_prometheus::{Answer, FakePrometheus};
use crate::canary::{held, restarts};
use crate::{SOON, pods_of};

/// Requests per second on each path.
const RATE: f64 = 25.0;

/// Every `spec` that Steelyard can write, by kind and name.
async fn specs(space: &Space) -> Result<BTreeMap<String, Value>, Failure> {
    let mut specs = BTreeMap::new();
    let params = ListParams::default();
    for object in space.api::<Deployment>().list(&params).await? {
        specs.insert(format!("Deployment {}", object.name_any()), json!(object.spec));
    }
    for object in space.api::<ReplicaSet>().list(&params).await? {
        specs.insert(format!("ReplicaSet {}", object.name_any()), json!(object.spec));
    }
    for object in space.api::<Service>().list(&params).await? {
        specs.insert(format!("Service {}", object.name_any()), json!(object.spec));
    }
    for object in space.api::<HttpRoute>().list(&params).await? {
        specs.insert(format!("HTTPRoute {}", object.name_any()), object.spec);
    }
    Ok(specs)
}

/// Waits until an application waits for its metric, with 25 % of its traffic on the canary.
async fn waits_at_25(app: &App<'_>) -> Result<(), Failure> {
    app.until("waiting at 25", |rollout: &Rollout| {
        let waits = rollout.text("/waiting/reason") == "MetricsUnavailable";
        (waits && rollout.weight() == Some(25)).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_an_upgrade_during_a_rollout_writes_only_the_epoch() -> Result<(), Failure> {
    Space::run("upgrade", async |space| {
        let odd = FakePrometheus::serve([("web".to_owned(), Answer::Status(503))]).await?;
        Controller::with(space, &[], async |controller| {
            let steps = |name: &str| Policy::new(name).step(25, 1).step(60, 2).measured_by("odd");
            let app = App::start(space, "web", 2, steps("web"), RATE).await?;
            let idle = App::start(space, "idle", 2, steps("idle"), RATE).await?;
            app.push(&app.demo.clone().tag("v2")).await?;
            waits_at_25(&app).await?;
            let (before, leader) = (specs(space).await?, controller.leader().await?);
            let epoch = app.rollout().await?.status["epoch"].as_u64();

            let audit = Audit::begin()?;
            controller
                .upgrade(&["--reset-then-reuse-values", "--set", "podAnnotations.upgraded=yes"])
                .await?;
            let next = controller.after(&leader).await?;
            assert_ne!(next.pod, leader.pod, "another pod leads");
            app.until("the new leadership epoch", |rollout| {
                (rollout.status["epoch"].as_u64() > epoch).then_some(())
            })
            .await?;
            waits_at_25(&app).await?;
            assert_eq!(specs(space).await?, before, "no spec was changed");
            let writes: Vec<_> = audit.writes()?.into_iter().filter(|write| write.code < 300).collect();
            let allowed = ["leases", "rollouts/status", "events", "httproutes", "services", "replicasets"];
            for write in &writes {
                assert!(allowed.contains(&write.resource.as_str()), "{write:?}");
                assert!(!write.object.ends_with("/idle"), "an idle Deployment costs no write: {write:?}");
            }
            let stamps: Vec<_> = writes
                .iter()
                .filter(|write| !["leases", "events"].contains(&write.resource.as_str()))
                .collect();
            tell(format_args!("writes for one rollout in progress: {}", stamps.len()));
            odd.answer_normally();
            app.completes("v2").await?;
            app.stop().await.nothing_failed("web");
            idle.stop().await.nothing_failed("idle");
            Ok(())
        })
        .await
    })
    .await
}

/// Checks a Deployment after Steelyard was uninstalled.
async fn left(space: &Space, name: &str, pods: &[String], paused: bool) -> Result<(), Failure> {
    let deployment = space.api::<Deployment>().get(name).await?;
    assert_eq!(deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false), paused, "{name}");
    let labels = deployment.labels();
    assert!(!labels.keys().any(|label| label.starts_with("steelyard.io/")), "{name}: {labels:?}");
    assert!(deployment.annotations().contains_key("steelyard.io/policy"), "{name} keeps its annotation");
    assert_eq!(pods_of(space, name, pods.len()).await?, pods, "{name}: the same pods");
    assert_eq!(restarts(space, pods).await?, 0, "{name}: not restarted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_an_uninstall_withdraws_rollouts_and_an_install_adopts_the_deployments_again()
-> Result<(), Failure> {
    Space::run("uninstall", async |space| {
        let _odd = FakePrometheus::serve([("step".to_owned(), Answer::Status(503))]).await?;
        Controller::with(space, &[], async |controller| {
            let step = Policy::new("step").step(25, 1).step(60, 2).measured_by("odd");
            let back = Policy::new("back").step(25, 5).measured();
            let idle = Policy::new("idle").step(25, 5);
            let (step, back, idle) = (
                App::start(space, "step", 2, step, RATE).await?,
                App::start(space, "back", 2, back, RATE).await?,
                App::start(space, "idle", 2, idle, RATE).await?,
            );
            step.push(&step.demo.clone().tag("v2")).await?;
            back.push(&Demo::new("back", "v2").replicas(2).env("ERROR_RATE", "1")).await?;
            waits_at_25(&step).await?;
            back.rolls_back().await?;
            let mut pods = BTreeMap::new();
            for name in ["step", "back", "idle"] {
                // Stable's pods only: the canary's pods are removed.
                let own = space.api::<k8s_openapi::api::core::v1::Pod>();
                let all = own.list(&ListParams::default().labels(&format!("app={name}"))).await?;
                let of = |pod: &k8s_openapi::api::core::v1::Pod| {
                    pod.spec.as_ref().is_some_and(|s| s.containers[0].image.as_deref() == Some("demo:v1"))
                };
                let mut names: Vec<String> =
                    all.iter().filter(|pod| of(pod)).map(ResourceExt::name_any).collect();
                names.sort();
                pods.insert(name, names);
            }

            let values = controller.values().await?;
            let began = Timestamp::now();
            let uninstall = ["uninstall", "steelyard", "-n", lab::steelyard::NAMESPACE, "--wait"];
            let (_, output) = helm(&uninstall).await?;
            assert!(output.contains("/step: was Stepping at 25%: v1 serves all traffic"), "{output}");
            tell(format_args!("uninstalled in {:#}:\n{output}", Timestamp::now() - began));
            for (name, paused) in [("step", true), ("back", true), ("idle", false)] {
                left(space, name, &pods[name], paused).await?;
            }
            let rollouts = space.api::<Rollout>().list(&ListParams::default()).await?;
            assert!(rollouts.items.is_empty(), "{rollouts:?}");
            step.is_restored().await?;
            back.is_restored().await?;
            idle.is_restored().await?;
            let sets = space.api::<ReplicaSet>().list(&ListParams::default()).await?;
            let ours = sets.iter().filter(|set| set.labels().contains_key("steelyard.io/rollout")).count();
            assert_eq!(ours, 0, "no ReplicaSet of Steelyard's is left");
            admission_is_gone(space).await?;

            controller.reset(&values).await?;
            for name in ["step", "back", "idle"] {
                space
                    .until(name, "adopted again", SOON, |rollout: &Rollout| {
                        (rollout.phase() == "Stable" && rollout.text("/stable/tag") == "v1").then_some(())
                    })
                    .await?;
                left(space, name, &pods[name], name != "idle").await?;
            }
            // A push of stable's template ends a pause, as it ends a hold.
            step.push(&step.demo).await?;
            step.until("stable and released", |rollout| rollout.complete("v1").then_some(())).await?;
            let deployment = space.api::<Deployment>().get("step").await?;
            assert_eq!(held(&deployment), Some(false), "released");
            assert_eq!(pods_of(space, "step", 2).await?, pods["step"], "no pod was started");
            step.stop().await.nothing_failed("step");
            back.stop().await.only_bad_answers("back");
            idle.stop().await.nothing_failed("idle");
            Ok(())
        })
        .await
    })
    .await
}

/// Checks that nothing of Steelyard's admission is left.
async fn admission_is_gone(space: &Space) -> Result<(), Failure> {
    let params = ListParams::default().labels("app.kubernetes.io/name=steelyard");
    let validating = Api::<ValidatingAdmissionPolicy>::all(space.client()).list(&params).await?;
    assert!(validating.items.is_empty(), "{validating:?}");
    let mutating =
        ["get", "mutatingadmissionpolicies", "-l", "app.kubernetes.io/name=steelyard", "-o", "name"];
    assert_eq!(space.kubectl(&mutating).await?, "", "no MutatingAdmissionPolicy");
    // A dry run stores nothing.
    let dry = "--dry-run=server";
    not_paused(space, &["patch", "deployment", "step", dry, "-o", "json", "-p", UNPAUSE]).await?;
    not_paused(space, &["set", "image", "deployment/idle", "app=demo:v3", dry, "-o", "json"]).await
}

/// Retries until the resulting Deployment is not paused: the API server applies a deleted policy a
/// little longer, and no event reports when it stops.
async fn not_paused(space: &Space, tried: &[&str]) -> Result<(), Failure> {
    asked(&format!("no longer held: {tried:?}"), SOON, async || {
        // A policy that is still in effect may also deny the write.
        let Ok(answer) = space.kubectl(tried).await else { return Ok(None) };
        let made: Value = serde_json::from_str(&answer)?;
        Ok((made["spec"]["paused"] != json!(true)).then_some(()))
    })
    .await
}

/// `kubectl rollout resume` has no dry run; this is the patch that it sends.
const UNPAUSE: &str = r#"{"spec":{"paused":null}}"#;
