//! `explain`: what a rollout waits for, the evidence, and the possible actions.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    text::{clock, number, row, table},
    tree::{last_result, measurements, opened_by, qualified_name, times},
};
use crate::{
    analysis::Outcome,
    api::Phase,
    engine::reasons::{self, Place},
    traffic::Weight,
    view::View,
};

/// A possible action: a command and its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// The command, or a description where no command exists.
    pub act: String,
    /// The effect of the action.
    pub effect: String,
}

/// The explanation for JSON and YAML: the whole view and the possible actions.
#[derive(Serialize)]
pub(super) struct Explanation<'a> {
    #[serde(flatten)]
    pub view: &'a View,
    pub next: Vec<Advice>,
}

/// Returns the lines of the explanation.
pub(super) fn explain(view: &View, now: Timestamp) -> Vec<String> {
    let mut lines = summary(view);
    if let Some(waiting) = &view.waiting {
        let times = times(waiting, now);
        let times = if times.is_empty() { times } else { format!(" ({times})") };
        lines.push(format!("Waiting: {}: {}{times}.", waiting.reason, waiting.message));
        lines.extend(reasons::help(Place::Waiting, &waiting.reason).map(str::to_owned));
        if waiting.until.is_none() && view.phase != Phase::Stable {
            lines.push("This wait has no deadline.".to_owned());
        }
    }
    lines.extend(view.gates.iter().map(|gate| format!("The gate of {}.", opened_by(gate, now))));
    if let Some(failure) = &view.failure {
        let at = failure.at.map(|at| format!(" at {}", clock(at, now))).unwrap_or_default();
        lines.push(format!("Traffic returned to stable{at}: {}: {}.", failure.reason, failure.message));
        lines.extend(reasons::help(Place::Failure, &failure.reason).map(str::to_owned));
        if let Some(metric) = &failure.metric {
            let value = failure.value.map(number).unwrap_or_default();
            lines.push(format!("  metric {metric}: {value}"));
        }
        lines.extend(failure.query.iter().flat_map(|query| quoted(query)));
    }
    for metric in &view.metrics {
        lines.push(String::new());
        let measured = metric
            .asked_at
            .map_or_else(|| "not measured yet".to_owned(), |at| format!("measured {}", clock(at, now)));
        let (name, verdict) = (qualified_name(metric), &metric.verdict);
        lines.push(format!(
            "Metric {name}: {}, {} ({measured}); verdict {verdict}",
            last_result(metric),
            metric.criterion
        ));
        if let Some(Outcome::Error { message, .. }) = &metric.last {
            lines.push(format!("  error: {message}"));
        }
        if metric.dry_run {
            lines.push("  dry run: reported, never acted on".to_owned());
        }
        lines.push(format!(
            "  measurements in this step: {}; {} may fail",
            measurements(metric),
            metric.may_fail
        ));
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

/// Returns a query as it was sent, indented.
fn quoted(query: &str) -> Vec<String> {
    let mut lines = vec!["  query as sent:".to_owned()];
    lines.extend(query.trim_end().lines().map(|line| format!("    {}", line.trim_end())));
    lines
}

/// Returns the phase and who gets the traffic.
fn summary(view: &View) -> Vec<String> {
    let View { name, namespace, .. } = view;
    let stable = view.version("stable").map_or("nothing yet", |version| version.version.tag.as_str());
    let tag = view.tag();
    let weight = view.weight.unwrap_or_default();
    let step = match (view.step, view.steps) {
        (Some(step), Some(steps)) if step > 0 => format!("step {step} of {steps}"),
        _ => "before its first step".to_owned(),
    };
    let mut lines = vec![format!("Rollout {name} in namespace {namespace}: {}.", view.phase)];
    lines.push(match view.phase {
        Phase::Stable if view.held => {
            format!("{stable} serves. A new template is held; its rollout has not started.")
        }
        Phase::Stable => format!("{stable} serves; no rollout is in progress."),
        Phase::Preparing if view.in_progress => {
            format!("{stable} serves. The canary {tag} is being prepared; it has no traffic yet.")
        }
        Phase::Preparing => format!("{stable} serves. A new template is held, and its rollout can't start."),
        Phase::Stepping | Phase::Waiting => match (&view.preview, weight) {
            (Some(service), Weight::ZERO) => format!(
                "{stable} serves. {tag} runs as a preview, {step}: only Service {service} sends requests to it."
            ),
            (_, Weight::ALL) => format!(
                "{tag} has all traffic, {step}. {stable} stays at full scale; if {tag} fails, all traffic returns to \
                 {stable} at once."
            ),
            _ => format!("{stable} serves; the canary {tag} gets {weight} of the traffic, {step}."),
        },
        Phase::Promoting => {
            format!("All steps of {tag} are complete; its pods are being handed over to the Deployment.")
        }
        Phase::RollingBack => {
            format!("{stable} has all traffic again; the canary {tag} is being removed.")
        }
        Phase::RolledBack => {
            format!("{stable} serves. {tag} was rejected; its template is still held and no pod runs it.")
        }
        Phase::Unknown => "A newer Steelyard wrote this phase: update the plugin.".to_owned(),
    });
    if view.paused() {
        let by =
            view.intents.pause.as_ref().and_then(|pause| pause.by.as_deref()).unwrap_or("an unknown user");
        lines.push(format!("The rollout is paused by {by}: no step ends until it is resumed."));
    }
    lines
}

/// Returns the actions that are possible now.
pub(super) fn advice(view: &View) -> Vec<Advice> {
    let name = &view.name;
    let action = |act: &str, effect: &str| Advice {
        act: if act.starts_with("kubectl") || act.contains(' ') {
            act.to_owned()
        } else {
            format!("kubectl steelyard {act} {name}")
        },
        effect: effect.to_owned(),
    };
    let effect = match (&view.preview, view.weight) {
        (Some(_), None | Some(Weight::ZERO)) => "switches all traffic at once, then hands over",
        _ => "ends all steps, then hands over",
    };
    let full = action(&format!("kubectl steelyard promote --full {name}"), effect);
    let skip = action(
        &format!("kubectl steelyard skip --yes {name}"),
        "rolls it out natively, without steps or metrics: for emergencies only",
    );
    let fix = action("push another template", "starts a rollout of that template");
    let stable = action("push stable's template again", "releases the Deployment; no pod starts");
    let mut all = Vec::new();
    for kind in ["Accepted", "HoldEnforced"] {
        if let Some(condition) = view.condition(kind).filter(|condition| condition.status == "False") {
            all.push(action(&format!("fix condition {kind}"), &condition.message));
        }
    }
    match view.phase {
        Phase::Stable if view.held => all.extend([skip, stable]),
        Phase::Stable => all.push(action("push a new template", "starts a rollout")),
        Phase::Preparing if !view.in_progress => all.extend([skip, stable]),
        Phase::Promoting if view.handed_over => {
            all.push(action("wait for the end of the handover", "the Deployment already owns the pods"));
        }
        Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting => {
            match view.phase {
                Phase::Stepping => all.push(action("promote", "ends this step now")),
                Phase::Waiting => all.push(action("promote", "opens the gate")),
                _ => {}
            }
            if view.phase != Phase::Promoting {
                all.push(full);
                let (act, effect) = if view.paused() {
                    ("resume", "continues the rollout")
                } else {
                    ("pause", "keeps the current weight; metrics still guard the rollout")
                };
                all.push(action(act, effect));
            }
            all.push(action("abort", "returns all traffic to stable at once"));
            all.push(fix);
        }
        Phase::Unknown => {}
        Phase::RollingBack => all.push(action(
            "wait for the end of the rollback",
            "all traffic is on stable; the canary's pods are removed after the drain",
        )),
        Phase::RolledBack => {
            all.extend([fix, stable, action("retry", "rolls out the same template again"), skip]);
        }
    }
    all
}
