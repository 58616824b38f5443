//! A policy in a file.

use serde_json::Value;

use crate::policy::{Document, Policy};

/// A policy in a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: String,
    pub(super) document: Document,
    /// The path of the policy in the document; empty unless it is an item of a List.
    pub(super) at: String,
    pub(super) value: Value,
    /// The compiled policy; `None` if it is invalid.
    pub(super) policy: Option<Policy>,
}

impl Found {
    /// Returns kind and name.
    pub(super) fn title(&self) -> String {
        let text = |pointer: &str| self.value.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        format!("{} {}", text("/kind"), text("/metadata/name"))
    }
}
