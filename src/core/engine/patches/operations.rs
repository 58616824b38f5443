//! Single operations of a JSON patch. A path is a list of names, so that callers do not escape
//! them.

use json_patch::{
    AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation, jsonptr::PointerBuf,
};
use serde_json::Value;

/// Adds a field, or replaces it.
pub(super) fn add<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path), value })
}

/// Replaces a field that exists.
pub(super) fn replace<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path: PointerBuf::from_tokens(path), value })
}

/// Removes a field that exists.
pub(super) fn remove<const N: usize>(path: [&str; N]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: PointerBuf::from_tokens(path) })
}

/// Fails the whole patch unless a field has this value.
pub(super) fn test<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: PointerBuf::from_tokens(path), value })
}

/// Returns the smallest patch of the whole object that turns one `spec` into another.
pub(super) fn spec_differences(now: &Value, wanted: &Value) -> Vec<PatchOperation> {
    let mut patch = json_patch::diff(now, wanted);
    for op in &mut patch.0 {
        for path in paths(op) {
            path.push_front("spec");
        }
    }
    patch.0
}

/// Returns the paths of an operation.
fn paths(op: &mut PatchOperation) -> Vec<&mut PointerBuf> {
    match op {
        PatchOperation::Add(op) => vec![&mut op.path],
        PatchOperation::Remove(op) => vec![&mut op.path],
        PatchOperation::Replace(op) => vec![&mut op.path],
        PatchOperation::Test(op) => vec![&mut op.path],
        PatchOperation::Move(op) => vec![&mut op.from, &mut op.path],
        PatchOperation::Copy(op) => vec![&mut op.from, &mut op.path],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_with_a_slash_is_escaped_in_the_path() {
        let op = remove(["metadata", "labels", "steelyard.io/held"]);
        let wanted = json!({"op": "remove", "path": "/metadata/labels/steelyard.io~1held"});
        assert_eq!(serde_json::to_value(op).unwrap(), wanted);
    }

    #[test]
    fn differences_of_a_spec_have_paths_of_the_whole_object() {
        let ops = spec_differences(&json!({"a": [1, 2]}), &json!({"a": [1, 3]}));
        let wanted = json!([{"op": "replace", "path": "/spec/a/1", "value": 3}]);
        assert_eq!(serde_json::to_value(ops).unwrap(), wanted);
    }
}
