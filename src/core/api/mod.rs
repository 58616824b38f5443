//! The kinds of `steelyard.io/v1alpha1`, as users write and read them. Shapes only; rules live in `engine`.

pub mod policy;
pub mod rollout;

pub use policy::*;
pub use rollout::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::Value;

/// The API group of all kinds, and the prefix of every label and annotation.
pub const GROUP: &str = "steelyard.io";
/// Annotation on a Deployment: the policy it rolls out by, `NAME` or `cluster/NAME`.
pub const POLICY: &str = "steelyard.io/policy";
/// Annotation on a Deployment: which Services carry its routed traffic, separated by commas.
pub const SERVICES: &str = "steelyard.io/services";
/// Label on a Deployment whose template is held.
pub const HELD: &str = "steelyard.io/held";
/// Label on a Deployment, annotation on all else: the term of leadership that touched it last.
pub const EPOCH: &str = "steelyard.io/epoch";
/// Annotation on a route: the revision whose traffic was taken back.
pub const FAILED: &str = "steelyard.io/failed";
/// Label on a Service: the Service whose canary it is.
pub const CANARY_OF: &str = "steelyard.io/canary-of";
/// Label on what Steelyard makes: the Rollout it belongs to.
pub const ROLLOUT: &str = "steelyard.io/rollout";
/// The label by which the Deployment controller, and Steelyard, tell versions apart.
pub const HASH: &str = "pod-template-hash";
/// Finalizer of a Rollout while a rollout is in flight.
pub const FINALIZER: &str = "steelyard.io/in-flight";

/// All definitions, in the order in which they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![plainly(RolloutPolicy::crd()), plainly(ClusterRolloutPolicy::crd()), plainly(Rollout::crd())]
}

/// Drops the formats of Rust's unsigned integers: Kubernetes knows none of them and would warn at each apply. Their
/// bounds are in the schema beside them.
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

    /// Fields without a sentence, with their paths.
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
