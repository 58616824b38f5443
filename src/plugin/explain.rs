//! What a rollout waits for, on what evidence, and what a person could do next.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    text::{clock, number, row, table},
    tree::{limit, looks, said, through, times},
};
use crate::{
    analysis::Outcome,
    api::Phase,
    engine::reasons::{self, Place},
    view::View,
};

/// What a person could do next: a command, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// The command, or what to do where no command does it.
    pub act: String,
    /// What comes of it.
    pub effect: String,
}

/// An explanation as JSON or YAML: everything known, with the advice.
#[derive(Serialize)]
pub(super) struct Explanation<'a> {
    #[serde(flatten)]
    pub view: &'a View,
    pub next: Vec<Advice>,
}

/// The explanation in lines.
pub(super) fn explain(view: &View, now: Timestamp) -> Vec<String> {
    let mut lines = stands(view);
    if let Some(waiting) = &view.waiting {
        let times = times(waiting, now);
        let times = if times.is_empty() { times } else { format!(" ({times})") };
        lines.push(format!("It waits for {}: {}{times}.", waiting.reason, waiting.message));
        lines.extend(reasons::help(Place::Waiting, &waiting.reason).map(str::to_owned));
        if waiting.until.is_none() && view.phase != Phase::Stable {
            lines.push("This wait has no end of its own.".to_owned());
        }
    }
    lines.extend(view.gates.iter().map(|gate| format!("The gate of {}.", through(gate, now))));
    if let Some(failure) = &view.failure {
        let at = failure.at.map(|at| format!(" at {}", clock(at, now))).unwrap_or_default();
        lines.push(format!("Traffic was taken back{at}: {}: {}.", failure.reason, failure.message));
        lines.extend(reasons::help(Place::Failure, &failure.reason).map(str::to_owned));
        if let Some(metric) = &failure.metric {
            let value = failure.value.map(number).unwrap_or_default();
            lines.push(format!("  metric {metric}: {value}"));
        }
        lines.extend(failure.query.iter().flat_map(|query| quoted(query)));
    }
    for metric in &view.metrics {
        lines.push(String::new());
        let asked = metric
            .asked_at
            .map_or_else(|| "not asked yet".to_owned(), |at| format!("asked {}", clock(at, now)));
        let (name, verdict) = (&metric.name, &metric.verdict);
        lines.push(format!(
            "Metric {name}: {}, {} ({asked}); verdict {verdict}",
            said(metric),
            limit(metric)
        ));
        if let Some(Outcome::Error { message, .. }) = &metric.last {
            lines.push(format!("  it says: {message}"));
        }
        lines.push(format!("  looks in this step: {}; {} may fail", looks(metric), metric.may_fail));
        lines.extend(quoted(&metric.query));
    }
    if !view.conditions.is_empty() {
        lines.push(String::new());
        let mut rows = vec![row(["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"])];
        for condition in &view.conditions {
            let since = clock(condition.last_transition_time.0, now);
            let message = condition.message.as_str();
            rows.push(row([&condition.type_, &condition.status, &condition.reason, &since, message]));
        }
        lines.extend(table(&rows));
    }
    lines.push(String::new());
    lines.push("What you can do:".to_owned());
    let rows: Vec<_> =
        advice(view).iter().map(|advice| row([&format!("  {}", advice.act), &advice.effect])).collect();
    lines.extend(table(&rows));
    lines
}

/// A query, indented, as it was sent.
fn quoted(query: &str) -> Vec<String> {
    let mut lines = vec!["  query as sent:".to_owned()];
    lines.extend(query.trim_end().lines().map(|line| format!("    {}", line.trim_end())));
    lines
}

fn stands(view: &View) -> Vec<String> {
    let View { name, namespace, .. } = view;
    let stable = view.version("stable").map_or("nothing yet", |version| version.version.tag.as_str());
    let tag = view.tag();
    let weight = view.weight.unwrap_or(0);
    let step = match (view.step, view.steps) {
        (Some(step), Some(steps)) if step > 0 => format!("step {step} of {steps}"),
        _ => "before its first step".to_owned(),
    };
    let mut lines = vec![format!("Rollout {name} in namespace {namespace}: {}.", view.phase)];
    lines.push(match view.phase {
        Phase::Stable if view.held => {
            format!("{stable} serves. A new template is held; Steelyard has not begun with it.")
        }
        Phase::Stable => format!("{stable} serves; nothing is in flight."),
        Phase::Preparing if view.in_flight => {
            format!("{stable} serves. The canary {tag} is being made; it has no traffic yet.")
        }
        Phase::Preparing => format!("{stable} serves. A new template is held, and its rollout can't begin."),
        Phase::Stepping | Phase::Waiting => match (&view.preview, weight) {
            (Some(service), 0) => format!(
                "{stable} serves. {tag} stands beside it as a preview, {step}: only Service {service} leads to it."
            ),
            (_, 100) => format!(
                "{tag} has all traffic, {step}. {stable} stands by at full scale, and everything goes back to it at once if \
                 {tag} fails."
            ),
            _ => format!("{stable} serves; the canary {tag} gets {weight} % of the traffic, {step}."),
        },
        Phase::Promoting => {
            format!("All steps of {tag} are over: its pods are being handed over to the Deployment.")
        }
        Phase::RollingBack => {
            format!("{stable} has all traffic again; the canary {tag} is being taken down.")
        }
        Phase::RolledBack => {
            format!("{stable} serves. {tag} was rejected; its template is still held, so it runs nowhere.")
        }
    });
    if view.paused() {
        let by = view.intents.pause.as_ref().and_then(|pause| pause.by.as_deref()).unwrap_or("somebody");
        lines.push(format!("It is paused by {by}: no step ends until somebody resumes it."));
    }
    lines
}

/// What a person could do now.
pub(super) fn advice(view: &View) -> Vec<Advice> {
    let name = &view.name;
    let say = |act: &str, effect: &str| Advice {
        act: if act.starts_with("kubectl") || act.contains(' ') {
            act.to_owned()
        } else {
            format!("kubectl steelyard {act} {name}")
        },
        effect: effect.to_owned(),
    };
    let effect = match (&view.preview, view.weight) {
        (Some(_), None | Some(0)) => "switches at once, and hands over",
        _ => "leaves all steps, and hands over",
    };
    let full = say(&format!("kubectl steelyard promote --full {name}"), effect);
    let skip = say(
        &format!("kubectl steelyard skip --yes {name}"),
        "rolls it out natively, unmeasured: for an emergency",
    );
    let fix = say("push another template", "starts over with that one");
    let old = say("push the old template again", "lets the Deployment go; no pod starts");
    let mut all = Vec::new();
    for kind in ["Accepted", "Gated"] {
        if let Some(condition) = view.condition(kind).filter(|condition| condition.status == "False") {
            all.push(say(&format!("see to condition {kind}"), &condition.message));
        }
    }
    match view.phase {
        Phase::Stable if view.held => all.extend([skip, old]),
        Phase::Stable => all.push(say("push a new template", "starts a rollout")),
        Phase::Preparing if !view.in_flight => all.extend([skip, old]),
        Phase::Promoting if view.handed_over => {
            all.push(say("wait for its end", "its pods are the Deployment's already"));
        }
        Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting => {
            match view.phase {
                Phase::Stepping => all.push(say("promote", "leaves this step without waiting for its end")),
                Phase::Waiting => all.push(say("promote", "opens the gate at which it waits")),
                _ => {}
            }
            if view.phase != Phase::Promoting {
                all.push(full);
                let (act, effect) = if view.paused() {
                    ("resume", "goes on")
                } else {
                    ("pause", "stays at the weight of now; metrics go on guarding it")
                };
                all.push(say(act, effect));
            }
            all.push(say("abort", "takes the traffic back at once and keeps the old version"));
            all.push(fix);
        }
        Phase::RollingBack => all.push(say(
            "wait for its end",
            "traffic is back already; pods follow once connections have drained",
        )),
        Phase::RolledBack => all.extend([fix, old, say("retry", "tries the same template again"), skip]),
    }
    all
}
