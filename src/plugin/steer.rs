//! What a person wants of a rollout, as a patch of its spec, or a sentence that says why it makes no sense now.

use serde_json::{Value, json};

use crate::{api::Phase, view::View};

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Leave the step of now.
    Promote,
    /// Leave all steps.
    PromoteFull,
    /// Take the traffic back.
    Abort,
    /// Stay.
    Pause,
    /// Go on.
    Resume,
    /// Try again.
    Retry,
    /// Roll natively.
    Skip,
}

/// A patch of the Rollout's spec.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A JSON merge patch.
    Merge(Value),
    /// A JSON patch whose test fails where the world has moved on.
    Guarded(Value),
    /// It is as wanted already.
    Nothing,
}

/// What to write, and what to tell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steering {
    /// The patch.
    pub change: Change,
    /// What was asked, in words.
    pub said: String,
}

/// The patch for a wish, which names the revision it is for, so that a late one does nothing.
///
/// # Errors
/// A sentence, where the wish makes no sense now.
pub(super) fn steer(view: &View, wish: Wish) -> Result<Steering, String> {
    let name = &view.name;
    let revision = view.revision().filter(|_| view.in_flight || view.held || view.phase == Phase::RolledBack);
    let Some(revision) = revision else {
        return Err(format!("nothing is in flight: {name} is {}", view.phase));
    };
    let tag = view.tag();
    let word = if view.candidate().is_some() { "revision" } else { "generation" };
    let what = format!("{tag} ({word} {revision})");
    let merge = |intent: &str, value: Value, said: String| {
        Ok(Steering { change: Change::Merge(json!({"spec": {intent: value}})), said })
    };
    let plain = json!({"revision": revision});
    match wish {
        Wish::Promote => {
            let (step, steps) = stepping(view)?;
            unpaused(view)?;
            let value = json!({"revision": revision, "step": step, "full": null});
            merge("promote", value, format!("{what} is to leave step {step} of {steps}"))
        }
        Wish::PromoteFull => {
            on_its_way(view)?;
            unpaused(view)?;
            let value = json!({"revision": revision, "step": null, "full": true});
            merge("promote", value, format!("{what} is to leave all steps"))
        }
        Wish::Abort => {
            let known = view.intents.abort.as_ref().is_some_and(|abort| view.means(&abort.revision));
            if known && view.in_flight {
                return Ok(done(format!("{what} is being aborted already")));
            }
            before_handover(view)?;
            merge("abort", plain, format!("{what} is to be taken back"))
        }
        Wish::Pause if view.paused() => Ok(done(format!("{what} is paused already"))),
        Wish::Pause => {
            before_handover(view)?;
            if view.phase == Phase::Promoting && view.weight == Some(100) {
                return Err(format!(
                    "{name} has all traffic on {tag} and is being handed over: only abort stops that"
                ));
            }
            let weight = view.weight.unwrap_or(0);
            merge("pause", plain, format!("{what} is to stay at {weight} %"))
        }
        Wish::Resume => match &view.intents.pause {
            Some(pause) if view.means(&pause.revision) => {
                let change = Change::Guarded(json!([
                    {"op": "test", "path": "/spec/pause/revision", "value": pause.revision},
                    {"op": "remove", "path": "/spec/pause"},
                ]));
                Ok(Steering { change, said: format!("{what} is to go on") })
            }
            _ => Err(format!("{name} is not paused")),
        },
        Wish::Retry if view.phase != Phase::RolledBack => {
            Err(format!("only what was rolled back can be tried again: {name} is {}", view.phase))
        }
        Wish::Retry => {
            let attempt = view.attempt.unwrap_or(1) + 1;
            // What was wanted of the attempt before names the same revision: it must not end this one.
            let change = json!({"spec": {
                "retry": {"revision": revision, "attempt": attempt},
                "abort": null, "pause": null, "promote": null, "skip": null,
            }});
            let said = format!("{what} is to be tried again (attempt {attempt})");
            Ok(Steering { change: Change::Merge(change), said })
        }
        Wish::Skip => {
            if view.handed_over {
                return Err(format!("{name} is being handed over already: there is nothing left to skip"));
            }
            if !view.held {
                return Err(format!("no template of {name} is held: there is nothing to skip"));
            }
            merge("skip", plain, format!("{what} is to roll out natively, unmeasured"))
        }
    }
}

fn done(said: String) -> Steering {
    Steering { change: Change::Nothing, said }
}

/// A pause that stands would hold the next weight back: going past a step under it would move nothing.
fn unpaused(view: &View) -> Result<(), String> {
    let name = &view.name;
    if view.paused() {
        Err(format!("{name} is paused: `kubectl steelyard resume {name}` first"))
    } else {
        Ok(())
    }
}

/// The step of now, where there is one to leave.
fn stepping(view: &View) -> Result<(usize, usize), String> {
    on_its_way(view)?;
    let name = &view.name;
    match (view.phase, view.step, view.steps) {
        (Phase::Stepping | Phase::Waiting, Some(step), Some(steps)) if step > 0 => Ok((step, steps)),
        _ => Err(format!("{name} has not begun its first step: `promote --full` leaves all of them")),
    }
}

/// A rollout that moves forward, in or before its steps.
fn on_its_way(view: &View) -> Result<(), String> {
    before_handover(view)?;
    match view.phase {
        Phase::Promoting => Err(format!("all steps of {} are over: it is being handed over", view.name)),
        _ => Ok(()),
    }
}

/// A rollout that moves forward and can still be taken back.
fn before_handover(view: &View) -> Result<(), String> {
    let name = &view.name;
    match view.phase {
        Phase::RollingBack => Err(format!("{name} is on its way back already")),
        Phase::RolledBack => {
            Err(format!("{name} was rolled back: push another template, or `kubectl steelyard retry {name}`"))
        }
        Phase::Promoting if view.handed_over => Err(format!(
            "the pods of {} are the Deployment's already: to go back push the old template",
            view.tag()
        )),
        _ => Ok(()),
    }
}
