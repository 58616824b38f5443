//! Reads the `spec` of a policy: checks the schema first, then the values.

use std::sync::LazyLock;

use kube::CustomResourceExt as _;
use serde_json::Value;

use super::{
    compile::{Policy, compile},
    fault::Fault,
    problem::Sort,
    shape,
};
use crate::api::{RolloutPolicy, RolloutPolicySpec};

/// The schema of `spec`, the same for both kinds of policy.
static SPEC: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(RolloutPolicy::crd()).unwrap_or_default();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").cloned().unwrap_or_default()
});

/// Returns the schema of a policy's `spec`, as in the CRDs.
pub fn schema() -> &'static Value {
    &SPEC
}

/// Reads a policy's `spec` and checks it against the schema.
///
/// # Errors
/// If the schema check fails, returns all its errors and those of the values; never an empty list.
pub fn read(value: &Value) -> Result<RolloutPolicySpec, Vec<Fault>> {
    read_despite(value, |_| false)
}

/// Reads a `spec` despite errors of the schema that can be ignored.
fn read_despite(value: &Value, ignored: fn(&Fault) -> bool) -> Result<RolloutPolicySpec, Vec<Fault>> {
    let mut faults = Vec::new();
    let left = shape::fit(schema(), value, "spec", &mut faults);
    faults.retain(|fault| !ignored(fault));
    match left.map(serde_json::from_value::<RolloutPolicySpec>) {
        Some(Ok(spec)) if faults.is_empty() => Ok(spec),
        Some(Ok(spec)) => {
            let meant = compile(&spec).err().unwrap_or_default();
            let news: Vec<_> = meant.into_iter().filter(|fault| !follows(fault, &faults)).collect();
            faults.extend(news);
            Err(faults)
        }
        Some(Err(error)) if faults.is_empty() => Err(vec![Fault::invalid("spec", error.to_string())]),
        _ => Err(faults),
    }
}

/// Reads and compiles a policy's `spec`.
///
/// # Errors
/// Returns all errors; never an empty list.
pub fn spec(value: &Value) -> Result<Policy, Vec<Fault>> {
    compile(&read(value)?)
}

/// Reads and compiles a policy's `spec` from the status of a rollout. Unknown fields are ignored:
/// the version of Steelyard that stored it may have more of them.
///
/// # Errors
/// Returns all other errors; never an empty list.
pub fn stored(value: &Value) -> Result<Policy, Vec<Fault>> {
    compile(&read_despite(value, |fault| fault.sort == Sort::UnknownField)?)
}

/// Returns whether an error only follows from a known one: it is at or below its path, or it
/// reports that something is missing above it.
fn follows(fault: &Fault, faults: &[Fault]) -> bool {
    let below = |upper: &str, lower: &str| {
        lower.strip_prefix(upper).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    faults.iter().any(|known| {
        below(&known.path, &fault.path) || (fault.sort == Sort::Missing && below(&fault.path, &known.path))
    })
}
