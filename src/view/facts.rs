//! The objects of one Deployment, as read from the cluster.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::api::{HASH, HELD, POLICY, Rollout};

/// The objects of one Deployment, as read from the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The namespace.
    pub namespace: String,
    /// The name of the Deployment and of its Rollout.
    pub name: String,
    /// The Deployment, as raw JSON: its template is compared, and typed structs drop unknown
    /// fields.
    pub deployment: Option<Value>,
    /// Its Rollout.
    pub rollout: Option<Rollout>,
    /// The `ReplicaSets` that the Deployment or the Rollout owns, as raw JSON.
    pub replica_sets: Vec<Value>,
    /// The pods that match the Deployment's selector.
    pub pods: Vec<Pod>,
}

impl Facts {
    /// Returns the Deployment's pod template.
    pub(crate) fn template(&self) -> Option<&Value> {
        self.deployment.as_ref()?.pointer("/spec/template")
    }

    /// Returns the Deployment's generation.
    pub(crate) fn generation(&self) -> i64 {
        self.deployment.as_ref().and_then(|d| d["metadata"]["generation"].as_i64()).unwrap_or(0)
    }

    /// Returns whether the Deployment is held: paused and labeled `steelyard.io/held`.
    pub(crate) fn held(&self) -> bool {
        let Some(deployment) = &self.deployment else { return false };
        deployment.pointer("/spec/paused") == Some(&Value::Bool(true))
            && deployment["metadata"]["labels"].get(HELD).is_some()
    }

    /// Returns the policy that the Deployment's annotation names.
    pub(crate) fn policy(&self) -> Option<&str> {
        let name = self.deployment.as_ref()?["metadata"]["annotations"].get(POLICY)?.as_str()?.trim();
        (!name.is_empty()).then_some(name)
    }

    /// Returns the template of a `ReplicaSet`, without the label `pod-template-hash`.
    pub(crate) fn template_of(&self, replica_set: &str) -> Option<Value> {
        let set = self.replica_sets.iter().find(|set| set["metadata"]["name"] == replica_set)?;
        let mut template = set.pointer("/spec/template")?.clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH);
        }
        Some(template)
    }
}
