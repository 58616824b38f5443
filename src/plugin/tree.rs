//! A rollout as a tree: its phase, its versions with their pods, its metrics.

use jiff::Timestamp;

use super::text::{age, clock, cut, number, row, span, table};
use crate::{
    analysis::Outcome,
    api::{Opened, Phase, Waiting},
    view::{Metric, Running, View},
};

/// Whether output is colored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Plain text.
    Plain,
    /// Text with terminal colors.
    Color,
}

impl Paint {
    fn color(self, text: &str, code: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Color => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    /// Returns a phase: green when stable, red when rolled back, yellow during a rollout.
    fn phase(self, phase: Phase) -> String {
        let code = match phase {
            Phase::Stable => "32",
            Phase::RollingBack | Phase::RolledBack => "31",
            Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting | Phase::Unknown => "33",
        };
        self.color(&phase.to_string(), code)
    }
}

/// Returns the lines of the tree.
pub(super) fn tree(view: &View, now: Timestamp, paint: Paint) -> Vec<String> {
    let mut lines = vec![title(view)];
    lines.extend(table(&facts(view, now, paint)));
    for (index, version) in view.versions.iter().enumerate() {
        lines.extend(self::version(version, index + 1 == view.versions.len(), now));
    }
    if !view.metrics.is_empty() {
        lines.push(String::new());
        lines.extend(metrics(&view.metrics, now));
    }
    lines
}

fn title(view: &View) -> String {
    let View { name, namespace, replicas, .. } = view;
    let held = if view.held { ", new template held" } else { "" };
    format!("Deployment {name} in namespace {namespace}, {replicas} replicas{held}")
}

/// Returns the rows above the versions.
fn facts(view: &View, now: Timestamp, paint: Paint) -> Vec<Vec<String>> {
    let mut facts = vec![row(["  Phase", &format!("{}{}", paint.phase(view.phase), step(view))])];
    facts.push(row([
        "  Policy",
        view.policy.as_deref().unwrap_or("none: annotation steelyard.io/policy is not set"),
    ]));
    if let Some(weight) = view.weight.filter(|_| view.in_progress) {
        let observed = view
            .observed_weight
            .map_or_else(|| "observed weight unknown".to_owned(), |observed| format!("{observed} observed"));
        facts.push(row(["  Weight", &format!("{weight} desired, {observed}")]));
    }
    if let Some(verdict) = &view.verdict {
        facts.push(row(["  Verdict", verdict]));
    }
    if let Some(waiting) = &view.waiting {
        facts.push(row(["  Waiting", &format!("{}: {}", waiting.reason, waiting.message)]));
        let times = times(waiting, now);
        if !times.is_empty() {
            facts.push(row(["", &times]));
        }
    }
    for (index, gate) in view.gates.iter().enumerate() {
        facts.push(row([if index == 0 { "  Gates" } else { "" }, &opened_by(gate, now)]));
    }
    if view.paused() {
        let by =
            view.intents.pause.as_ref().and_then(|pause| pause.by.as_deref()).unwrap_or("an unknown user");
        facts.push(row(["  Paused", &format!("by {by}")]));
    }
    if let Some(failure) = &view.failure {
        facts.push(row(["  Failed", &format!("{}: {}", failure.reason, failure.message)]));
    }
    for kind in ["Accepted", "HoldEnforced"] {
        if let Some(condition) = view.condition(kind).filter(|condition| condition.status == "False") {
            let cell = format!("False: {}: {}", condition.reason, condition.message);
            facts.push(vec![format!("  {kind}"), cell]);
        }
    }
    facts
}

fn step(view: &View) -> String {
    match (view.step, view.steps) {
        (Some(step), Some(steps)) if view.in_progress && step > 0 => format!(", step {step} of {steps}"),
        _ => String::new(),
    }
}

/// Returns which gate opened, who or what opened it, when, and the answer of a webhook.
pub(super) fn opened_by(gate: &Opened, now: Timestamp) -> String {
    let Opened { step, by, at, response: answer } = gate;
    let at = at.map(|at| format!(" at {}", clock(at, now))).unwrap_or_default();
    let answer = answer.as_ref().map(|answer| format!(": {answer}")).unwrap_or_default();
    format!("step {step} was opened by {by}{at}{answer}")
}

/// Returns how long a wait has lasted, and its deadline.
pub(super) fn times(waiting: &Waiting, now: Timestamp) -> String {
    let since = waiting.since.map(|since| format!("for {}", span(now.duration_since(since))));
    let until = waiting.until.map(|until| match now.duration_until(until) {
        left if left.is_positive() => format!("until {}, in {}", clock(until, now), span(left)),
        _ => format!("until {}", clock(until, now)),
    });
    let both: Vec<String> = since.into_iter().chain(until).collect();
    if both.is_empty() { String::new() } else { both.join(", ") }
}

fn version(version: &Running, last: bool, now: Timestamp) -> Vec<String> {
    let (branch, stem) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
    let Running { role, version: names, share, replicas, pods } = version;
    let ready = pods.iter().filter(|pod| pod.ready).count();
    let share = share.map(|share| format!("  {share} of the traffic")).unwrap_or_default();
    let (tag, set) = (&names.tag, &names.replica_set);
    let mut lines = vec![format!("{branch}{role}  {tag}  ReplicaSet {set}  {ready}/{replicas} ready{share}")];
    let rows: Vec<Vec<String>> = pods
        .iter()
        .map(|pod| {
            let ready = if pod.ready { "ready" } else { "not ready" };
            row([&pod.name, ready, &pod.state, &restarts(pod.restarts), &age(pod.created, now)])
        })
        .collect();
    let count = rows.len();
    for (index, line) in table(&rows).into_iter().enumerate() {
        let branch = if index + 1 == count { "└── " } else { "├── " };
        lines.push(format!("{stem}{branch}{line}"));
    }
    lines
}

fn restarts(count: i32) -> String {
    if count == 1 { "1 restart".to_owned() } else { format!("{count} restarts") }
}

fn metrics(metrics: &[Metric], now: Timestamp) -> Vec<String> {
    let mut rows = vec![row(["METRIC", "VALUE", "LIMIT", "MEASUREMENTS", "VERDICT", "LAST"])];
    for metric in metrics {
        let last = metric.asked_at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", age(Some(at), now)));
        rows.push(row([
            &qualified_name(metric),
            &last_result(metric),
            &metric.criterion.to_string(),
            &measurements(metric),
            &metric.verdict,
            &last,
        ]));
    }
    table(&rows)
}

/// Returns the name of a metric, and whether it is a dry run.
pub(super) fn qualified_name(metric: &Metric) -> String {
    let mark = if metric.dry_run { " (dry run)" } else { "" };
    format!("{}{mark}", metric.name)
}

/// Returns the result of the last measurement.
pub(super) fn last_result(metric: &Metric) -> String {
    match &metric.last {
        None => "-".to_owned(),
        Some(Outcome::Value(value)) => number(*value),
        Some(Outcome::NoData) => "no data".to_owned(),
        Some(Outcome::NonFinite) => "not finite".to_owned(),
        Some(Outcome::TooFew { found, wanted }) => format!("{found} of {wanted} requests"),
        Some(Outcome::Error { class, message }) => cut(&format!("{class}: {message}"), 40),
    }
}

/// Returns the counts of measurements in this step.
pub(super) fn measurements(metric: &Metric) -> String {
    let tally = &metric.measurements;
    let counted = tally.passed + tally.failed;
    let mut parts = vec![format!("{counted} of {}", metric.needs), format!("{} failed", tally.failed)];
    if tally.inconclusive_in_row > 0 {
        parts.push(format!("{} inconclusive", tally.inconclusive_in_row));
    }
    if tally.errors_in_row > 0 {
        parts.push(format!("{} in error", tally.errors_in_row));
    }
    parts.join(", ")
}

/// Returns a rollout as one line, for output that can't be redrawn.
pub(super) fn line(view: &View) -> String {
    let mut parts = vec![view.phase.to_string()];
    if let (Some(step), Some(steps), true) = (view.step, view.steps, view.in_progress) {
        parts.push(format!("{step}/{steps}"));
    }
    if let Some(weight) = view.weight.filter(|_| view.in_progress) {
        parts.push(weight.to_string());
    }
    for version in view.versions.iter().filter(|version| version.role != "other") {
        let ready = version.pods.iter().filter(|pod| pod.ready).count();
        parts.push(format!("{} {} {ready}/{}", version.role, version.version.tag, version.replicas));
    }
    if let Some(verdict) = &view.verdict {
        parts.push(verdict.clone());
    }
    let why = view.waiting.as_ref().map(|waiting| format!("{}: {}", waiting.reason, waiting.message));
    let refused = view.condition("Accepted").filter(|condition| condition.status == "False");
    let why = refused.map(|condition| format!("{}: {}", condition.reason, condition.message)).or(why);
    parts.extend(why.or_else(|| view.failure.as_ref().map(|f| format!("{}: {}", f.reason, f.message))));
    parts.join("  ")
}
