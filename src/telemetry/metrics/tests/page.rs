//! `docs/metrics.md`, made from what is served and from the chart's alerts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{alerts, busy};

const INTRODUCTION: &str = "# What the controller counts

Made from the code (`src/telemetry/metrics.rs`) and from the chart's [alerts](../charts/steelyard/alerts.yaml). Each pod serves `/metrics` on its port `metrics`; which of the chart's values have
Prometheus and Grafana find them stands in [troubleshooting](troubleshooting.md#no-metrics-no-alerts-no-dashboard). A pod that does not lead counts no rollouts.

| metric | kind | labels | what it counts |
| --- | --- | --- | --- |
";

const ALERTS: &str = "
## Alerts

| alert | severity | fires | what it says |
| --- | --- | --- | --- |
";

/// The names of the labels of each series, by the metric that Prometheus stores; a histogram's `le` is part of its kind.
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
    let (mut told, mut shown) = (BTreeMap::new(), 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some((family, rest)) = rest.split_once(' ') else { continue };
        match what {
            "HELP" => drop(told.insert(family, rest)),
            "TYPE" => {
                // A sample's name has an ending by its kind.
                let (name, sample) = match rest {
                    "counter" => (format!("{family}_total"), format!("{family}_total")),
                    "histogram" => (family.to_owned(), format!("{family}_count")),
                    "info" => (format!("{family}_info"), format!("{family}_info")),
                    _ => (family.to_owned(), family.to_owned()),
                };
                let of: Vec<_> = labels[&*sample].iter().map(|label| format!("`{label}`")).collect();
                let _ = writeln!(page, "| `{name}` | {rest} | {} | {} |", of.join(", "), told[family]);
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
        let _ = writeln!(page, "| `{name}` | {severity} | {when} | {}. {description} |", varied(&summary));
    }
    page
}

/// What an alert's template fills in varies: `…`.
fn varied(template: &str) -> String {
    let mut parts = template.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "…" + part.split_once("}}").map_or("", |(_, rest)| rest))
}

#[test]
fn the_page_of_metrics_is_the_one_that_the_code_makes() {
    crate::pages::assert_current("docs/metrics.md", &page());
}
