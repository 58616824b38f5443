//! Virtual time, which only a test and an idle reconcile advance.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::World;

/// The longest span that applies whatever the policy: the lookback of the source.
const BUILT_IN: SignedDuration = SignedDuration::from_mins(2);

impl World {
    /// Advances the time.
    pub fn advance(&mut self, span: SignedDuration) {
        self.snapshot.now += span;
    }
}

/// Returns how long ago `at` is in milliseconds, capped at `horizon` in both directions.
pub(crate) fn ago(now: Timestamp, at: Timestamp, horizon: SignedDuration) -> i64 {
    let span = now.duration_since(at).clamp(-horizon, horizon);
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A span beyond which no rule of these policies can distinguish two times: the sum of all spans in
/// them, in their queries and in the engine, because a rule can add some of them.
pub(crate) fn horizon(world: &World) -> SignedDuration {
    let s = &world.snapshot;
    let begun = s.rollout.as_ref().and_then(|r| r.status.trial.as_ref()?.policy.as_ref());
    let written = serde_json::to_value(&world.written).unwrap_or_default();
    let longest = begun.into_iter().chain([&written]).map(sum).max().unwrap_or_default();
    BUILT_IN + s.drain + longest
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
