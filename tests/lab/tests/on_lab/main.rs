//! Tests on the lab: `cargo lab test [FILTER]` runs them in it, each in a separate namespace.

mod agent;
mod blue_green;
mod canary;
mod cases;
mod docs;
mod faults;
mod gates;
mod handover;
mod input;
mod kills;
mod metrics;
mod native;
mod people;
mod pods;
mod queue;
mod reaction;
mod rollout;
mod routes;
mod stuck;
mod turns;
mod volumes;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use lab::support::{Space, SupportError};

/// The longest time of something that is normally quick, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The status of a pod's first container.
pub(crate) fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

/// Returns whether a condition of a pod is true.
pub(crate) fn holds(pod: &Pod, kind: &str) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Waits until a pod is ready.
pub(crate) async fn ready(space: &Space, pod: &str) -> Result<Pod, SupportError> {
    let what = format!("pod {pod} ready");
    space.until(pod, &what, SOON, |pod: &Pod| holds(pod, "Ready").then(|| pod.clone())).await
}

/// Waits until this many pods with label `app=APP` are ready. Returns the names of these pods.
pub(crate) async fn pods_of(space: &Space, app: &str, count: usize) -> Result<Vec<String>, SupportError> {
    let which = kube::runtime::watcher::Config::default().labels(&format!("app={app}"));
    let what = format!("{count} ready pods of {app}");
    space
        .until_all(which, &what, SOON, |pods: &std::collections::BTreeMap<String, Pod>| {
            let ready: Vec<String> =
                pods.iter().filter(|(_, pod)| holds(pod, "Ready")).map(|(name, _)| name.clone()).collect();
            (ready.len() == count).then_some(ready)
        })
        .await
}
