//! The tables of `list` and `history`.

use jiff::Timestamp;
use serde::Serialize;

use super::text::{age, clock, row, span, table};
use crate::{
    api::{Past, Rollout},
    traffic::Weight,
};

/// One line of `list`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The phase.
    pub phase: String,
    /// The step and the number of steps.
    pub step: Option<String>,
    /// The canary's weight in percent.
    pub weight: Option<Weight>,
    /// Stable's tag.
    pub stable: Option<String>,
    /// The canary's tag.
    pub canary: Option<String>,
    /// The verdict of the step.
    pub verdict: Option<String>,
    /// What the rollout waits for.
    pub waiting: Option<String>,
    /// When the Rollout was created.
    pub created: Option<Timestamp>,
}

impl From<Rollout> for Listed {
    fn from(rollout: Rollout) -> Self {
        let status = rollout.status.unwrap_or_default();
        Self {
            namespace: rollout.metadata.namespace.unwrap_or_default(),
            name: rollout.metadata.name.unwrap_or_default(),
            phase: status.phase.to_string(),
            step: status.progress,
            weight: status.weight,
            stable: status.stable.map(|version| version.tag),
            canary: status.canary.map(|version| version.tag),
            verdict: status.verdict,
            waiting: status.waiting.map(|waiting| waiting.reason),
            created: rollout.metadata.creation_timestamp.map(|time| time.0),
        }
    }
}

/// Returns the lines of `list`; `namespaces` adds the column of the namespace.
pub(super) fn list(all: &[Listed], namespaces: bool, now: Timestamp) -> Vec<String> {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![row([
        "NAMESPACE",
        "NAME",
        "PHASE",
        "STEP",
        "WEIGHT",
        "STABLE",
        "CANARY",
        "VERDICT",
        "WAITING",
        "AGE",
    ])];
    for one in all {
        let weight = one.weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string());
        rows.push(row([
            &one.namespace,
            &one.name,
            &one.phase,
            &dash(&one.step),
            &weight,
            &dash(&one.stable),
            &dash(&one.canary),
            &dash(&one.verdict),
            &dash(&one.waiting),
            &age(one.created, now),
        ]));
    }
    if !namespaces {
        for row in &mut rows {
            row.remove(0);
        }
    }
    table(&rows)
}

/// Returns one rollout as a line without columns and without its age.
pub(super) fn line(one: &Listed, namespace: bool) -> String {
    let Listed { namespace: space, name, phase, step, weight, stable, canary, verdict, waiting, created: _ } =
        one;
    let name = if namespace { format!("{space}/{name}") } else { name.clone() };
    let parts = [
        Some(name),
        Some(phase.clone()),
        step.clone(),
        weight.map(|weight| weight.to_string()),
        stable.as_ref().map(|tag| format!("stable {tag}")),
        canary.as_ref().map(|tag| format!("canary {tag}")),
        verdict.clone(),
        waiting.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// Returns the lines of `history`, the latest first.
pub(super) fn history(past: &[Past], now: Timestamp) -> Vec<String> {
    let mut rows = vec![row(["REVISION", "TAG", "OUTCOME", "REASON", "STARTED", "ENDED", "TOOK"])];
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| clock(at, now));
    for one in past.iter().rev() {
        let took = one.started.zip(one.ended).map(|(from, to)| span(to.duration_since(from)));
        rows.push(row([
            &one.revision,
            &one.tag,
            &one.outcome.to_string(),
            one.reason.as_deref().unwrap_or("-"),
            &time(one.started),
            &time(one.ended),
            took.as_deref().unwrap_or("-"),
        ]));
    }
    table(&rows)
}
