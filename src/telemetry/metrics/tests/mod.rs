mod page;

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr};
use serde_json::Value;

use super::*;
use crate::api::{Phase, Trial, Waiting};

fn key(name: &str) -> Key {
    Key { namespace: "shop".into(), name: name.into() }
}

fn status(phase: Phase, weight: Option<u8>, waits: Option<&str>) -> RolloutStatus {
    RolloutStatus {
        phase,
        weight,
        trial: weight.map(|_| Trial::default()),
        waiting: waits.map(|reason| Waiting { reason: reason.to_owned(), ..Waiting::default() }),
        ..RolloutStatus::default()
    }
}

/// Metrics in which each family has at least one series.
fn busy() -> Metrics {
    let metrics = Metrics::default();
    metrics.wrote("httproutes", "patch", "ok");
    metrics.asked("value", Duration::from_millis(3));
    metrics.called("no", Duration::from_millis(30));
    metrics.leads(41);
    metrics.took_back(Duration::from_millis(7));
    metrics.failed("observe");
    metrics.saw(&key("web"), Some(&status(Phase::Stepping, Some(25), Some("MetricsUnavailable"))));
    metrics
}

#[test]
fn metrics_carry_the_names_that_dashboards_and_alerts_use() {
    let text = busy().render().expect("text");
    for line in [
        "steelyard_writes_total{kind=\"httproutes\",verb=\"patch\",result=\"ok\"} 1",
        "steelyard_queries_total{outcome=\"value\"} 1",
        "steelyard_query_seconds_count 1",
        "steelyard_webhook_calls_total{outcome=\"no\"} 1",
        "steelyard_webhook_seconds_bucket{le=\"0.05\"} 1",
        "steelyard_conflicts_total 0",
        "steelyard_reconcile_duration_seconds_count 0",
        "steelyard_breach_to_write_seconds_bucket{le=\"0.01\"} 1",
        "steelyard_is_leader 1",
        "steelyard_epoch 41",
        "steelyard_build_info{version=",
        "steelyard_events_total{reason=\"RolledBack\"} 0",
        "steelyard_failed_looks_total{cause=\"observe\"} 1",
        "steelyard_rollouts{phase=\"Stepping\"} 1",
        "steelyard_rollouts_waiting{reason=\"MetricsUnavailable\"} 1",
        "steelyard_rollout_weight_percent{namespace=\"shop\",name=\"web\"} 25",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_rollout_is_counted_once_whatever_becomes_of_it() {
    let metrics = busy();
    metrics.saw(&key("api"), Some(&status(Phase::Stable, None, None)));
    metrics.saw(&key("web"), Some(&status(Phase::Stable, None, None)));
    metrics.saw(&key("web"), Some(&status(Phase::Stable, None, None)));
    let text = metrics.render().expect("text");
    for line in [
        "steelyard_rollouts{phase=\"Stable\"} 2",
        "steelyard_rollouts{phase=\"Stepping\"} 0",
        "steelyard_rollouts_waiting{reason=\"MetricsUnavailable\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("steelyard_rollout_weight_percent{"), "at rest there is no weight:\n{text}");
    metrics.saw(&key("api"), None);
    assert!(metrics.render().expect("text").contains("steelyard_rollouts{phase=\"Stable\"} 1"));
}

/// The metrics that a query reads.
fn read(query: &str) -> BTreeSet<String> {
    // Grafana's own variables are durations.
    let query = query.replace("$__rate_interval", "5m");
    let expression = parser::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut names = BTreeSet::new();
    walk(&expression, &mut names);
    assert!(!names.is_empty(), "{query} reads nothing");
    names
}

fn walk(expression: &Expr, names: &mut BTreeSet<String>) {
    match expression {
        Expr::VectorSelector(selector) => names.extend(selector.name.clone()),
        Expr::MatrixSelector(matrix) => names.extend(matrix.vs.name.clone()),
        Expr::Aggregate(aggregate) => walk(&aggregate.expr, names),
        Expr::Unary(unary) => walk(&unary.expr, names),
        Expr::Paren(paren) => walk(&paren.expr, names),
        Expr::Subquery(subquery) => walk(&subquery.expr, names),
        Expr::Binary(binary) => {
            walk(&binary.lhs, names);
            walk(&binary.rhs, names);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|argument| walk(argument, names)),
        _ => {}
    }
}

/// The metrics that there are, as Prometheus stores them.
fn served() -> BTreeSet<String> {
    let text = busy().render().expect("text");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned)).collect()
}

#[test]
fn every_metric_in_the_dashboard_is_served() {
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../../charts/steelyard/dashboard.json")).expect("JSON");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "each panel has an id of its own: {panel}");
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            let missing: Vec<_> = read(query).difference(&served()).cloned().collect();
            assert!(missing.is_empty(), "{}: {missing:?}", panel["title"]);
        }
    }
}

/// The chart's alerts.
fn alerts() -> Vec<Value> {
    let alerts: Value =
        serde_saphyr::from_str(include_str!("../../../../charts/steelyard/alerts.yaml")).expect("YAML");
    alerts["groups"][0]["rules"].as_array().expect("rules").clone()
}

#[test]
fn every_metric_in_the_alerts_is_served() {
    for rule in alerts() {
        let query = rule["expr"].as_str().expect("a query");
        let missing: Vec<_> = read(query).difference(&served()).cloned().collect();
        assert!(missing.is_empty(), "{}: {missing:?}", rule["alert"]);
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{}: {text}", rule["alert"]);
        }
    }
}
