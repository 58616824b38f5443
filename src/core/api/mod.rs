//! The kinds of `steelyard.io/v1alpha1`, as users write and read them. Types only: behavior is in
//! `engine`.

mod condition;
mod lost;
pub mod policy;
pub mod rollout;

pub use condition::{condition_with, set_condition};
pub use lost::{Awaited, Lost};
pub use policy::*;
pub use rollout::*;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::Value;

/// The API group of all kinds, and the prefix of every label and annotation.
pub const GROUP: &str = "steelyard.io";
/// Annotation on a Deployment: its policy, `NAME` or `cluster/NAME`.
pub const POLICY: &str = "steelyard.io/policy";
/// Annotation on a Deployment: the Services that routes send traffic to, separated by commas.
pub const SERVICES: &str = "steelyard.io/services";
/// Label on a Deployment whose template is held.
pub const HELD: &str = "steelyard.io/held";
/// Label on a Deployment, annotation on other objects: the leadership epoch that wrote it last.
pub const EPOCH: &str = "steelyard.io/epoch";
/// Annotation on a route or a Service: the revision that was rolled back.
pub const FAILED: &str = "steelyard.io/failed";
/// Annotation beside [`FAILED`]: why it was rolled back.
pub const FAILURE: &str = "steelyard.io/failure";
/// Label on a Service: the Service whose canary it is.
pub const CANARY_OF: &str = "steelyard.io/canary-of";
/// Label on a Service that carries no traffic of clients, such as one for scraping or for the
/// discovery of peers: rollouts leave it alone, whatever its value.
pub const IGNORE: &str = "steelyard.io/ignore";
/// Label on objects that Steelyard creates: the Rollout they belong to.
pub const ROLLOUT: &str = "steelyard.io/rollout";
/// The label by which the Deployment controller and Steelyard distinguish versions.
pub const HASH: &str = "pod-template-hash";
/// Finalizer of a Rollout while a rollout is in progress.
pub const FINALIZER: &str = "steelyard.io/in-flight";

/// Returns the policy that a Deployment with these annotations names; `None` if Steelyard does not
/// manage it. An empty value names none, as an annotation of a Helm chart without a value.
///
/// The admission policies have the same rule (`charts/steelyard/templates/hold.yaml`).
pub fn policy_name(annotations: &BTreeMap<String, String>) -> Option<&str> {
    annotations.get(POLICY).map(|name| name.trim()).filter(|name| !name.is_empty())
}

/// Returns all CRDs, in the order in which they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![plainly(RolloutPolicy::crd()), plainly(ClusterRolloutPolicy::crd()), plainly(Rollout::crd())]
}

/// Removes the formats of Rust's unsigned integers: Kubernetes does not know them and prints a
/// warning at each apply. The schema has their bounds.
fn plainly(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let Ok(mut raw) = serde_json::to_value(&crd) else { return crd };
    without_unsigned(&mut raw);
    serde_json::from_value(raw).unwrap_or(crd)
}

fn without_unsigned(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(without_unsigned);
        }
        Value::Array(items) => items.iter_mut().for_each(without_unsigned),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects the paths of fields without a description.
    fn silent(schema: &Value, path: &str, found: &mut Vec<String>) {
        let children = schema["properties"].as_object();
        for (name, child) in children.into_iter().flatten() {
            let path = format!("{path}.{name}");
            let said = child["description"].as_str().unwrap_or_default();
            if !said.ends_with('.') {
                found.push(format!("{path}: {said:?}"));
            }
            silent(child, &path, found);
        }
        for inner in ["items", "additionalProperties"].iter().filter_map(|inner| schema.get(inner)) {
            silent(inner, path, found);
        }
    }

    #[test]
    fn every_field_has_a_sentence_for_kubectl_explain() {
        let mut found = Vec::new();
        for crd in crds() {
            let crd = serde_json::to_value(crd).unwrap();
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                silent(&schema["properties"][part], part, &mut found);
            }
        }
        found.sort();
        found.dedup();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn definitions_use_no_format_that_kubernetes_does_not_know() {
        let text = serde_json::to_string(&crds()).unwrap();
        assert!(text.contains("date-time") && !text.contains("\"uint"), "an unsigned format is left");
    }
}
