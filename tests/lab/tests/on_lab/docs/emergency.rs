//! docs/troubleshooting.md: the manual steps when Steelyard disappears during a rollout.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::ListParams;
use lab::load::{Load, Running};
use lab::paths::repository;
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space, asked};

use super::By;
use super::run::Lines;
use crate::canary::{ROLLOUT, held};
use crate::kills::controller::Controller;

/// Requests per second on each path.
const RATE: f64 = 20.0;
/// The time span of the answers that count as current.
const LATELY: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_the_emergency_steps_lose_no_request_and_steelyard_cleans_up_later() -> Result<(), Failure> {
    Space::run("emergency", async |space| {
        let lines = Lines::of(By::Emergency, space, &repository()).await?;
        Controller::with(space, &[], async |controller| {
            let demo = Demo::new("web", "v1").replicas(2).linger(4);
            let (mut gateway, mut service) = space.serve("web", &demo, RATE).await?;
            (gateway.connections, service.connections) = (2, 2);
            space.apply(&Policy::new("web").step(25, 200).to_string()).await?;
            space.adopt("web", "web").await?;
            let route = space.api::<HttpRoute>().get("web").await?.spec;
            let (gateway, service) = (Load::start(gateway), Load::start(service));
            space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
            space.weight("web", 25, ROLLOUT).await?;
            controller.space.kubectl(&["scale", "deployment", "steelyard", "--replicas=0"]).await?;
            controller.pods(0).await?;

            let mut lines = lines;
            let page = "docs/troubleshooting.md";
            for begin in [
                "kubectl patch httproute",
                "kubectl patch service",
                "kubectl label",
                "kubectl rollout resume",
            ] {
                lines.run(page, begin).await?;
            }
            lines.done();
            space.rolled_out("web", ROLLOUT).await?;
            assert_eq!(held(&space.api::<Deployment>().get("web").await?), Some(false), "released");
            // The router and kube-proxy apply the change later than the Deployment reports it.
            let serves = |load: &Running| load.recent(LATELY).share("v2") == Some(1.0);
            asked("only v2 on both paths", ROLLOUT, async || {
                Ok((serves(&gateway) && serves(&service)).then_some(()))
            })
            .await?;
            let (gateway, service) = (gateway.stop().await, service.stop().await);
            for (way, record) in [("Gateway", &gateway), ("ClusterIP", &service)] {
                assert_eq!(record.failed(), 0, "through the {way}: {record}");
            }

            controller.space.kubectl(&["scale", "deployment", "steelyard", "--replicas=1"]).await?;
            let serves = |rollout: &Rollout| {
                (rollout.phase() == "Stable" && rollout.text("/stable/tag") == "v2").then_some(())
            };
            space.until("web", "v2 is stable", ROLLOUT, serves).await?;
            let ours = ListParams::default().labels("steelyard.io/rollout");
            let sets = space.api::<ReplicaSet>().list(&ours).await?;
            assert!(
                sets.items.is_empty(),
                "{:?}",
                sets.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            );
            assert!(
                space.api::<Service>().get_opt("web-canary").await?.is_none(),
                "the canary Service is gone"
            );
            assert_eq!(space.api::<HttpRoute>().get("web").await?.spec, route, "the route is restored");
            Ok(())
        })
        .await
    })
    .await
}
