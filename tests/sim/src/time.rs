//! Virtual time: a number that only a test and a reconcile without anything to do move on.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use steelyard_core::{
    api::RolloutPolicySpec,
    engine::{Policy, Snapshot},
};

use crate::World;

/// The longest span of time that the engine itself knows, whatever the policy says: the longest
/// pause between two calls of a webhook.
const BUILT_IN: SignedDuration = SignedDuration::from_mins(1);

impl World {
    /// Lets time pass.
    pub fn advance(&mut self, span: SignedDuration) {
        self.snapshot.now += span;
    }
}

/// How long ago `at` is, in milliseconds; no further from now than `horizon`, in either direction.
pub(crate) fn ago(now: Timestamp, at: Timestamp, horizon: SignedDuration) -> i64 {
    let span = now.duration_since(at).clamp(-horizon, horizon);
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A span beyond which no rule of these policies can tell two times apart: the sum of all spans
/// that they, their queries and the engine name, because a rule may add some of them.
pub(crate) fn horizon(s: &Snapshot) -> SignedDuration {
    let in_use = match &s.policy {
        Policy::Found(spec) => Some(spec),
        _ => None,
    };
    let begun = s.rollout.as_ref().and_then(|r| r.status.trial.as_ref()?.policy.as_ref());
    let longest = in_use.into_iter().chain(begun).map(spans).max().unwrap_or_default();
    BUILT_IN + s.drain + longest
}

fn spans(policy: &RolloutPolicySpec) -> SignedDuration {
    sum(&serde_json::to_value(policy).unwrap_or_default())
}

fn sum(value: &Value) -> SignedDuration {
    match value {
        Value::String(text) => text.parse().unwrap_or_else(|_| ranges(text)),
        Value::Array(items) => total(items.iter().map(sum)),
        Value::Object(fields) => total(fields.values().map(sum)),
        _ => SignedDuration::ZERO,
    }
}

/// The sum of the ranges in a query, such as `[2s]`.
fn ranges(query: &str) -> SignedDuration {
    let inside = query.split('[').skip(1).filter_map(|rest| rest.split([']', ':']).next());
    total(inside.filter_map(|range| range.parse().ok()))
}

fn total(spans: impl Iterator<Item = SignedDuration>) -> SignedDuration {
    spans.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}
