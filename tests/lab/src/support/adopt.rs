//! Steps that are common to tests of rollouts.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::runtime::watcher;

use super::trail::Trail;
use super::{Demo, Failure, HttpRoute, Rollout, Space, SupportError, routed};
use crate::load::Plan;

/// How long adoption may take.
const LIMIT: Duration = Duration::from_mins(1);

/// What a test of a rollout observes from before the push: the Rollout, the route and the pods.
#[derive(Debug)]
pub struct Trails {
    /// The Rollout.
    pub rollout: Trail<Rollout>,
    /// The `HTTPRoute`.
    pub route: Trail<HttpRoute>,
    /// The pods with label `app=NAME`.
    pub pods: Trail<Pod>,
    name: String,
}

impl Trails {
    /// Follows the objects of the Deployment of this name.
    pub fn follow(space: &Space, name: &str) -> Self {
        let one = || watcher::Config::default().fields(&format!("metadata.name={name}"));
        Self {
            rollout: Trail::follow(space, one()),
            route: Trail::follow(space, one()),
            pods: Trail::follow(space, watcher::Config::default().labels(&format!("app={name}"))),
            name: name.to_owned(),
        }
    }

    /// Returns the canary's weights on the route, in percent, in the order in which they were seen.
    pub fn weights(&self) -> Vec<(jiff::Timestamp, u64)> {
        self.route.changes(|route| self.weight(route))
    }

    /// Returns the canary's weight on this state of the route, in percent.
    pub fn weight(&self, route: &HttpRoute) -> u64 {
        route.percent(&format!("{}-canary", self.name))
    }

    /// Returns the names of all pods that were ever seen with this image, sorted.
    pub fn pods(&self, image: &str) -> Vec<String> {
        let seen = self.pods.all();
        let of_image = seen.iter().filter(|seen| runs(&seen.object, image));
        let names: std::collections::BTreeSet<String> = of_image.map(|seen| seen.object.name_any()).collect();
        names.into_iter().collect()
    }
}

/// Returns whether a pod has a container of this image.
pub fn runs(pod: &Pod, image: &str) -> bool {
    let spec = pod.spec.as_ref();
    spec.is_some_and(|spec| spec.containers.iter().any(|c| c.image.as_deref() == Some(image)))
}

/// Returns the image tag of a pod's first container.
pub(super) fn tag_of(pod: &Pod) -> Option<&str> {
    let image = pod.spec.as_ref()?.containers.first()?.image.as_deref()?;
    image.split_once(':').map(|(_, tag)| tag)
}

impl Space {
    /// Applies the demo app's manifests and waits until it is rolled out and answers through the
    /// Gateway. Returns the plans of a load through the Gateway and of one to the Service's
    /// `ClusterIP`, `rate` requests per second each.
    pub async fn serve(&self, name: &str, demo: &Demo, rate: f64) -> Result<(Plan, Plan), Failure> {
        self.apply(&demo.manifest(self.name())).await?;
        self.rolled_out(name, LIMIT).await?;
        let gateway = std::env::var("LAB_GATEWAY")?;
        let through_gateway = Plan::new(&gateway, rate)?.host(&demo.host(self.name()));
        let address = self
            .until(name, "an address of the Service", LIMIT, |service: &Service| {
                service.spec.as_ref()?.cluster_ip.clone()
            })
            .await?;
        let through_service = Plan::new(&format!("http://{address}"), rate)?;
        routed(&through_gateway, LIMIT).await?;
        routed(&through_service, LIMIT).await?;
        Ok((through_gateway, through_service))
    }

    /// Annotates a Deployment with a policy, and waits until Steelyard has adopted it and will hold
    /// its next change.
    pub async fn adopt(&self, name: &str, policy: &str) -> Result<Rollout, SupportError> {
        let annotation = format!("steelyard.io/policy={policy}");
        self.kubectl(&["annotate", "--overwrite", "deployment", name, &annotation]).await?;
        self.until(
            name,
            "the Deployment adopted: Stable, Accepted, HoldEnforced",
            LIMIT,
            |rollout: &Rollout| {
                let adopted =
                    rollout.phase() == "Stable" && rollout.holds("Accepted") && rollout.holds("HoldEnforced");
                adopted.then(|| rollout.clone())
            },
        )
        .await
    }

    /// Waits until the canary Service of `name` has this weight on the route, in percent.
    pub async fn weight(&self, name: &str, percent: u64, limit: Duration) -> Result<(), SupportError> {
        let canary = format!("{name}-canary");
        let what = format!("weight {percent} on the route");
        self.until(name, &what, limit, |route: &HttpRoute| (route.percent(&canary) == percent).then_some(()))
            .await
    }
}
