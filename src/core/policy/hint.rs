//! Warnings: what is valid in a policy but seldom intended.

use std::time::Duration;

use super::{
    compile::Policy,
    fault::Fault,
    metric::{Metric, Mode},
    problem::Sort,
    source::{Source, prometheus::DEFAULT_LOOKBACK},
    stages::{Shift, Stage, Until},
};
use crate::api;

/// Returns the warnings about a policy.
pub fn hints(policy: &Policy) -> Vec<Fault> {
    let mut hints = Vec::new();
    let written = &policy.spec.analysis.metrics;
    for (index, (metric, written)) in policy.metrics.iter().zip(written).enumerate() {
        let path = format!("spec.analysis.metrics[{index}]");
        let mut hint = |field: &str, message: String| {
            hints.push(Fault::new(Sort::Warning, format!("{path}.{field}"), message));
        };
        for (field, message) in [overlap(metric), never_passes(policy, metric)].into_iter().flatten() {
            hint(field, message);
        }
        for field in with_fallback(metric) {
            let why = "it has a value where there is no data (such as `or vector(0)`): without traffic the metric can pass; remove the fallback, and let noData decide";
            hint(field, why.to_owned());
        }
        for (field, message) in unreachable(policy, metric, written) {
            hint(field, message);
        }
    }
    hints
}

type Hint = (&'static str, String);

/// Warns if several measurements see the same burst of errors.
fn overlap(metric: &Metric) -> Option<Hint> {
    let (range, interval) = (metric.source.query().reach().ranges(), metric.interval);
    let limit = metric.limits.failure_limit;
    (limit > 0 && interval < range).then(|| {
        let message = format!(
            "the range is {range:?}, but the interval is {interval:?}: one burst of errors fails several measurements, so failureLimit {limit} tolerates less than it seems to"
        );
        ("query", message)
    })
}

/// Returns the queries that have a value where there is no data.
fn with_fallback(metric: &Metric) -> impl Iterator<Item = &'static str> {
    let Source::Prometheus(prometheus) = &metric.source;
    let samples = prometheus.samples.as_ref().map(|samples| ("samples.query", &samples.query));
    let queries = [("query", &prometheus.query)].into_iter().chain(samples);
    queries.filter(|(_, query)| query.has_fallback()).map(|(field, _)| field)
}

/// The time for the measurements of a metric in a stage.
struct Time {
    /// From the change of the weight to the first measurement that can pass.
    first: Duration,
    /// From the change of the weight to the deadline.
    all: Duration,
}

impl Time {
    fn of(policy: &Policy, metric: &Metric, stage: &Shift) -> Self {
        let Source::Prometheus(prometheus) = &metric.source;
        let reach = metric.source.reach(prometheus.terms.max_sample_age.unwrap_or(DEFAULT_LOOKBACK));
        let first = policy.settle.saturating_add(reach);
        Self { first, all: stage.duration.saturating_add(policy.deadline) }
    }
}

/// Returns the stages that end with a verdict.
fn measured(policy: &Policy) -> impl Iterator<Item = &Shift> {
    policy.stages.iter().filter_map(|stage| match stage {
        Stage::Shift(shift) if shift.until == Until::Verdicts => Some(shift),
        Stage::Shift(_) | Stage::Gate(_) => None,
    })
}

/// Warns if a step is over before the metric can pass.
fn never_passes(policy: &Policy, metric: &Metric) -> Option<Hint> {
    let shortest = measured(policy).min_by_key(|shift| shift.duration);
    let stage = shortest.filter(|_| metric.mode == Mode::Enforced)?;
    let time = Time::of(policy, metric, stage);
    let least = metric.limits.min_measurements.max(1);
    let needed = time.first.saturating_add(metric.interval.saturating_mul(least - 1));
    (needed > time.all).then(|| {
        let reach = time.first.saturating_sub(policy.settle);
        let message = format!(
            "the metric can't pass in a step of {:?}: settle {:?} + range {reach:?} + (minMeasurements {least} - 1) x interval {:?} is {needed:?}, more than the step's duration + deadline, {:?}; lengthen the duration or the deadline, or shorten the range",
            stage.duration, policy.settle, metric.interval, time.all
        );
        ("query", message)
    })
}

/// Warns about limits that are written in the policy and can't be exceeded before the deadline of
/// any step.
fn unreachable(policy: &Policy, metric: &Metric, written: &api::Metric) -> Vec<Hint> {
    let longest = measured(policy).max_by_key(|shift| shift.duration);
    let Some(stage) = longest else { return Vec::new() };
    let time = Time::of(policy, metric, stage);
    // A value fails as soon as its window is within the time with traffic.
    let failing = time.first.saturating_sub(policy.settle);
    let limits = [
        ("failureLimit", written.failure_limit, failing),
        ("inconclusiveLimit", written.inconclusive_limit, time.first),
        ("errorLimit", written.error_limit, time.first),
    ];
    let mut found = Vec::new();
    for (field, limit, first) in limits {
        let Some(limit) = limit else { continue };
        let needed = first.saturating_add(metric.interval.saturating_mul(limit));
        if needed > time.all {
            let message = format!(
                "a step can't exceed it: {} measurements take {needed:?}, more than its duration + deadline, {:?}; set a lower limit or a shorter interval",
                limit.saturating_add(1),
                time.all
            );
            found.push((field, message));
        }
    }
    let failures = metric.limits.failure_limit;
    if let Some(row) = metric.limits.consecutive_failure_limit.filter(|row| *row >= failures) {
        let message = format!(
            "it has no effect: failureLimit {failures} ends the step before {} measurements in a row have failed; remove it, or set it below failureLimit",
            row.saturating_add(1)
        );
        found.push(("consecutiveFailureLimit", message));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    /// Returns the fields and messages of the warnings about a metric.
    fn warnings(duration: &str, deadline: &str, metric: &Value) -> Vec<(String, String)> {
        let mut all = json!({"name": "a", "max": 1, "query": "sum(rate(errors{pod=~\"$canary_pods\"}[1m]))"});
        all.as_object_mut().unwrap().extend(metric.as_object().unwrap().clone());
        let spec = crate::policy::spec(&json!({
            "strategy": {"canary": {"steps": [{"weight": 5, "duration": duration}]}},
            "traffic": {"gatewayAPI": {}},
            "deadline": deadline,
            "analysis": {"settle": "10s", "interval": "1m", "metrics": [all]},
        }))
        .expect("a policy");
        let of = |fault: super::Fault| {
            (fault.path.strip_prefix("spec.analysis.metrics[0].").unwrap().to_owned(), fault.message)
        };
        super::hints(&spec).into_iter().map(of).collect()
    }

    fn fields(duration: &str, deadline: &str, metric: &Value) -> Vec<String> {
        warnings(duration, deadline, metric).into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn overlapping_ranges_are_warned_about() {
        let count = |interval: &str, limit: u32| {
            fields("10m", "10m", &json!({"interval": interval, "failureLimit": limit})).len()
        };
        assert_eq!([count("1m", 1), count("30s", 1), count("30s", 0)], [0, 1, 0]);
    }

    #[test]
    fn a_value_instead_of_no_data_is_warned_about() {
        let query = "sum(rate(errors{pod=~\"$canary_pods\"}[1m]))";
        for fallback in ["or vector(0)", "OR on ()\n vector(1)", "or on() absent(up) * 0"] {
            let metric = json!({"query": format!("{query} {fallback}")});
            assert_eq!(fields("10m", "10m", &metric), ["query"], "{fallback}");
            let samples = json!({"samples": {"query": format!("{query} {fallback}")}});
            assert_eq!(fields("10m", "10m", &samples), ["samples.query"], "{fallback}");
        }
        assert!(
            fields("10m", "10m", &json!({"query": format!("1 - {query} / ({query} or vector(1))")}))
                .is_empty()
        );
    }

    #[test]
    fn a_metric_that_can_not_pass_before_the_deadline_is_warned_about() {
        // settle 10s + range 1m + 2 x interval 1m = 190s
        for (duration, deadline, warned) in [("3m", "10s", false), ("3m", "9s", true), ("0s", "190s", false)]
        {
            let found = warnings(duration, deadline, &json!({}));
            assert_eq!(!found.is_empty(), warned, "{duration} {deadline}: {found:?}");
            assert!(
                found.iter().all(|(field, message)| field == "query" && message.contains("190s")),
                "{found:?}"
            );
        }
        let one = json!({"minMeasurements": 1});
        assert!(fields("0s", "70s", &one).is_empty());
        assert_eq!(fields("0s", "69s", &one), ["query"]);
        assert!(fields("0s", "1s", &json!({"dryRun": true})).is_empty(), "it decides nothing");
        // An instant selector reads back by the lookback.
        let instant = |age: &str| json!({"query": "up{pod=~\"$canary_pods\"}", "maxSampleAge": age});
        assert!(fields("3m", "10s", &instant("1m")).is_empty());
        assert_eq!(fields("3m", "10s", &instant("61s")), ["query"]);
    }

    #[test]
    fn a_limit_that_can_not_be_exceeded_is_warned_about() {
        // range 1m + 4 x interval 1m = 5m
        assert!(fields("4m", "1m", &json!({"failureLimit": 4})).is_empty());
        assert_eq!(fields("4m", "59s", &json!({"failureLimit": 4})), ["failureLimit"]);
        for limit in ["inconclusiveLimit", "errorLimit"] {
            assert!(fields("4m", "70s", &json!({limit: 4})).is_empty());
            assert_eq!(fields("4m", "69s", &json!({limit: 4})), [limit]);
        }
        let row = |limit: u32| json!({"failureLimit": 3, "consecutiveFailureLimit": limit});
        assert!(fields("10m", "10m", &row(2)).is_empty());
        assert_eq!(fields("10m", "10m", &row(3)), ["consecutiveFailureLimit"]);
        assert!(fields("4m", "1m", &json!({})).is_empty(), "the defaults are no setting of the policy");
    }
}
