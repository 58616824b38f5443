//! Two `HTTPRoutes` in two namespaces and a `GRPCRoute` on one Service shift together.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::runtime::watcher;
use lab::load::{Load, Plan, Record, Running};
use lab::support::turn::LONG;
use lab::support::{Demo, Failure, GrpcRoute, HttpRoute, Policy, Rollout, Space, Trail, routed, tell};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{SOON, pods_of};

/// Requests per second on each route.
const RATE: f64 = 40.0;
/// The largest time between the routes' changes of one reconcile, on a busy machine too.
const ONE_RECONCILE: Duration = Duration::from_millis(1500);

/// The three routes, with the load on each.
struct Routes {
    /// The namespace of the second `HTTPRoute`.
    edge: Space,
    web: Trail<HttpRoute>,
    front: Trail<HttpRoute>,
    calls: Trail<GrpcRoute>,
    plans: [Plan; 3],
}

impl Routes {
    /// Serves `demo:v1` on all three, and adopts it.
    async fn begin(space: &Space) -> Result<Self, Failure> {
        let demo = Demo::new("web", "v1");
        let (web, _) = space.serve("web", &demo, RATE).await?;
        let edge = Space::fresh(&format!("{}-edge", space.name())).await?;
        let (own, other) = (space.name(), edge.name());
        space
            .apply(&format!(
                r#"apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{name: routes}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {other}}}]
  to: [{{group: "", kind: Service}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: calls}}
spec:
  hostnames: ["calls.{own}.example"]
  parentRefs: [{{name: lab, namespace: lab-system}}]
  rules:
  - backendRefs: [{{name: web, port: 80}}]
"#
            ))
            .await?;
        edge.apply(&format!(
            r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: front}}
spec:
  hostnames: ["front.{own}.example"]
  parentRefs: [{{name: lab, namespace: lab-system}}]
  rules:
  - backendRefs: [{{name: web, namespace: {own}, port: 80, weight: 7}}]
"#
        ))
        .await?;
        let front = web.clone().host(&format!("front.{own}.example"));
        let calls = web.clone().host(&format!("calls.{own}.example")).grpc("/demo.Demo/Work");
        let plans = [web, front, calls];
        for plan in &plans {
            routed(plan, SOON).await?;
        }
        space.apply(&Policy::new("web").step(25, 3).step(50, 3).measured().to_string()).await?;
        space.adopt("web", "web").await?;
        Ok(Self {
            web: one(space, "web"),
            calls: one(space, "calls"),
            front: one(&edge, "front"),
            edge,
            plans,
        })
    }

    fn load(&self) -> Vec<Running> {
        self.plans.iter().map(|plan| Load::start(plan.clone())).collect()
    }

    /// The canary's weights written to each route, in percent.
    fn weights(&self) -> [Vec<(Timestamp, u64)>; 3] {
        let canary = "web-canary";
        [
            self.web.changes(|route| route.percent(canary)),
            self.front.changes(|route| route.percent(canary)),
            self.calls.changes(|route| route.percent(canary)),
        ]
    }

    async fn specs(&self, space: &Space) -> Result<[Value; 3], Failure> {
        Ok([
            space.api::<HttpRoute>().get("web").await?.spec,
            self.edge.api::<HttpRoute>().get("front").await?.spec,
            space.api::<GrpcRoute>().get("calls").await?.spec,
        ])
    }
}

fn one<K>(space: &Space, name: &str) -> Trail<K>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    Trail::follow(space, watcher::Config::default().fields(&format!("metadata.name={name}")))
}

async fn stopped(loads: Vec<Running>) -> Vec<Record> {
    let mut records = Vec::new();
    for load in loads {
        records.push(load.stop().await);
    }
    records
}

/// The first time after `since` when each route had this weight.
fn when(weights: &[Vec<(Timestamp, u64)>; 3], percent: u64, since: Timestamp) -> Vec<Timestamp> {
    let first = |weights: &Vec<(Timestamp, u64)>| {
        weights.iter().find(|(at, weight)| *at > since && *weight == percent).map(|(at, _)| *at)
    };
    let found: Vec<_> = weights.iter().filter_map(first).collect();
    assert_eq!(found.len(), 3, "{percent} % on each route: {weights:?}");
    found
}

fn spread(times: &[Timestamp]) -> Duration {
    let (first, last) = (times.iter().min().expect("a time"), times.iter().max().expect("a time"));
    last.duration_since(*first).unsigned_abs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_of_two_kinds_and_two_namespaces_shift_together() -> Result<(), Failure> {
    Space::run("together", async |space| {
        let routes = Routes::begin(space).await?;
        let before = routes.specs(space).await?;

        // A good release.
        let loads = routes.load();
        let pushed = Timestamp::now();
        space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
        let complete = |rollout: &Rollout| rollout.complete("v2").then_some(());
        space.until("web", "v2 stable and Complete", LONG, complete).await?;
        pods_of(space, "web", 4).await?;
        for (record, name) in stopped(loads).await.iter().zip(["web", "front", "calls"]) {
            tell(format_args!("{name}: {record}"));
            assert_eq!(record.failed(), 0, "{name}: {record}");
            assert!(record.by_version().contains_key("v2"), "{name}: {record}");
        }
        let weights = routes.weights();
        for percent in [25, 50, 100] {
            let apart = spread(&when(&weights, percent, pushed));
            assert!(apart < ONE_RECONCILE, "{percent} % within {apart:?}: {weights:?}");
        }
        assert_eq!(routes.specs(space).await?, before, "the routes are restored");

        // A bad release.
        let loads = routes.load();
        let pushed = Timestamp::now();
        let bad = Demo::new("web", "v3").env("ERROR_RATE", "1");
        space.apply(&bad.to_string()).await?;
        let held = |rollout: &Rollout| (rollout.phase() == "RolledBack").then(|| rollout.clone());
        let rollout = space.until("web", "v3 rolled back", LONG, held).await?;
        assert_eq!(rollout.text("/failure/reason"), "MetricFailed");
        let weights = routes.weights();
        let raised = *when(&weights, 25, pushed).iter().max().expect("a time");
        let back = when(&weights, 0, raised);
        tell(format_args!("weight 0 on all three routes within {:?}", spread(&back)));
        assert!(spread(&back) < ONE_RECONCILE, "{weights:?}");
        for record in stopped(loads).await {
            assert!(record.by_version().contains_key("v3"), "{record}");
        }
        assert_eq!(routes.specs(space).await?, before, "the routes are restored");
        Ok(routes.edge.delete().await?)
    })
    .await
}
