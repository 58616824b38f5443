//! Applications during a rollout, many at a time, each under load on both paths.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use lab::load::{Load, Record, Running};
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space, Trails};

use crate::canary::{held, restarts};
use crate::{SOON, pods_of};

/// The longest time that a repeatedly disturbed rollout takes.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// One application, adopted and under load.
pub(crate) struct App<'a> {
    space: &'a Space,
    /// Its name.
    pub(crate) name: String,
    /// Its manifest as first applied.
    pub(crate) demo: Demo,
    /// The history of its objects.
    pub(crate) trails: Trails,
    replicas: usize,
    before: Vec<String>,
    route: serde_json::Value,
    selector: Option<std::collections::BTreeMap<String, String>>,
    gateway: Running,
    service: Running,
}

/// The answers that clients got.
pub(crate) struct Seen {
    /// Through the Gateway.
    pub(crate) gateway: Record,
    /// To the Service's address.
    pub(crate) service: Record,
}

impl Seen {
    /// Checks that no request failed on either path.
    pub(crate) fn nothing_failed(&self, name: &str) {
        for (way, record) in [("Gateway", &self.gateway), ("ClusterIP", &self.service)] {
            assert_eq!(record.failed(), 0, "{name} through the {way}: {record}");
        }
    }

    /// Checks that only answers of the bad version failed.
    pub(crate) fn only_own_errors(&self, name: &str) {
        for (way, record) in [("Gateway", &self.gateway), ("ClusterIP", &self.service)] {
            assert_eq!(record.lost(), 0, "{name} through the {way}: {record}");
            let stable = record.by_version().get("v1").copied().unwrap_or_default();
            assert_eq!(stable.failed, 0, "{name} through the {way}: stable returns no error");
        }
    }

    /// Checks that only answers of the bad version failed, and only through the Gateway, the only
    /// path that may lead to it.
    pub(crate) fn only_bad_answers(&self, name: &str) {
        self.only_own_errors(name);
        assert_eq!(self.service.failed(), 0, "{name} through the ClusterIP: {}", self.service);
    }
}

impl<'a> App<'a> {
    /// Serves version `v1` with this many pods, adopts it with `policy` and starts `rate` requests
    /// per second on each of the two paths.
    pub(crate) async fn start(
        space: &'a Space,
        name: &str,
        replicas: usize,
        policy: Policy,
        rate: f64,
    ) -> Result<Self, Failure> {
        let demo = Demo::new(name, "v1").replicas(i32::try_from(replicas)?);
        let (mut gateway, mut service) = space.serve(name, &demo, rate).await?;
        // Each connection is used several times a second, so that a pod that ends can close it in
        // time.
        (gateway.connections, service.connections) = (2, 2);
        let before = pods_of(space, name, replicas).await?;
        space.apply(&policy.to_string()).await?;
        space.adopt(name, name).await?;
        let trails = Trails::follow(space, name);
        let route = space.api::<HttpRoute>().get(name).await?.spec;
        let selector = selector(space, name).await?;
        let (gateway, service) = (Load::start(gateway), Load::start(service));
        let name = name.to_owned();
        Ok(Self { space, name, demo, trails, replicas, before, route, selector, gateway, service })
    }

    /// Pushes another version. Returns the time before the push.
    pub(crate) async fn push(&self, demo: &Demo) -> Result<Timestamp, Failure> {
        let pushed = Timestamp::now();
        self.space.apply(&demo.to_string()).await?;
        Ok(pushed)
    }

    /// Waits until `found` returns a value for the Rollout.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        found: impl Fn(&Rollout) -> Option<T>,
    ) -> Result<T, Failure> {
        let what = format!("{}: {what}", self.name);
        Ok(self.space.until(&self.name, &what, LIMIT, found).await?)
    }

    /// The current Rollout.
    pub(crate) async fn rollout(&self) -> Result<Rollout, Failure> {
        Ok(self.space.api::<Rollout>().get(&self.name).await?)
    }

    /// Waits until a version is handed over, and checks the result: only the measured pods were
    /// started, they serve, the Deployment is released, and Services and route are restored.
    pub(crate) async fn completes(&self, tag: &str) -> Result<Timestamp, Failure> {
        let name = &self.name;
        let at = self
            .until(&format!("{tag} stable and Complete"), |rollout| {
                rollout.complete(tag).then(Timestamp::now)
            })
            .await?;
        let after = pods_of(self.space, name, self.replicas).await?;
        assert_eq!(
            self.trails.pods(&format!("demo:{tag}")),
            after,
            "{name}: no pods besides the serving ones"
        );
        assert_eq!(restarts(self.space, &after).await?, 0, "{name}: no pod was restarted");
        assert_eq!(held(&self.deployment().await?), Some(false), "{name}: released");
        self.space.rolled_out(name, SOON).await?;
        self.is_restored().await?;
        Ok(at)
    }

    /// Waits until the canary is rolled back, and checks the result: stable's pods are unchanged,
    /// the template is held, Services and route are restored, and the weight was never raised
    /// again.
    pub(crate) async fn rolls_back(&self) -> Result<Rollout, Failure> {
        let name = &self.name;
        let rollout = self
            .until("rolled back", |rollout| (rollout.phase() == "RolledBack").then(|| rollout.clone()))
            .await?;
        assert_eq!(held(&self.deployment().await?), Some(true), "{name}: the failed template stays held");
        assert_eq!(pods_of(self.space, name, self.replicas).await?, self.before, "{name}: stable's pods");
        assert_eq!(restarts(self.space, &self.before).await?, 0, "{name}: stable's pods were not restarted");
        self.is_restored().await?;
        let weights: Vec<u64> = self.trails.weights().into_iter().map(|(_, weight)| weight).collect();
        let raised = weights.iter().skip_while(|weight| **weight == 0).skip_while(|weight| **weight > 0);
        assert!(
            raised.clone().all(|weight| *weight == 0),
            "{name}: the weight stays 0 after the rollback: {weights:?}"
        );
        Ok(rollout)
    }

    /// Stops the load. Returns the answers that clients got.
    pub(crate) async fn stop(self) -> Seen {
        let (gateway, service) = tokio::join!(self.gateway.stop(), self.service.stop());
        Seen { gateway, service }
    }

    /// Checks that Services and route are as they were before the push, without an annotation of
    /// Steelyard.
    pub(crate) async fn is_restored(&self) -> Result<(), Failure> {
        let (space, name) = (self.space, &self.name);
        assert_eq!(selector(space, name).await?, self.selector, "{name}: the Service is unpinned");
        let canary = space.api::<Service>().get_opt(&format!("{name}-canary")).await?;
        assert!(canary.is_none(), "{name}: the canary Service is gone");
        let route = space.api::<HttpRoute>().get(name).await?;
        assert_eq!(route.spec, self.route, "{name}: the route is restored");
        let marks = route.metadata.annotations.unwrap_or_default();
        assert!(!marks.keys().any(|key| key.starts_with("steelyard.io/")), "{name}: {marks:?}");
        Ok(())
    }

    async fn deployment(&self) -> Result<Deployment, Failure> {
        Ok(self.space.api::<Deployment>().get(&self.name).await?)
    }
}

async fn selector(
    space: &Space,
    name: &str,
) -> Result<Option<std::collections::BTreeMap<String, String>>, Failure> {
    let services: Api<Service> = space.api();
    Ok(services.get(name).await?.spec.and_then(|spec| spec.selector))
}
