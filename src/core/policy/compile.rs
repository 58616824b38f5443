//! What a policy must say to be run. All faults, each with its path.

use std::{collections::BTreeSet, time::Duration};

use super::{
    checks::{exactly_one, span, unserved},
    fault::Fault,
    problem::Problem,
    stages::{Stage, stages},
    template,
    terms::{Count, LEAST, Terms},
};
use crate::{
    analysis::{Limits, Measurement, Outcome, Threshold},
    api::{self, Analysis, NoData, OnFail, RolloutPolicySpec, Scope, Shifting, Traffic, Unclear},
};

/// A policy that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// What happens, in this order.
    pub stages: Vec<Stage>,
    /// What moves the traffic.
    pub shifting: Shifting,
    /// Which versions are gone back to without steps.
    pub window: Option<Window>,
    /// What becomes of the template after a failure.
    pub on_fail: OnFail,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// The name of the Prometheus source.
    pub source: String,
    /// How long after a weight nothing is measured.
    pub settle: Duration,
    /// The time between two looks.
    pub interval: Duration,
    /// How long pods and verdicts may take.
    pub deadline: Duration,
    /// What a step does that found nothing to compare.
    pub on_inconclusive: Unclear,
    /// What a step does whose source failed.
    pub on_error: Unclear,
}

/// Which versions are gone back to without steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// One of the last so many before the one that serves.
    pub revisions: usize,
    /// One that served no longer ago than this.
    pub within: Duration,
}

/// A metric that can be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its query, with variables.
    pub query: String,
    /// Its bounds.
    pub threshold: Threshold,
    /// Its limits.
    pub limits: Limits,
    /// What a look without data counts as.
    pub no_data: NoData,
    /// On which terms its answers are ones; the query that counts samples still has its variables.
    pub terms: Terms,
}

impl Metric {
    /// What an answer says of the canary.
    pub fn measure(&self, outcome: &Outcome) -> Measurement {
        match (outcome, self.no_data) {
            (Outcome::NoData, NoData::Fail) => Measurement::Fail,
            _ => self.threshold.measure(outcome),
        }
    }
}

/// Checks a policy's values.
///
/// # Errors
/// All faults, in the order of the fields; never an empty list.
pub fn valid(spec: &RolloutPolicySpec) -> Result<Valid, Vec<Fault>> {
    let RolloutPolicySpec { strategy, traffic: routed, analysis, on_fail, deadline, rollback_window } = spec;
    let mut faults = Vec::new();
    let stages = stages(strategy, routed.service.is_some(), &mut faults);
    traffic(routed, &mut faults);
    let metrics = analysed(analysis, &mut faults);
    let deadline = span(*deadline, "spec.deadline", &mut faults);
    if deadline.is_zero() {
        faults.push(Fault::of("spec.deadline", &Problem::DeadlineZero));
    }
    let window = rollback_window.as_ref().map(|window| rollback(window, &mut faults));
    let settle = span(analysis.settle, "spec.analysis.settle", &mut faults);
    let interval = span(analysis.interval, "spec.analysis.interval", &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let source = analysis.source.clone().unwrap_or_else(|| "default".to_owned());
    let interval = interval.max(Duration::from_millis(100));
    let shifting = match (routed.service.is_some(), strategy.blue_green.is_some()) {
        (true, _) => Shifting::Services,
        (false, true) => Shifting::RouteAndServices,
        (false, false) => Shifting::Route,
    };
    let on_fail = *on_fail;
    let Analysis { on_inconclusive, on_error, .. } = *analysis;
    Ok(Valid {
        stages,
        shifting,
        window,
        on_fail,
        metrics,
        source,
        settle,
        interval,
        deadline,
        on_inconclusive,
        on_error,
    })
}

fn rollback(window: &api::RollbackWindow, faults: &mut Vec<Fault>) -> Window {
    let api::RollbackWindow { revisions, within } = window;
    let path = "spec.rollbackWindow";
    if revisions.is_none() && within.is_none() {
        faults.push(Fault::of(path, &Problem::NoRollbackWindow));
    }
    if revisions.is_some_and(|count| !(1..=10).contains(&count)) {
        faults.push(Fault::of(format!("{path}.revisions"), &Problem::Revisions));
    }
    let within = within.map_or(Duration::MAX, |within| span(within, &format!("{path}.within"), faults));
    Window { revisions: revisions.map_or(usize::MAX, usize::from), within }
}

fn traffic(traffic: &Traffic, faults: &mut Vec<Fault>) {
    let Traffic { gateway_api, istio, traefik, ingress, service } = traffic;
    let others = [("istio", istio.is_some()), ("traefik", traefik.is_some()), ("ingress", ingress.is_some())];
    let served = usize::from(gateway_api.is_some()) + usize::from(service.is_some());
    let set = others.iter().filter(|(_, set)| *set).count() + served;
    exactly_one("spec.traffic", "gatewayAPI, istio, traefik, ingress and service", set, faults);
    unserved("spec.traffic", others, faults);
    let mut names = BTreeSet::new();
    for (index, name) in gateway_api.iter().flat_map(|api| api.routes.iter()).enumerate() {
        let path = format!("spec.traffic.gatewayAPI.routes[{index}]");
        if name.is_empty() {
            faults.push(Fault::of(path, &Problem::NoRouteName));
        } else if !names.insert(name) {
            faults.push(Fault::of(path, &Problem::RouteTwice(name.clone())));
        }
    }
}

fn analysed(analysis: &Analysis, faults: &mut Vec<Fault>) -> Vec<Metric> {
    let Analysis { settle: _, interval: _, source: _, on_inconclusive: _, on_error: _, metrics } = analysis;
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let path = format!("spec.analysis.metrics[{index}]");
        if !metric.name.is_empty() && !names.insert(metric.name.as_str()) {
            let taken = Problem::MetricNameTaken(metric.name.clone());
            faults.push(Fault::of(format!("{path}.name"), &taken));
        }
        found.extend(one_metric(metric, &path, faults));
    }
    found
}

fn one_metric(metric: &api::Metric, path: &str, faults: &mut Vec<Fault>) -> Option<Metric> {
    let api::Metric {
        name,
        query,
        min,
        max,
        failure_limit,
        consecutive_failure_limit,
        inconclusive_limit,
        error_limit,
        min_measurements,
        no_data,
        samples,
        max_sample_age,
        series,
        on_warnings,
        timeout,
        compare,
        preset,
        scope,
    } = metric;
    let set = [query.is_some(), compare.is_some(), preset.is_some()].into_iter().filter(|set| *set).count();
    exactly_one(path, "query, compare and preset", set, faults);
    let fields = [("compare", compare.is_some()), ("preset", preset.is_some())];
    unserved(path, fields, faults);
    if let Some(compare) = compare {
        compared(compare, metric, path, faults);
    }
    if min_measurements == &Some(0) {
        faults.push(Fault::of(format!("{path}.minMeasurements"), &Problem::NoMeasurements));
    }
    let threshold = Threshold { min: *min, max: *max };
    let query = query.as_ref()?;
    if name.is_empty() {
        faults.push(Fault::of(format!("{path}.name"), &Problem::NoMetricName));
    }
    if let Err(error) = threshold.check() {
        faults.push(Fault::of(path, &Problem::Threshold(error)));
    }
    asked(query, *scope, &format!("{path}.query"), faults);
    if let Some(samples) = samples {
        asked(&samples.query, *scope, &format!("{path}.samples.query"), faults);
    }
    let mut limits = Limits::default();
    limits.failure_limit = failure_limit.unwrap_or(limits.failure_limit);
    limits.consecutive_failure_limit = *consecutive_failure_limit;
    limits.inconclusive_limit = inconclusive_limit.unwrap_or(limits.inconclusive_limit);
    limits.error_limit = error_limit.unwrap_or(limits.error_limit);
    limits.min_measurements = min_measurements.unwrap_or(limits.min_measurements);
    let terms = Terms {
        samples: samples
            .as_ref()
            .map(|samples| Count { query: samples.query.clone(), least: samples.min.unwrap_or(LEAST) }),
        max_sample_age: max_sample_age.map(Duration::from),
        timeout: timeout.map(Duration::from),
        series: *series,
        bounds: threshold,
        warnings: *on_warnings,
    };
    let (name, query) = (name.clone(), query.clone());
    Some(Metric { name, query, threshold, limits, no_data: *no_data, terms })
}

fn compared(compare: &api::Compare, metric: &api::Metric, path: &str, faults: &mut Vec<Fault>) {
    let api::Compare { errors, requests, histogram } = compare;
    if errors.is_some() != requests.is_some() || errors.is_some() == histogram.is_some() {
        faults.push(Fault::of(format!("{path}.compare"), &Problem::CompareNothing));
    }
    if metric.min.is_some() || metric.max.is_some() {
        faults.push(Fault::of(path, &Problem::CompareBounded));
    }
}

fn asked(query: &str, scope: Scope, path: &str, faults: &mut Vec<Fault>) {
    if let Err(error) = template::check(query) {
        faults.push(Fault::of(path, &Problem::Query(error)));
    } else if scope == Scope::Canary && !template::names_one_version(query) {
        faults.push(Fault::of(path, &Problem::BothVersions));
    }
}
