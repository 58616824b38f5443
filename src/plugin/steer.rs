//! Turns a command into a patch of the Rollout's spec, or into an error if it is not possible now.

use serde_json::{Value, json};

use crate::{api::Phase, traffic::Weight, view::View};

/// A command that changes a rollout. All but `Resume` set an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// Ends the current step.
    Promote,
    /// Ends all steps.
    PromoteFull,
    /// Returns all traffic to stable.
    Abort,
    /// Keeps the current weight.
    Pause,
    /// Removes a pause.
    Resume,
    /// Rolls out a rejected revision again.
    Retry,
    /// Rolls out natively.
    Skip,
}

/// A patch of the Rollout's spec.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A JSON merge patch.
    Merge(Value),
    /// A JSON patch with a test, which fails if the intent changed meanwhile.
    Guarded(Value),
    /// No patch: the intent is already set.
    Nothing,
}

/// A patch and its description.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steering {
    /// The patch.
    pub change: Change,
    /// The line to print.
    pub summary: String,
}

/// Returns the patch for an intent. It names the revision, so that it never acts on another one.
///
/// # Errors
/// Returns why the intent is not possible in the current state.
pub(super) fn steer(view: &View, intent: Intent) -> Result<Steering, String> {
    let name = &view.name;
    let revision =
        view.revision().filter(|_| view.in_progress || view.held || view.phase == Phase::RolledBack);
    let Some(revision) = revision else {
        return Err(format!("no rollout of {name} is in progress: it is in phase {}", view.phase));
    };
    let tag = view.tag();
    let kind = if view.candidate().is_some() { "revision" } else { "template" };
    let what = format!("{tag} ({kind} {revision})");
    let merge = |field: &str, value: Value, summary: String| {
        Ok(Steering { change: Change::Merge(json!({"spec": {field: value}})), summary })
    };
    let plain = json!({"revision": revision});
    match intent {
        Intent::Promote => {
            let (step, steps) = current_step(view)?;
            unpaused(view)?;
            let value = json!({"revision": revision, "step": step, "full": null});
            merge("promote", value, format!("promote requested for {what}: step {step} of {steps} ends now"))
        }
        Intent::PromoteFull => {
            before_promotion(view)?;
            unpaused(view)?;
            let value = json!({"revision": revision, "step": null, "full": true});
            merge("promote", value, format!("promote --full requested for {what}: all steps end now"))
        }
        Intent::Abort => {
            let known = view.intents.abort.as_ref().is_some_and(|abort| view.means(&abort.revision));
            if known && view.in_progress {
                return Ok(done(format!("abort is already requested for {what}")));
            }
            before_handover(view)?;
            merge("abort", plain, format!("abort requested for {what}: all traffic returns to stable"))
        }
        Intent::Pause if view.paused() => Ok(done(format!("{what} is already paused"))),
        Intent::Pause => {
            before_handover(view)?;
            if view.phase == Phase::Promoting && view.weight == Some(Weight::ALL) {
                return Err(format!(
                    "{tag} has all traffic and is being handed over: only `kubectl steelyard abort {name}` stops the rollout"
                ));
            }
            let weight = view.weight.unwrap_or_default();
            merge("pause", plain, format!("pause requested for {what}: the weight stays at {weight}"))
        }
        Intent::Resume => match &view.intents.pause {
            Some(pause) if view.means(&pause.revision) => {
                let change = Change::Guarded(json!([
                    {"op": "test", "path": "/spec/pause/revision", "value": pause.revision},
                    {"op": "remove", "path": "/spec/pause"},
                ]));
                Ok(Steering { change, summary: format!("resume requested for {what}") })
            }
            _ => Err(format!("{name} is not paused")),
        },
        Intent::Retry if view.phase != Phase::RolledBack => Err(format!(
            "only a revision that was rolled back can be retried: {name} is in phase {}",
            view.phase
        )),
        Intent::Retry => {
            let attempt = view.attempt.unwrap_or(1) + 1;
            // Intents of the previous attempt name the same revision: remove them, so that they do
            // not end this attempt.
            let change = json!({"spec": {
                "retry": {"revision": revision, "attempt": attempt},
                "abort": null, "pause": null, "promote": null, "skip": null,
            }});
            let summary = format!("retry requested for {what}: attempt {attempt}");
            Ok(Steering { change: Change::Merge(change), summary })
        }
        Intent::Skip => {
            if view.handed_over {
                return Err(format!("the handover of {name} has already started: nothing is left to skip"));
            }
            if !view.held {
                return Err(format!("no template of {name} is held: there is nothing to skip"));
            }
            merge(
                "skip",
                plain,
                format!("skip requested for {what}: it rolls out natively, without steps or metrics"),
            )
        }
    }
}

fn done(summary: String) -> Steering {
    Steering { change: Change::Nothing, summary }
}

/// Refuses a promotion while the rollout is paused: the pause would still block the next weight.
fn unpaused(view: &View) -> Result<(), String> {
    let name = &view.name;
    if view.paused() {
        Err(format!("{name} is paused: run `kubectl steelyard resume {name}` first"))
    } else {
        Ok(())
    }
}

/// Returns the current step and the number of steps; refuses before the first step.
fn current_step(view: &View) -> Result<(usize, usize), String> {
    before_promotion(view)?;
    let name = &view.name;
    match (view.phase, view.step, view.steps) {
        (Phase::Stepping | Phase::Waiting, Some(step), Some(steps)) if step > 0 => Ok((step, steps)),
        _ => Err(format!("{name} has not started its first step: `promote --full` ends all steps")),
    }
}

/// Refuses unless the rollout is in or before its steps.
fn before_promotion(view: &View) -> Result<(), String> {
    before_handover(view)?;
    match view.phase {
        Phase::Promoting => Err(format!("all steps of {} are complete: it is being handed over", view.name)),
        _ => Ok(()),
    }
}

/// Refuses unless the rollout moves forward and can still roll back.
fn before_handover(view: &View) -> Result<(), String> {
    let name = &view.name;
    match view.phase {
        Phase::RollingBack => Err(format!("{name} is already rolling back")),
        Phase::RolledBack => Err(format!(
            "{name} was rolled back: push another template, or run `kubectl steelyard retry {name}`"
        )),
        Phase::Promoting if view.handed_over => Err(format!(
            "the Deployment already owns the pods of {}: to return to the previous version, push its template",
            view.tag()
        )),
        _ => Ok(()),
    }
}
