//! The metrics of the step in progress.

use jiff::Timestamp;
use serde::Serialize;

use super::facts::Facts;
use crate::{
    analysis::{self, Outcome, Tally},
    api::RolloutStatus,
    engine,
    policy::{self, template},
};

/// A metric of the step.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metric {
    /// Its name.
    pub name: String,
    /// The query as it is sent.
    pub query: String,
    /// The smallest value that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What it answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// When it was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Its looks in this step.
    pub looks: Tally,
    /// How many of them it needs.
    pub needs: u32,
    /// How many of them may fail.
    pub may_fail: u32,
    /// What they come to.
    pub verdict: String,
}

/// The metrics of the policy that the rollout began with, as the controller understands it.
pub(super) fn metrics(facts: &Facts, status: &RolloutStatus) -> Vec<Metric> {
    let Some(trial) = &status.trial else { return Vec::new() };
    let Some(valid) = trial.policy.as_ref().and_then(|spec| policy::valid(spec).ok()) else {
        return Vec::new();
    };
    let variables = engine::variables(&facts.namespace, &facts.name, status, valid.interval);
    let metric = |metric: &policy::Metric| {
        let state = trial.metrics.get(&metric.name).cloned().unwrap_or_default();
        Metric {
            name: metric.name.clone(),
            query: template::render(&metric.query, &variables).unwrap_or_else(|_| metric.query.clone()),
            min: metric.threshold.min,
            max: metric.threshold.max,
            last: state.last,
            asked_at: state.asked_at,
            needs: metric.limits.min_measurements,
            may_fail: metric.limits.failure_limit,
            verdict: analysis::verdict(&metric.limits, &state.tally).to_string(),
            looks: state.tally,
        }
    };
    valid.metrics.iter().map(metric).collect()
}
