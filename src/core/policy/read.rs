//! Reads the `spec` of a policy: shape first, then meaning.

use std::sync::LazyLock;

use kube::CustomResourceExt as _;
use serde_json::Value;

use super::{compile::valid, fault::Fault, problem::Sort, shape};
use crate::api::{RolloutPolicy, RolloutPolicySpec};

/// The schema of `spec`, the same for both kinds of policy.
static SPEC: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(RolloutPolicy::crd()).unwrap_or_default();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").cloned().unwrap_or_default()
});

/// The schema of a policy's `spec`, as the definitions have it.
pub fn schema() -> &'static Value {
    &SPEC
}

/// Reads a policy's `spec` as far as its shape goes; whether it can be run is asked when it is to be.
///
/// # Errors
/// All faults if its shape is wrong, those of its meaning among them; never an empty list.
pub fn read(value: &Value) -> Result<RolloutPolicySpec, Vec<Fault>> {
    let mut faults = Vec::new();
    let left = shape::fit(schema(), value, "spec", &mut faults);
    match left.map(serde_json::from_value::<RolloutPolicySpec>) {
        Some(Ok(spec)) if faults.is_empty() => Ok(spec),
        Some(Ok(spec)) => {
            let meant = valid(&spec).err().unwrap_or_default();
            let news: Vec<_> = meant.into_iter().filter(|fault| !follows(fault, &faults)).collect();
            faults.extend(news);
            Err(faults)
        }
        Some(Err(error)) if faults.is_empty() => Err(vec![Fault::invalid("spec", error.to_string())]),
        _ => Err(faults),
    }
}

/// Reads a policy's `spec`, and whether it can be run.
///
/// # Errors
/// All faults; never an empty list.
pub fn spec(value: &Value) -> Result<RolloutPolicySpec, Vec<Fault>> {
    let spec = read(value)?;
    valid(&spec)?;
    Ok(spec)
}

/// Whether a fault only says again that something was left out: at or above it, or, where something is missing, below it.
fn follows(fault: &Fault, faults: &[Fault]) -> bool {
    let below = |upper: &str, lower: &str| {
        lower.strip_prefix(upper).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    faults.iter().any(|known| {
        below(&known.path, &fault.path) || (fault.sort == Sort::Missing && below(&fault.path, &known.path))
    })
}
