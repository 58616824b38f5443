//! Reads the objects of one Deployment.

use std::time::Duration;

use k8s_openapi::api::{apps, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    core::Status,
};

use super::{PluginError, connect::Cluster};
use crate::{api::Rollout, cluster::read, view::Facts};

/// The timeout of one request.
const LIMIT: Duration = Duration::from_secs(15);

/// Reads the objects of a Deployment. The Deployment is read before the Rollout, so that the status
/// is never older than the template it is compared with.
pub(super) async fn read(cluster: &Cluster, name: &str) -> Result<Facts, PluginError> {
    let namespace = cluster.namespace.as_str();
    let raw = |resource: &ApiResource| {
        Api::<DynamicObject>::namespaced_with(cluster.client.clone(), namespace, resource)
    };
    let deployments = raw(&ApiResource::erase::<apps::v1::Deployment>(&()));
    let deployment = call("get", "Deployment", name, deployments.get_opt(name)).await?;
    let rollout = present(call("get", "Rollout", name, rollouts(cluster).get(name)).await)?;
    let deployment = deployment.and_then(|object| serde_json::to_value(object).ok());
    let selector = deployment.as_ref().and_then(|object| read::selector(&object["spec"]["selector"]));
    let Some(selector) = selector else {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        return Ok(Facts { namespace, name, deployment, rollout, ..Facts::default() });
    };
    // The canary's ReplicaSet does not match the selector before the handover, so ReplicaSets are
    // found by owner.
    let sets = raw(&ApiResource::erase::<apps::v1::ReplicaSet>(&()));
    let sets = call("list", "ReplicaSets", "", sets.list(&ListParams::default())).await?;
    let chosen = ListParams::default().labels(&selector);
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), namespace);
    let pods = call("list", "pods", "", pods.list(&chosen)).await?;
    let uids: Vec<String> = deployment
        .as_ref()
        .and_then(|object| object["metadata"]["uid"].as_str().map(str::to_owned))
        .into_iter()
        .chain(rollout.as_ref().and_then(|rollout| rollout.metadata.uid.clone()))
        .collect();
    let replica_sets = sets
        .into_iter()
        .filter(|set| {
            set.owner_references().iter().any(|o| o.controller == Some(true) && uids.contains(&o.uid))
        })
        .filter_map(|set| serde_json::to_value(set).ok())
        .collect();
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Ok(Facts { namespace, name, deployment, rollout, replica_sets, pods: pods.items })
}

/// Returns the API for Rollouts in the selected namespace.
pub(super) fn rollouts(cluster: &Cluster) -> Api<Rollout> {
    Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

/// Sends a request with a timeout. Errors name the request.
pub(super) async fn call<T>(
    verb: &'static str,
    kind: &'static str,
    name: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, PluginError> {
    let object = format!("{kind} {name}").trim_end().to_owned();
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // Without the CRDs, the API server does not serve the kind: this is not a missing object.
        Ok(Err(kube::Error::Api(status))) if unknown_kind(&status) => Err(PluginError::NotInstalled),
        Ok(Err(source)) => Err(PluginError::Call { verb, object, source: Box::new(source) }),
        Err(_) => Err(PluginError::Timeout { verb, object, limit: LIMIT }),
    }
}

/// Turns a missing object into `None`.
fn present<T>(answer: Result<T, PluginError>) -> Result<Option<T>, PluginError> {
    match answer {
        Err(PluginError::Call { source, .. }) if matches!(&*source, kube::Error::Api(s) if s.is_not_found()) => {
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Returns whether the kind is missing: otherwise a 404 names the object.
fn unknown_kind(status: &Status) -> bool {
    status.is_not_found() && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}
