//! `docs/metrics.md`, generated from the metrics and from the chart's alerts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{alerts, busy};

const INTRODUCTION: &str = "# Metrics and alerts of the controller

This page is generated from the code (`src/telemetry/metrics/mod.rs`) and from the chart's
[alerts](../charts/steelyard/alerts.yaml). Each pod serves `/metrics` on its port `metrics`. For the
chart values that let Prometheus and Grafana find the metrics, see
[troubleshooting](troubleshooting.md#no-metrics-no-alerts-no-dashboard). Only the leader counts
rollouts.

| metric | type | labels | description |
| --- | --- | --- | --- |
";

const ALERTS: &str = "
## Alerts

| alert | severity | fires | description |
| --- | --- | --- | --- |
";

/// Returns the label names of each metric, by the name that Prometheus stores. The label `le` of
/// histograms is left out.
fn labels(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).expect("a sample");
        let names = rest.split(['{', ',']).filter_map(|part| part.split_once("=\"").map(|(name, _)| name));
        labels.entry(name).or_default().extend(names.filter(|name| *name != "le"));
    }
    labels
}

fn metrics() -> String {
    let text = busy().render().expect("text");
    let labels = labels(&text);
    let mut page = String::new();
    let (mut help, mut shown) = (BTreeMap::new(), 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some((family, rest)) = rest.split_once(' ') else { continue };
        match what {
            "HELP" => drop(help.insert(family, rest)),
            "TYPE" => {
                // The suffix of a sample's name depends on the type.
                let (name, sample) = match rest {
                    "counter" => (format!("{family}_total"), format!("{family}_total")),
                    "histogram" => (family.to_owned(), format!("{family}_count")),
                    "info" => (format!("{family}_info"), format!("{family}_info")),
                    _ => (family.to_owned(), family.to_owned()),
                };
                let of: Vec<_> = labels[&*sample].iter().map(|label| format!("`{label}`")).collect();
                let _ = writeln!(page, "| `{name}` | {rest} | {} | {} |", of.join(", "), help[family]);
                shown += 1;
            }
            _ => {}
        }
    }
    assert_eq!(shown, text.matches("# TYPE").count());
    page
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned() + &metrics() + ALERTS;
    for rule in alerts() {
        let text = |path: &str| rule.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let when = text("/for");
        let when = if when.is_empty() { "at once".to_owned() } else { format!("after {when}") };
        let (name, severity) = (text("/alert"), text("/labels/severity"));
        let (summary, description) = (text("/annotations/summary"), text("/annotations/description"));
        let _ = writeln!(
            page,
            "| `{name}` | {severity} | {when} | {}. {description} |",
            without_placeholders(&summary)
        );
    }
    page
}

/// Replaces the placeholders of an alert's template with `…`.
fn without_placeholders(template: &str) -> String {
    let mut parts = template.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "…" + part.split_once("}}").map_or("", |(_, rest)| rest))
}

#[test]
fn the_page_of_metrics_matches_the_code() {
    crate::pages::assert_current("docs/metrics.md", &page());
}
