//! Measurements of a step: which metrics are due, which answers count, and the verdict.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    inquiry::Inquiry,
    plan::Ask,
    reasons::{During, EventReason, Evidence, Failure},
    reconcile::{Flow, GO_ON, Reconcile, after},
    rollback,
    variables::with_pods,
};
use crate::{
    analysis::{self, Measurement, Miss, Outcome, Verdict},
    policy::{Metric, Mode, Policy},
};

/// Queries each metric that is due while the canary has traffic.
pub(super) fn ask(r: &mut Reconcile, policy: &Policy) {
    if r.trial().traffic_since.is_none() {
        return;
    }
    let now = r.now();
    let (revision, step) = (r.revision(), r.trial().step);
    let mut variables = None;
    for metric in &policy.metrics {
        let state = r.trial().metrics.entry(metric.name.clone()).or_default();
        let due = state.asked_at.map_or(now, |at| after(at, metric.interval));
        let inquiry = Inquiry::Metric(metric.name.clone());
        if r.world().asking.contains(&inquiry) {
            continue;
        }
        if now < due {
            r.wake_at(due);
            continue;
        }
        let request = metric.source.request(variables.get_or_insert_with(|| with_pods(r)));
        let state = r.trial().metrics.entry(metric.name.clone()).or_default();
        (state.asked_at, state.dry_run) = (Some(now), metric.mode == Mode::DryRun);
        r.ask(Ask { revision: revision.clone(), step, inquiry, request, at: now });
    }
}

/// Counts the answers that arrived. Rolls back if one of them makes the verdict of its metric Fail.
pub(super) fn count(r: &mut Reconcile) -> Flow {
    let Some(policy) = r.policy() else { return GO_ON };
    let revision = r.revision();
    for reading in r.world().readings.iter().filter(|reading| reading.revision == revision) {
        let named = |metric: &&Metric| Some(metric.name.as_str()) == reading.inquiry.metric();
        let Some(metric) = policy.metrics.iter().find(named) else { continue };
        let measurement = metric.measure(&reading.outcome);
        let reach = metric.source.reach(reading.lookback);
        let begin = |since: Option<Timestamp>, settle: Duration| {
            since.is_some_and(|since| reading.at >= after(since, reach.saturating_add(settle)))
        };
        let trial = r.trial();
        let counts = match (measurement, &reading.outcome) {
            // A failed value needs its window within the time that this revision has had traffic;
            // every other result, missing data too, needs it within the step, because there is no
            // data at first.
            (Measurement::Fail, Outcome::Value(_)) => begin(trial.traffic_since, Duration::ZERO),
            _ => reading.step == trial.step && begin(trial.weight_accepted_at, policy.settle),
        };
        let state = trial.metrics.entry(metric.name.clone()).or_default();
        state.last = Some(reading.outcome.clone());
        if !counts {
            continue;
        }
        state.tally.record(&measurement);
        if analysis::verdict(&metric.limits, &state.tally) != Verdict::Fail {
            continue;
        }
        let (name, miss) = (metric.name.clone(), metric.criterion.missed(&reading.outcome));
        match metric.mode {
            Mode::Enforced => {
                let failure = Failure::MetricFailed { metric: name, miss };
                return rollback::fail_on(r, &failure, reading);
            }
            Mode::DryRun => would_fail(r, &policy, name, miss),
        }
    }
    GO_ON
}

/// Reports once per step that a dry-run metric would have failed.
fn would_fail(r: &mut Reconcile, policy: &Policy, metric: String, miss: Miss) {
    let now = r.now();
    let trial = r.trial();
    let during = match trial.handover {
        Some(_) => During::Handover,
        None => During::Step { step: trial.step + 1, of: policy.stages.len() },
    };
    let state = trial.metrics.entry(metric.clone()).or_default();
    if state.would_have_failed.is_some() {
        return;
    }
    state.would_have_failed = Some(now);
    let revision = r.revision();
    r.report(&EventReason::DryRunFailed { metric, miss, during, revision });
}

/// Returns the verdict of the step so far, without dry-run metrics.
pub(super) fn verdict(r: &Reconcile, policy: &Policy) -> Verdict {
    let Some(metrics) = r.status().trial.as_ref().map(|trial| &trial.metrics) else {
        return Verdict::Pending;
    };
    let of = |metric: &Metric| {
        metrics
            .get(&metric.name)
            .map_or(Verdict::Pending, |state| analysis::verdict(&metric.limits, &state.tally))
    };
    let enforced = policy.metrics.iter().filter(|metric| metric.mode == Mode::Enforced);
    analysis::worst(enforced.map(of))
}

/// Returns the last answer of an enforced metric that is not a value.
pub(super) fn evidence(r: &Reconcile) -> Evidence {
    let states = r.status().trial.iter().flat_map(|trial| &trial.metrics);
    let mut said = states.filter(|(_, state)| !state.dry_run).filter_map(|(name, state)| {
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
