//! What is read of the cluster around one Deployment.

use std::time::Duration;

use k8s_openapi::api::{apps, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    core::Status,
};
use serde_json::Value;

use super::{PluginError, connect::Cluster};
use crate::{
    api::{HASH, HELD, POLICY, Rollout},
    cluster::read,
};

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(15);

/// What is read of the cluster around one Deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// The namespace.
    pub namespace: String,
    /// The name of the Deployment and of its Rollout.
    pub name: String,
    /// The Deployment, raw: its template is compared, and typed structs drop what they don't know.
    pub deployment: Option<Value>,
    /// Its Rollout.
    pub rollout: Option<Rollout>,
    /// All `ReplicaSets` of the Deployment or of the Rollout, raw.
    pub replica_sets: Vec<Value>,
    /// The pods that the Deployment's selector matches.
    pub pods: Vec<Pod>,
}

impl World {
    /// Reads it: the Deployment before the Rollout, so that a status is never older than the template it is held against.
    pub(super) async fn read(cluster: &Cluster, name: &str) -> Result<Self, PluginError> {
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
            return Ok(Self { namespace, name, deployment, rollout, ..Self::default() });
        };
        // The canary's own labels stay off the selector until the handover, so ReplicaSets are found by their owners.
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
        Ok(Self { namespace, name, deployment, rollout, replica_sets, pods: pods.items })
    }

    /// The Deployment's pod template.
    pub(super) fn template(&self) -> Option<&Value> {
        self.deployment.as_ref()?.pointer("/spec/template")
    }

    /// The Deployment's generation.
    pub(super) fn generation(&self) -> i64 {
        self.deployment.as_ref().and_then(|d| d["metadata"]["generation"].as_i64()).unwrap_or(0)
    }

    /// Whether the Deployment's template is held: paused, with our label.
    pub(super) fn held(&self) -> bool {
        let Some(deployment) = &self.deployment else { return false };
        deployment.pointer("/spec/paused") == Some(&Value::Bool(true))
            && deployment["metadata"]["labels"].get(HELD).is_some()
    }

    /// The policy that the Deployment's annotation names.
    pub(super) fn policy(&self) -> Option<&str> {
        self.deployment.as_ref()?["metadata"]["annotations"].get(POLICY)?.as_str()
    }

    /// The template of a `ReplicaSet`, without the label that tells versions apart.
    pub(super) fn template_of(&self, replica_set: &str) -> Option<Value> {
        let set = self.replica_sets.iter().find(|set| set["metadata"]["name"] == replica_set)?;
        let mut template = set.pointer("/spec/template")?.clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH);
        }
        Some(template)
    }
}

/// The Rollouts of the namespace that is meant.
pub(super) fn rollouts(cluster: &Cluster) -> Api<Rollout> {
    Api::namespaced(cluster.client.clone(), &cluster.namespace)
}

/// Makes a call, bounded in time, and names it if it fails.
pub(super) async fn call<T>(
    verb: &'static str,
    kind: &'static str,
    name: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, PluginError> {
    let object = format!("{kind} {name}").trim_end().to_owned();
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // Without the definitions the API server doesn't know the kind: that is no missing object.
        Ok(Err(kube::Error::Api(status))) if unknown_kind(&status) => Err(PluginError::NotInstalled),
        Ok(Err(source)) => Err(PluginError::Call { verb, object, source: Box::new(source) }),
        Err(_) => Err(PluginError::Timeout { verb, object, limit: LIMIT }),
    }
}

/// What isn't there is no error.
fn present<T>(answer: Result<T, PluginError>) -> Result<Option<T>, PluginError> {
    match answer {
        Err(PluginError::Call { source, .. }) if matches!(&*source, kube::Error::Api(s) if s.is_not_found()) => {
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// The API server's answer names the object, unless it doesn't know the kind.
fn unknown_kind(status: &Status) -> bool {
    status.is_not_found() && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}
