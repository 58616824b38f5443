//! A good release, from the push to the handover.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use lab::load::Load;
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space, SupportError, Trails, tell};

use crate::{SOON, container, pods_of};

/// The longest time that a rollout of two short steps takes, on a busy machine too.
pub(crate) const ROLLOUT: Duration = Duration::from_mins(2);
/// Requests per second on each of the two paths (Gateway and `ClusterIP`).
const RATE: f64 = 50.0;

/// Returns whether a Deployment is held (paused and labeled); `None` if only one of the two is set.
pub(crate) fn held(deployment: &Deployment) -> Option<bool> {
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    let label = deployment.labels().contains_key("steelyard.io/held");
    (paused == label).then_some(paused)
}

/// The number of restarts of the containers of these pods.
pub(crate) async fn restarts(space: &Space, pods: &[String]) -> Result<i32, Failure> {
    let mut restarts = 0;
    for name in pods {
        let pod = space.api::<Pod>().get(name).await?;
        restarts += container(&pod).map_or(0, |status| status.restart_count);
    }
    Ok(restarts)
}

/// Waits until a failed revision has no traffic and no pods.
pub(crate) async fn rolled_back(space: &Space) -> Result<Rollout, SupportError> {
    space
        .until("web", "rolled back", ROLLOUT, |rollout: &Rollout| {
            (rollout.phase() == "RolledBack").then(|| rollout.clone())
        })
        .await
}

/// Checks that a rejected template is still held and serves nowhere.
pub(crate) async fn still_held(space: &Space, before: &[String]) -> Result<(), Failure> {
    let deployment = space.api::<Deployment>().get("web").await?;
    assert_eq!(held(&deployment), Some(true), "the failed template stays held");
    assert_eq!(space.api::<HttpRoute>().get("web").await?.percent("web-canary"), 0);
    assert_eq!(pods_of(space, "web", 4).await?, before, "stable's pods were not touched");
    assert_eq!(restarts(space, before).await?, 0, "stable's pods were not restarted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_release_passes_each_step_and_keeps_its_pods() -> Result<(), Failure> {
    Space::run("good-release", async |space| {
        let demo = Demo::new("web", "v1");
        let (gateway, service) = space.serve("web", &demo, RATE).await?;
        let before = pods_of(space, "web", 4).await?;
        space.apply(&Policy::new("web").step(25, 3).step(50, 3).measured().to_string()).await?;
        let rollout = space.adopt("web", "web").await?;
        assert_eq!(rollout.text("/stable/tag"), "v1");
        assert_eq!(pods_of(space, "web", 4).await?, before, "adopting starts no pod");
        assert_eq!(restarts(space, &before).await?, 0, "adopting restarts no pod");
        let route = space.api::<HttpRoute>().get("web").await?.spec;
        let selector = |service: Service| service.spec.and_then(|spec| spec.selector);
        let services: Api<Service> = space.api();
        let selected = selector(services.get("web").await?);

        let trails = Trails::follow(space, "web");
        let (gateway, service) = (Load::start(gateway), Load::start(service));
        let pushed = Timestamp::now();
        space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
        let deployment = space.api::<Deployment>().get("web").await?;
        assert_eq!(
            held(&deployment),
            Some(true),
            "paused and labeled by the write that changed the template"
        );

        space.weight("web", 25, ROLLOUT).await?;
        space.weight("web", 50, ROLLOUT).await?;
        let done = space
            .until("web", "v2 stable and Complete", ROLLOUT, |rollout: &Rollout| {
                rollout.complete("v2").then(Timestamp::now)
            })
            .await?;
        tell(format_args!("Complete {:#} after the push", done - pushed));
        let after = pods_of(space, "web", 4).await?;
        // The old pods are gone, so no more requests can fail on them.
        let (gateway, service) = (gateway.stop().await, service.stop().await);

        let weights: Vec<u64> = trails.weights().into_iter().map(|(_, weight)| weight).collect();
        tell(format_args!("weights on the route: {weights:?}"));
        let steps = weights.iter().filter(|weight| (1..100).contains(*weight)).collect::<Vec<_>>();
        assert_eq!(steps, [&25, &50], "{weights:?}");
        let canary_pod = trails
            .pods
            .all()
            .into_iter()
            .find(|seen| before.iter().all(|name| *name != seen.object.name_any()))
            .expect("a canary pod");
        tell(format_args!("canary pod created {:#} after the push", canary_pod.at - pushed));
        assert_eq!(trails.pods("demo:v2"), after, "the measured pods serve and no other pod was started");
        assert_eq!(restarts(space, &after).await?, 0, "the handover restarts no pod");
        for (way, record) in [("Gateway", &gateway), ("ClusterIP", &service)] {
            tell(format_args!("through the {way}: {record}"));
            assert_eq!(record.failed(), 0, "through the {way}: {record}");
            assert!(record.requests() > 500, "through the {way}: {record}");
            assert!(record.by_version().contains_key("v2"), "through the {way}: {record}");
        }
        let (first, _) = trails.weights().into_iter().find(|(_, weight)| *weight > 0).expect("a weight");
        assert!(gateway.first("v2").expect("v2 answered") > pushed, "v2 answers only after the push");
        assert!(
            service.first("v2").expect("v2 answered") > first,
            "the pinned Service sends nothing to the canary"
        );

        let deployment = space.api::<Deployment>().get("web").await?;
        assert_eq!(held(&deployment), Some(false), "released");
        space.rolled_out("web", SOON).await?;
        assert_eq!(selector(services.get("web").await?), selected, "the Service is unpinned");
        assert!(services.get_opt("web-canary").await?.is_none(), "the canary Service is gone");
        assert_eq!(space.api::<HttpRoute>().get("web").await?.spec, route, "the route is restored");
        owned(space, &deployment, &after).await
    })
    .await
}

/// Checks that the pods belong to one `ReplicaSet`, which the Deployment owns and which runs the
/// new image.
async fn owned(space: &Space, deployment: &Deployment, pods: &[String]) -> Result<(), Failure> {
    let mut sets = BTreeSet::new();
    for name in pods {
        let pod = space.api::<Pod>().get(name).await?;
        sets.insert(pod.owner_references().first().expect("an owner").name.clone());
    }
    assert_eq!(sets.len(), 1, "{sets:?}");
    let all: Vec<ReplicaSet> = space.api::<ReplicaSet>().list(&ListParams::default()).await?.items;
    let by_name: BTreeMap<String, ReplicaSet> = all.into_iter().map(|set| (set.name_any(), set)).collect();
    let set = &by_name[sets.first().expect("a ReplicaSet")];
    let owner = set.owner_references().iter().find(|owner| owner.controller == Some(true)).expect("an owner");
    assert_eq!(Some(&owner.uid), deployment.metadata.uid.as_ref(), "the Deployment owns it");
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    assert_eq!(template.and_then(|spec| spec.containers[0].image.as_deref()), Some("demo:v2"));
    for (name, set) in by_name.iter().filter(|(name, _)| !sets.contains(*name)) {
        assert_eq!(set.spec.as_ref().and_then(|spec| spec.replicas), Some(0), "{name}");
    }
    Ok(())
}
