//! The metrics of the step in progress.

use jiff::Timestamp;
use serde::Serialize;

use super::facts::Facts;
use crate::{
    analysis::{self, Criterion, Outcome, Tally},
    api::RolloutStatus,
    engine,
    policy::{self, Mode},
};

/// A metric of the step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metric {
    /// The name.
    pub name: String,
    /// The query as it is sent.
    pub query: String,
    /// The criterion for a Pass.
    #[serde(flatten)]
    pub criterion: Criterion,
    /// Whether it is a dry run: reported, never acted on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The result of the last query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// When it was last queried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// The measurements in this step.
    pub measurements: Tally,
    /// How many measurements a verdict needs.
    pub needs: u32,
    /// How many measurements may fail.
    pub may_fail: u32,
    /// The verdict of the measurements.
    pub verdict: String,
}

/// Returns the metrics of the policy with which the rollout started.
pub(super) fn metrics(facts: &Facts, status: &RolloutStatus) -> Vec<Metric> {
    let Some(trial) = &status.trial else { return Vec::new() };
    let Some(valid) = trial.policy.as_ref().and_then(|stored| policy::stored(stored).ok()) else {
        return Vec::new();
    };
    let variables = engine::variables(&facts.namespace, &facts.name, status);
    let metric = |metric: &policy::Metric| {
        let state = trial.metrics.get(&metric.name).cloned().unwrap_or_default();
        Metric {
            name: metric.name.clone(),
            query: metric.source.query().render(&variables),
            criterion: metric.criterion,
            dry_run: metric.mode == Mode::DryRun,
            last: state.last,
            asked_at: state.asked_at,
            needs: metric.limits.min_measurements,
            may_fail: metric.limits.failure_limit,
            verdict: analysis::verdict(&metric.limits, &state.tally).to_string(),
            measurements: state.tally,
        }
    };
    valid.metrics.iter().map(metric).collect()
}
