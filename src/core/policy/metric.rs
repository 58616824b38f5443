//! The metrics of a policy, compiled.

use std::{collections::BTreeSet, time::Duration};

use super::{
    checks::span,
    fault::Fault,
    problem::Problem,
    query::Query,
    source::{
        Source,
        prometheus::{LEAST, Prometheus, Samples, Terms},
    },
};
use crate::{
    analysis::{Criterion, Limits, Measurement, Outcome, Threshold},
    api::{self, Analysis, NoData, Scope},
};

/// The name of the source if the policy names none.
const DEFAULT_SOURCE: &str = "default";
/// The shortest interval.
const SHORTEST: Duration = Duration::from_millis(100);

/// A metric that can be measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The source and the query.
    pub source: Source,
    /// The time between two measurements.
    pub interval: Duration,
    /// What decides whether a value passes.
    pub criterion: Criterion,
    /// Its limits.
    pub limits: Limits,
    /// The result of a measurement without data.
    pub no_data: NoData,
    /// Whether its measurements have an effect.
    pub mode: Mode,
}

/// Whether the measurements of a metric have an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They decide on the step.
    #[default]
    Enforced,
    /// They are only reported.
    DryRun,
}

impl Metric {
    /// Returns the result of a measurement with this outcome.
    pub fn measure(&self, outcome: &Outcome) -> Measurement {
        match (outcome, self.no_data) {
            (Outcome::NoData, NoData::Fail) => Measurement::Fail,
            _ => self.criterion.measure(outcome),
        }
    }
}

/// Compiles the metrics of an analysis, and adds its errors to `faults`.
pub(super) fn metrics(analysis: &Analysis, faults: &mut Vec<Fault>) -> Vec<Metric> {
    let interval = span(analysis.interval, "spec.analysis.interval", faults);
    let source = analysis.source.as_deref().unwrap_or(DEFAULT_SOURCE);
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for (index, metric) in analysis.metrics.iter().enumerate() {
        let path = format!("spec.analysis.metrics[{index}]");
        if !metric.name.is_empty() && !names.insert(metric.name.as_str()) {
            let taken = Problem::MetricNameTaken(metric.name.clone());
            faults.push(Fault::of(format!("{path}.name"), &taken));
        }
        let own = metric.interval.map(|own| span(own, &format!("{path}.interval"), faults));
        let interval = own.unwrap_or(interval).max(SHORTEST);
        let source = metric.source.as_deref().unwrap_or(source);
        let draft = Draft { metric, source, interval, path: &path };
        found.extend(draft.compile(faults));
    }
    found
}

/// A metric before it is compiled, with the defaults of the analysis.
struct Draft<'a> {
    metric: &'a api::Metric,
    /// The name of its source.
    source: &'a str,
    interval: Duration,
    /// Its path.
    path: &'a str,
}

impl Draft<'_> {
    fn compile(&self, faults: &mut Vec<Fault>) -> Option<Metric> {
        let Self { metric, path, .. } = self;
        if metric.min_measurements == Some(0) {
            faults.push(Fault::of(format!("{path}.minMeasurements"), &Problem::NoMeasurements));
        }
        if metric.name.is_empty() {
            faults.push(Fault::of(format!("{path}.name"), &Problem::EmptyField));
        }
        let criterion = self.criterion(faults);
        let source = Source::Prometheus(self.prometheus(&metric.query, criterion, faults)?);
        Some(Metric {
            name: metric.name.clone(),
            source,
            interval: self.interval,
            criterion,
            limits: self.limits(),
            no_data: metric.no_data,
            mode: if metric.dry_run { Mode::DryRun } else { Mode::Enforced },
        })
    }

    fn criterion(&self, faults: &mut Vec<Fault>) -> Criterion {
        let threshold = Threshold { min: self.metric.min, max: self.metric.max };
        if let Err(error) = threshold.check() {
            faults.push(Fault::of(self.path, &Problem::Threshold(error)));
        }
        Criterion::Threshold(threshold)
    }

    fn limits(&self) -> Limits {
        let (metric, defaults) = (self.metric, Limits::default());
        Limits {
            failure_limit: metric.failure_limit.unwrap_or(defaults.failure_limit),
            consecutive_failure_limit: metric.consecutive_failure_limit,
            inconclusive_limit: metric.inconclusive_limit.unwrap_or(defaults.inconclusive_limit),
            error_limit: metric.error_limit.unwrap_or(defaults.error_limit),
            min_measurements: metric.min_measurements.unwrap_or(defaults.min_measurements),
        }
    }

    fn prometheus(&self, query: &str, criterion: Criterion, faults: &mut Vec<Fault>) -> Option<Prometheus> {
        let query = self.query(query, "query", faults);
        let samples = self.metric.samples.as_ref().map(|samples| {
            let query = self.query(&samples.query, "samples.query", faults)?;
            Some(Samples { query, least: samples.min.unwrap_or(LEAST) })
        });
        let terms = Terms {
            max_sample_age: self.metric.max_sample_age.map(Duration::from),
            timeout: self.metric.timeout.map(Duration::from),
            series: self.metric.series,
            criterion: Some(criterion),
            warnings: self.metric.on_warnings,
        };
        Some(Prometheus { source: self.source.to_owned(), query: query?, samples: samples.flatten(), terms })
    }

    /// Compiles a query of this field.
    fn query(&self, text: &str, field: &str, faults: &mut Vec<Fault>) -> Option<Query> {
        let path = format!("{}.{field}", self.path);
        if text.is_empty() {
            faults.push(Fault::of(path, &Problem::EmptyField));
            return None;
        }
        match Query::compile(text, self.interval) {
            Ok(query) => {
                if self.metric.scope == Scope::Canary && !query.names_one_version() {
                    faults.push(Fault::of(path, &Problem::BothVersions));
                }
                Some(query)
            }
            Err(error) => {
                faults.push(Fault::of(path, &Problem::Query(error)));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(analysis: serde_json::Value) -> Result<Vec<Metric>, Vec<Fault>> {
        let mut faults = Vec::new();
        let metrics = metrics(&serde_json::from_value(analysis).unwrap(), &mut faults);
        if faults.is_empty() { Ok(metrics) } else { Err(faults) }
    }

    #[test]
    fn a_metric_has_its_own_source_and_interval_or_those_of_the_analysis() {
        let query = "rate(up{pod=~\"$canary_pods\"}[$interval])";
        let metrics = compiled(json!({"source": "main", "interval": "30s", "metrics": [
            {"name": "a", "min": 1, "query": query},
            {"name": "b", "min": 1, "query": query, "source": "logs", "interval": "2m"},
        ]}));
        let of = |metric: &Metric| {
            let Source::Prometheus(prometheus) = &metric.source;
            (
                prometheus.source.clone(),
                metric.interval.as_secs(),
                metric.source.reach(Duration::ZERO).as_secs(),
            )
        };
        let found: Vec<_> = metrics.unwrap().iter().map(of).collect();
        assert_eq!(found, [("main".to_owned(), 30, 30), ("logs".to_owned(), 120, 120)]);
        let [metric] = &compiled(json!({"metrics": [{"name": "a", "min": 1, "query": query}]})).unwrap()[..]
        else {
            panic!("one metric")
        };
        assert_eq!(of(metric), ("default".to_owned(), 60, 60));
    }

    #[test]
    fn the_range_of_a_measurement_includes_the_query_that_counts_requests() {
        let metrics = compiled(json!({"metrics": [{
            "name": "a", "min": 1, "query": "rate(up{pod=~\"$canary_pods\"}[1m])",
            "samples": {"query": "sum(increase(all{pod=~\"$canary_pods\"}[5m]))"},
        }]}));
        assert_eq!(metrics.unwrap()[0].source.reach(Duration::ZERO), Duration::from_mins(5));
    }

    #[test]
    fn an_invalid_interval_is_reported_with_its_path_wherever_the_spec_comes_from() {
        let faults = compiled(json!({"metrics": [
            {"name": "a", "min": 1, "query": "up{pod=~\"$canary_pods\"}", "interval": "-1s"},
        ]}));
        let paths: Vec<_> = faults.unwrap_err().into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["spec.analysis.metrics[0].interval"]);
    }
}
