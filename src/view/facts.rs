//! What was read of the cluster around one Deployment.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::api::{HASH, HELD, POLICY, Rollout};

/// What was read of the cluster around one Deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
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

impl Facts {
    /// The Deployment's pod template.
    pub(crate) fn template(&self) -> Option<&Value> {
        self.deployment.as_ref()?.pointer("/spec/template")
    }

    /// The Deployment's generation.
    pub(crate) fn generation(&self) -> i64 {
        self.deployment.as_ref().and_then(|d| d["metadata"]["generation"].as_i64()).unwrap_or(0)
    }

    /// Whether the Deployment's template is held: paused, with our label.
    pub(crate) fn held(&self) -> bool {
        let Some(deployment) = &self.deployment else { return false };
        deployment.pointer("/spec/paused") == Some(&Value::Bool(true))
            && deployment["metadata"]["labels"].get(HELD).is_some()
    }

    /// The policy that the Deployment's annotation names.
    pub(crate) fn policy(&self) -> Option<&str> {
        self.deployment.as_ref()?["metadata"]["annotations"].get(POLICY)?.as_str()
    }

    /// The template of a `ReplicaSet`, without the label that tells versions apart.
    pub(crate) fn template_of(&self, replica_set: &str) -> Option<Value> {
        let set = self.replica_sets.iter().find(|set| set["metadata"]["name"] == replica_set)?;
        let mut template = set.pointer("/spec/template")?.clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH);
        }
        Some(template)
    }
}
