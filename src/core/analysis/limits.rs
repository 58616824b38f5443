//! How often a metric may miss its criterion.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many bad measurements of a metric a step tolerates. A limit of N tolerates N; N + 1 decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The number of failed measurements tolerated in the step.
    pub failure_limit: u32,
    /// The number of failed measurements tolerated since the last pass; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failure_limit: Option<u32>,
    /// The number of inconclusive measurements tolerated since the last pass or fail.
    pub inconclusive_limit: u32,
    /// The number of errors tolerated since the last pass or fail.
    pub error_limit: u32,
    /// The number of passed and failed measurements required before a step can pass; 0 counts as 1.
    pub min_measurements: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failure_limit: 1,
            consecutive_failure_limit: None,
            inconclusive_limit: 5,
            error_limit: 5,
            min_measurements: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_limits_have_their_defaults() {
        let limits: Limits = serde_json::from_str(r#"{"failureLimit": 0}"#).unwrap();
        assert_eq!(limits, Limits { failure_limit: 0, ..Limits::default() });
    }
}
