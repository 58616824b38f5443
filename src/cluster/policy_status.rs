//! Reports on each policy whether it can be used: condition `Accepted`, with every error.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{chain, context::Context, raw};
use crate::{
    api::{PolicyStatus, set_condition},
    policy::{self, Fault, Faults},
};

/// The number of attempts to write a status. After that, the next change of the policy writes it.
const ATTEMPTS: u32 = 5;
/// The longest message of a condition, in bytes (`metav1.Condition`).
const LONGEST_MESSAGE: usize = 32_768;

/// Writes the status of a policy, unless it is up to date. A conflict means that the policy has
/// changed: its next version is reported instead.
pub(super) async fn report(context: Arc<Context>, object: DynamicObject) {
    let Some(status) = due(&object, Timestamp::now()) else { return };
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let collection = raw::policies(object.metadata.namespace.as_deref());
    let body = json!({
        "apiVersion": "steelyard.io/v1alpha1",
        "kind": object.types.as_ref().map(|types| types.kind.as_str()),
        "metadata": {"name": name, "resourceVersion": object.metadata.resource_version},
        "status": status,
    });
    for attempt in 0..ATTEMPTS {
        if !context.fence.holds() {
            return;
        }
        match context.caller.status(&collection, name, &body).await {
            Ok(_) => return,
            Err(error) if matches!(error.code(), 404 | 409) => return,
            Err(error) => {
                tracing::warn!(policy = name, error = %chain(&error), "the status of the policy can't be written");
                tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
            }
        }
    }
}

/// Returns the status to write; `None` if the policy already has it.
fn due(object: &DynamicObject, now: Timestamp) -> Option<PolicyStatus> {
    let generation = object.metadata.generation.unwrap_or_default();
    let before = object.data.get("status").and_then(|status| serde_json::from_value(status.clone()).ok());
    let before: PolicyStatus = before.unwrap_or_default();
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    let (accepted, reason, message) = match policy::spec(spec) {
        Ok(_) => (true, "Accepted", String::new()),
        Err(faults) => (false, "PolicyInvalid", every(faults)),
    };
    let mut status = PolicyStatus { observed_generation: generation, conditions: before.conditions.clone() };
    set_condition(&mut status.conditions, ("Accepted", accepted), (reason, &message), generation, now);
    (status.conditions != before.conditions).then_some(status)
}

/// Returns all errors in one message. Above the limit, returns the first KiB and the number of the
/// others.
fn every(faults: Vec<Fault>) -> String {
    let all = faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ");
    if all.len() <= LONGEST_MESSAGE { all } else { Faults(faults).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(weights: [u8; 2], status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "steelyard.io/v1alpha1", "kind": "RolloutPolicy",
            "metadata": {"name": "web", "namespace": "shop", "generation": 2},
            "spec": {
                "strategy": {"canary": {"steps": [{"weight": weights[0]}, {"weight": weights[1]}]}},
                "traffic": {},
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_condition_lists_every_error_and_is_written_once() {
        let status = due(&policy([50, 5], &Value::Null), Timestamp::UNIX_EPOCH).unwrap();
        let condition = &status.conditions[0];
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "PolicyInvalid"));
        for place in ["spec.strategy.canary.steps[1].weight", "spec.traffic: set exactly one"] {
            assert!(condition.message.contains(place), "{}", condition.message);
        }
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(due(&policy([50, 5], &written), Timestamp::MAX), None);
    }

    #[test]
    fn an_error_that_changes_keeps_the_time_at_which_the_policy_became_invalid() {
        let first = due(&policy([50, 5], &Value::Null), Timestamp::UNIX_EPOCH).unwrap();
        let written = serde_json::to_value(&first).unwrap();
        let second = due(&policy([5, 50], &written), Timestamp::MAX).unwrap();
        assert!(!second.conditions[0].message.contains("weight"), "one error is left");
        let since = |status: &PolicyStatus| status.conditions[0].last_transition_time.clone();
        assert_eq!(since(&second), since(&first));
    }
}
