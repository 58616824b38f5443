//! A rollout as a tree: where it stands, its versions with their pods, its metrics.

use jiff::Timestamp;

use super::text::{age, clock, cut, number, row, span, table};
use crate::{
    analysis::Outcome,
    api::{Opened, Phase, Waiting},
    view::{Metric, Running, View},
};

/// Whether words may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Text alone.
    Plain,
    /// With the colours of a terminal.
    Colour,
}

impl Paint {
    fn word(self, text: &str, code: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    /// A phase: green where all is well, red where traffic was taken back, yellow between.
    fn phase(self, phase: Phase) -> String {
        let code = match phase {
            Phase::Stable => "32",
            Phase::RollingBack | Phase::RolledBack => "31",
            Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting => "33",
        };
        self.word(&phase.to_string(), code)
    }
}

/// The whole tree, a line each.
pub(super) fn tree(view: &View, now: Timestamp, paint: Paint) -> Vec<String> {
    let mut lines = vec![title(view)];
    lines.extend(table(&facts(view, now, paint)));
    for (index, version) in view.versions.iter().enumerate() {
        lines.extend(branch(version, index + 1 == view.versions.len(), now));
    }
    if !view.metrics.is_empty() {
        lines.push(String::new());
        lines.extend(metrics(&view.metrics, now));
    }
    lines
}

fn title(view: &View) -> String {
    let View { name, namespace, replicas, .. } = view;
    let held = if view.held { ", its new template held" } else { "" };
    format!("Deployment {name} in namespace {namespace}, {replicas} replicas{held}")
}

/// What is to be known before the pods are.
fn facts(view: &View, now: Timestamp, paint: Paint) -> Vec<Vec<String>> {
    let mut facts = vec![row(["  Phase", &format!("{}{}", paint.phase(view.phase), step(view))])];
    facts.push(row(["  Policy", view.policy.as_deref().unwrap_or("none: the Deployment has no annotation")]));
    if let Some(weight) = view.weight.filter(|_| view.in_flight) {
        let seen = view.observed_weight.map_or_else(
            || "what clients see is not known".to_owned(),
            |seen| format!("clients see {seen} %"),
        );
        facts.push(row(["  Weight", &format!("{weight} % asked, {seen}")]));
    }
    if let Some(verdict) = &view.verdict {
        facts.push(row(["  Verdict", verdict]));
    }
    if let Some(waiting) = &view.waiting {
        facts.push(row(["  Waits", &format!("{}: {}", waiting.reason, waiting.message)]));
        let times = times(waiting, now);
        if !times.is_empty() {
            facts.push(row(["", &times]));
        }
    }
    for (index, gate) in view.gates.iter().enumerate() {
        facts.push(row([if index == 0 { "  Gates" } else { "" }, &through(gate, now)]));
    }
    if view.paused() {
        let by = view.intents.pause.as_ref().and_then(|pause| pause.by.as_deref()).unwrap_or("somebody");
        facts.push(row(["  Paused", &format!("by {by}")]));
    }
    if let Some(failure) = &view.failure {
        facts.push(row(["  Failed", &format!("{}: {}", failure.reason, failure.message)]));
    }
    for kind in ["Accepted", "Gated"] {
        if let Some(condition) = view.condition(kind).filter(|condition| condition.status == "False") {
            let cell = format!("no: {}: {}", condition.reason, condition.message);
            facts.push(vec![format!("  {kind}"), cell]);
        }
    }
    facts
}

fn step(view: &View) -> String {
    match (view.step, view.steps) {
        (Some(step), Some(steps)) if view.in_flight && step > 0 => format!(", step {step} of {steps}"),
        _ => String::new(),
    }
}

/// A gate that opened: which, by whom, when, and what a webhook said.
pub(super) fn through(gate: &Opened, now: Timestamp) -> String {
    let Opened { step, by, at, said } = gate;
    let at = at.map(|at| format!(" at {}", clock(at, now))).unwrap_or_default();
    let said = said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
    format!("step {step} was opened by {by}{at}{said}")
}

/// Since when a wait lasts, and until when it may.
pub(super) fn times(waiting: &Waiting, now: Timestamp) -> String {
    let since = waiting.since.map(|since| format!("for {}", span(now.duration_since(since))));
    let until = waiting.until.map(|until| match now.duration_until(until) {
        left if left.is_positive() => format!("until {}, in {}", clock(until, now), span(left)),
        _ => format!("until {}", clock(until, now)),
    });
    let both: Vec<String> = since.into_iter().chain(until).collect();
    if both.is_empty() { String::new() } else { both.join(", ") }
}

fn branch(version: &Running, last: bool, now: Timestamp) -> Vec<String> {
    let (knot, stem) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
    let Running { role, version: names, share, replicas, pods } = version;
    let ready = pods.iter().filter(|pod| pod.ready).count();
    let share = share.map(|share| format!("  {share} % of the traffic")).unwrap_or_default();
    let (tag, set) = (&names.tag, &names.replica_set);
    let mut lines = vec![format!("{knot}{role}  {tag}  ReplicaSet {set}  {ready}/{replicas} ready{share}")];
    let rows: Vec<Vec<String>> = pods
        .iter()
        .map(|pod| {
            let ready = if pod.ready { "ready" } else { "not ready" };
            row([&pod.name, ready, &pod.state, &restarts(pod.restarts), &age(pod.created, now)])
        })
        .collect();
    let count = rows.len();
    for (index, line) in table(&rows).into_iter().enumerate() {
        let knot = if index + 1 == count { "└── " } else { "├── " };
        lines.push(format!("{stem}{knot}{line}"));
    }
    lines
}

fn restarts(count: i32) -> String {
    if count == 1 { "1 restart".to_owned() } else { format!("{count} restarts") }
}

fn metrics(metrics: &[Metric], now: Timestamp) -> Vec<String> {
    let mut rows = vec![row(["METRIC", "VALUE", "LIMIT", "LOOKS", "VERDICT", "ASKED"])];
    for metric in metrics {
        let asked =
            metric.asked_at.map_or_else(|| "not yet".to_owned(), |at| format!("{} ago", age(Some(at), now)));
        rows.push(row([
            &metric.name,
            &said(metric),
            &limit(metric),
            &looks(metric),
            &metric.verdict,
            &asked,
        ]));
    }
    table(&rows)
}

/// What a metric answered last.
pub(super) fn said(metric: &Metric) -> String {
    match &metric.last {
        None => "-".to_owned(),
        Some(Outcome::Value(value)) => number(*value),
        Some(Outcome::NoData) => "no data".to_owned(),
        Some(Outcome::NonFinite) => "not finite".to_owned(),
        Some(Outcome::TooFew { found, wanted }) => format!("{found} of {wanted} requests"),
        Some(Outcome::Error { class, message }) => cut(&format!("{class}: {message}"), 40),
    }
}

/// The bounds of a metric.
pub(super) fn limit(metric: &Metric) -> String {
    let bounds = [("min", metric.min), ("max", metric.max)];
    let said: Vec<String> =
        bounds.iter().filter_map(|(word, bound)| Some(format!("{word} {}", number((*bound)?)))).collect();
    said.join(", ")
}

/// How the looks of this step went.
pub(super) fn looks(metric: &Metric) -> String {
    let looks = &metric.looks;
    let counted = looks.passed + looks.failed;
    let mut said = vec![format!("{counted} of {}", metric.needs), format!("{} failed", looks.failed)];
    if looks.inconclusive_in_row > 0 {
        said.push(format!("{} without a number", looks.inconclusive_in_row));
    }
    if looks.errors_in_row > 0 {
        said.push(format!("{} in error", looks.errors_in_row));
    }
    said.join(", ")
}

/// A rollout in one line, for where nothing can be redrawn.
pub(super) fn line(view: &View) -> String {
    let mut words = vec![view.phase.to_string()];
    if let (Some(step), Some(steps), true) = (view.step, view.steps, view.in_flight) {
        words.push(format!("{step}/{steps}"));
    }
    if let Some(weight) = view.weight.filter(|_| view.in_flight) {
        words.push(format!("{weight} %"));
    }
    for version in view.versions.iter().filter(|version| version.role != "other") {
        let ready = version.pods.iter().filter(|pod| pod.ready).count();
        words.push(format!("{} {} {ready}/{}", version.role, version.version.tag, version.replicas));
    }
    if let Some(verdict) = &view.verdict {
        words.push(verdict.clone());
    }
    let why = view.waiting.as_ref().map(|waiting| format!("{}: {}", waiting.reason, waiting.message));
    let refused = view.condition("Accepted").filter(|condition| condition.status == "False");
    let why = refused.map(|condition| format!("{}: {}", condition.reason, condition.message)).or(why);
    words.extend(why.or_else(|| view.failure.as_ref().map(|f| format!("{}: {}", f.reason, f.message))));
    words.join("  ")
}
