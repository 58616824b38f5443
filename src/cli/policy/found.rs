//! A policy that was found in a file.

use serde_json::Value;

use crate::{api::RolloutPolicySpec, policy::Document};

/// One policy that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: String,
    pub(super) document: Document,
    /// Where in the document the policy is: empty but for items of a List.
    pub(super) at: String,
    pub(super) value: Value,
    pub(super) spec: Option<RolloutPolicySpec>,
}

impl Found {
    /// Kind and name.
    pub(super) fn told(&self) -> String {
        let word = |pointer: &str| self.value.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        format!("{} {}", word("/kind"), word("/metadata/name"))
    }
}
