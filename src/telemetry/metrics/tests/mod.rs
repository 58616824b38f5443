mod page;

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr};
use serde_json::Value;

use super::*;
use crate::{
    api::{Phase, Trial, Waiting},
    traffic::Weight,
};

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

fn status(phase: Phase, weight: Option<Weight>, waits: Option<&str>) -> RolloutStatus {
    RolloutStatus {
        phase,
        weight,
        trial: weight.map(|_| Trial::default()),
        waiting: waits.map(|reason| Waiting { reason: reason.to_owned(), ..Waiting::default() }),
        ..RolloutStatus::default()
    }
}

/// Returns metrics in which each family has at least one series.
fn busy() -> Metrics {
    let metrics = Metrics::default();
    metrics.wrote("httproutes", "patch", "ok");
    metrics.query_finished("value", Duration::from_millis(3));
    metrics.webhook_finished("refused", Duration::from_millis(30));
    metrics.leads(41);
    metrics.traffic_returned(Duration::from_millis(7));
    metrics.reconcile_failed("observe");
    metrics.rollout_seen(
        &key("web"),
        Some(&status(Phase::Stepping, Some(Weight::percent(25)), Some("MetricsUnavailable"))),
    );
    metrics
}

#[test]
fn metrics_have_the_documented_names() {
    let text = busy().render().expect("text");
    for line in [
        "steelyard_writes_total{kind=\"httproutes\",verb=\"patch\",result=\"ok\"} 1",
        "steelyard_prometheus_queries_total{outcome=\"value\"} 1",
        "steelyard_prometheus_query_duration_seconds_count 1",
        "steelyard_webhook_calls_total{outcome=\"refused\"} 1",
        "steelyard_webhook_call_duration_seconds_bucket{le=\"0.05\"} 1",
        "steelyard_conflicts_total 0",
        "steelyard_reconcile_duration_seconds_count 0",
        "steelyard_rollback_latency_seconds_bucket{le=\"0.01\"} 1",
        "steelyard_is_leader 1",
        "steelyard_leader_epoch 41",
        "steelyard_build_info{version=",
        "steelyard_events_total{reason=\"RolledBack\"} 0",
        "steelyard_reconcile_errors_total{cause=\"observe\"} 1",
        "steelyard_rollouts{phase=\"Stepping\"} 1",
        "steelyard_rollouts_waiting{reason=\"MetricsUnavailable\"} 1",
        "steelyard_rollout_weight_ratio{namespace=\"shop\",name=\"web\"} 0.25",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_rollout_is_counted_once_in_each_state() {
    let metrics = busy();
    metrics.rollout_seen(&key("api"), Some(&status(Phase::Stable, None, None)));
    metrics.rollout_seen(&key("web"), Some(&status(Phase::Stable, None, None)));
    metrics.rollout_seen(&key("web"), Some(&status(Phase::Stable, None, None)));
    let text = metrics.render().expect("text");
    for line in [
        "steelyard_rollouts{phase=\"Stable\"} 2",
        "steelyard_rollouts{phase=\"Stepping\"} 0",
        "steelyard_rollouts_waiting{reason=\"MetricsUnavailable\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(
        !text.contains("steelyard_rollout_weight_ratio{"),
        "without a rollout in progress there is no weight:\n{text}"
    );
    metrics.rollout_seen(&key("api"), None);
    assert!(metrics.render().expect("text").contains("steelyard_rollouts{phase=\"Stable\"} 1"));
}

/// Returns the metrics that a query reads.
fn read(query: &str) -> BTreeSet<String> {
    // Grafana's variables are durations.
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

/// Returns the names of the metrics, as Prometheus stores them.
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
        assert!(ids.insert(panel["id"].as_u64()), "each panel has a unique id: {panel}");
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            let missing: Vec<_> = read(query).difference(&served()).cloned().collect();
            assert!(missing.is_empty(), "{}: {missing:?}", panel["title"]);
        }
    }
}

/// Returns the alerts of the chart.
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
