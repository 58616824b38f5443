//! Weights of steps in policies: their schema, and how a schema of theirs is recognized.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// Matches strings that are weights above 0%, at most 100%.
const TEXT: &str = "^(100|[1-9][0-9]?|0[.][1-9]|[1-9][0-9]?[.][0-9])%$";

/// The schema of a weight: a whole percentage, or a string with at most one decimal place.
pub(super) fn some(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": 100,
        "maxLength": 5,
        "pattern": TEXT,
    })
}

/// Returns whether a field with this schema holds a weight.
pub fn is_share(schema: &Value) -> bool {
    schema["pattern"] == TEXT
}
