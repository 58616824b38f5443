//! Conditions of Rollouts and policies (`metav1.Condition`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Sets or adds the condition of this type. Its transition time changes only with its status.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    (type_, value): (&str, bool),
    (reason, message): (&str, &str),
    generation: i64,
    now: Timestamp,
) {
    let status = if value { "True" } else { "False" };
    let before = conditions.iter().position(|condition| condition.type_ == type_);
    let since = before
        .map(|at| &conditions[at])
        .filter(|condition| condition.status == status)
        .map_or(Time(now), |condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since,
        observed_generation: Some(generation),
    };
    match before {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
}

/// Returns the condition of this type if it has this status, `True` or `False`.
pub fn condition_with<'a>(conditions: &'a [Condition], type_: &str, status: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_ && condition.status == status)
}
