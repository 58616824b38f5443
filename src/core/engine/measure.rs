//! Measurements of a step: which metrics are due, which answers count, what they add up to.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    plan::Ask,
    reasons::{Evidence, Failure, Missed},
    reconcile::{Flow, GO_ON, Reconcile, after},
    rollback,
    variables::with_pods,
};
use crate::{
    analysis::{self, Measurement, Outcome, Verdict},
    policy::{Metric, Valid, template},
};

/// Queries each metric that is due, as long as the canary has traffic.
pub(super) fn ask(r: &mut Reconcile, valid: &Valid) {
    if r.trial().traffic_since.is_none() {
        return;
    }
    let now = r.now();
    let (revision, step) = (r.revision(), r.trial().step);
    for metric in &valid.metrics {
        let state = r.trial().metrics.entry(metric.name.clone()).or_default();
        let due = state.asked_at.map_or(now, |at| after(at, valid.interval));
        if r.world().asking.contains(&metric.name) {
            continue;
        }
        if now < due {
            r.wake_at(due);
            continue;
        }
        let variables = with_pods(r, valid.interval);
        let Ok(query) = template::render(&metric.query, &variables) else { continue };
        let mut terms = metric.terms.clone();
        if let Some(samples) = &mut terms.samples {
            let Ok(count) = template::render(&samples.query, &variables) else { continue };
            samples.query = count;
        }
        r.trial().metrics.entry(metric.name.clone()).or_default().asked_at = Some(now);
        let (source, metric) = (valid.source.clone(), metric.name.clone());
        r.ask(Ask { source, revision: revision.clone(), step, metric, query, at: now, terms });
    }
}

/// Counts the answers that came. Rolls back where one of them fails its metric for good.
pub(super) fn count(r: &mut Reconcile) -> Flow {
    let Some(valid) = r.policy() else { return GO_ON };
    let revision = r.revision();
    for reading in r.world().readings.iter().filter(|reading| reading.revision == revision) {
        let Some(metric) = valid.metrics.iter().find(|metric| metric.name == reading.metric) else {
            continue;
        };
        let measurement = metric.measure(&reading.outcome);
        let range = template::longest_range(&reading.query).unwrap_or(Duration::ZERO);
        let begin = |since: Option<Timestamp>, settle: Duration| {
            since.is_some_and(|since| reading.at >= after(since, range + settle))
        };
        let trial = r.trial();
        let counts = match (measurement, &reading.outcome) {
            // A failure needs its window within the time the revision has had traffic, all else within
            // the step: also the absence of data, of which there is none at first.
            (Measurement::Fail, Outcome::Value(_)) => begin(trial.traffic_since, Duration::ZERO),
            _ => reading.step == trial.step && begin(trial.weighted_at, valid.settle),
        };
        let state = trial.metrics.entry(reading.metric.clone()).or_default();
        state.last = Some(reading.outcome.clone());
        if !counts {
            continue;
        }
        state.tally.record(&measurement);
        if analysis::verdict(&metric.limits, &state.tally) == Verdict::Fail {
            let failure = Failure::MetricFailed(missed(metric, &reading.outcome));
            return rollback::fail_on(r, &failure, reading);
        }
    }
    GO_ON
}

/// How an answer misses a metric. Only a value outside of the threshold, or the absence of data, does.
fn missed(metric: &Metric, outcome: &Outcome) -> Missed {
    let name = metric.name.clone();
    match (outcome, metric.threshold.min, metric.threshold.max) {
        (Outcome::Value(value), Some(min), _) if *value < min => {
            Missed::Below { metric: name, value: *value, min }
        }
        (Outcome::Value(value), _, Some(max)) => Missed::Above { metric: name, value: *value, max },
        _ => Missed::NoData { metric: name },
    }
}

/// The verdict of the step so far.
pub(super) fn verdict(r: &Reconcile, valid: &Valid) -> Verdict {
    let Some(metrics) = r.status().trial.as_ref().map(|trial| &trial.metrics) else {
        return Verdict::Pending;
    };
    let of = |metric: &Metric| {
        metrics
            .get(&metric.name)
            .map_or(Verdict::Pending, |state| analysis::verdict(&metric.limits, &state.tally))
    };
    analysis::worst(valid.metrics.iter().map(of))
}

/// What the metrics answered last that was no value.
pub(super) fn evidence(r: &Reconcile) -> Evidence {
    let mut said = r.status().trial.iter().flat_map(|trial| &trial.metrics).filter_map(|(name, state)| {
        let metric = name.clone();
        Some(match state.last.as_ref()? {
            Outcome::Error { class, message } => {
                Evidence::Error { metric, class: *class, message: message.clone() }
            }
            Outcome::NoData => Evidence::NoData { metric },
            Outcome::NonFinite => Evidence::NonFinite { metric },
            Outcome::TooFew { found, wanted } => Evidence::TooFew { metric, found: *found, wanted: *wanted },
            Outcome::Value(_) => return None,
        })
    });
    said.next().unwrap_or(Evidence::Nothing)
}
