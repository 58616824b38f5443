//! A policy as a whole object: kind, version, name and `spec`.

use serde_json::Value;

use super::{compile::Policy, fault::Fault, problem::Sort, read::spec, shape::alike};
use crate::api::GROUP;

/// The API version that this program supports.
const VERSION: &str = "steelyard.io/v1alpha1";
/// The kinds of the API group.
const KINDS: [&str; 3] = ["RolloutPolicy", "ClusterRolloutPolicy", "Rollout"];

/// Whether an object is a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// A policy of a namespace, or an object of the API group with a misspelled kind.
    Policy,
    /// A policy of the cluster.
    ClusterPolicy,
    /// Any other object.
    Other,
}

/// Returns whether an object is a policy.
pub fn kind(object: &Value) -> DocumentKind {
    let word = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let ours = word("apiVersion").split('/').next() == Some(GROUP);
    match word("kind") {
        "RolloutPolicy" => DocumentKind::Policy,
        "ClusterRolloutPolicy" => DocumentKind::ClusterPolicy,
        "Rollout" | "List" => DocumentKind::Other,
        _ if ours => DocumentKind::Policy,
        _ => DocumentKind::Other,
    }
}

/// Compiles a whole policy.
///
/// # Errors
/// Returns all errors.
pub fn object(value: &Value) -> Result<Policy, Vec<Fault>> {
    let mut faults = Vec::new();
    let word = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if word("/apiVersion") != VERSION {
        faults.push(Fault::invalid("apiVersion", format!("must be {VERSION}")));
    }
    if !KINDS.contains(&word("/kind")) {
        let message = format!(
            "must be RolloutPolicy or ClusterRolloutPolicy{}",
            alike(Some(word("/kind")), &KINDS[..2])
        );
        faults.push(Fault::invalid("kind", message));
    }
    for name in value.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !["apiVersion", "kind", "metadata", "spec"].contains(&name.as_str()) {
            let message = format!("unknown field{}", alike(Some(name), &["metadata", "spec"]));
            faults.push(Fault::new(Sort::UnknownField, name.clone(), message));
        }
    }
    if word("/metadata/generateName").is_empty() {
        let name = word("/metadata/name");
        let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = name.len() <= 253
            && name.starts_with(end)
            && name.ends_with(end)
            && name.chars().all(|c| end(c) || c == '-' || c == '.');
        if !fits {
            let message = "must be lower case letters, digits, dashes and dots, as the annotation steelyard.io/policy names it";
            faults.push(Fault::new(
                if name.is_empty() { Sort::Missing } else { Sort::Invalid },
                "metadata.name",
                message,
            ));
        }
    }
    if kind(value) == DocumentKind::ClusterPolicy && !word("/metadata/namespace").is_empty() {
        faults
            .push(Fault::invalid("metadata.namespace", "a ClusterRolloutPolicy has no namespace: remove it"));
    }
    let read = match value.get("spec") {
        Some(written) => spec(written),
        None => Err(vec![Fault::new(Sort::Missing, "spec", "must be given")]),
    };
    match read {
        Ok(policy) if faults.is_empty() => Ok(policy),
        Ok(_) => Err(faults),
        Err(more) => Err(faults.into_iter().chain(more).collect()),
    }
}
