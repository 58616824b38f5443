//! A webhook's gate: another system is asked until it says yes, in a task of its own.
//!
//! An attempt is counted in the status before its call is sent, so that none is sent twice: one whose answer a restart lost
//! is followed by the next attempt.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::Key;
use crate::{
    analysis::Outcome,
    api::{Asked, Word},
    engine::{Call, Images, Measured, Moment, Question, back, call_name, pass::Pass},
    policy::{Metric, Stage, Valid, gate::Webhook},
};

/// No pause between two attempts is longer, but one that the policy asks for.
const LONGEST: Duration = Duration::from_mins(1);

/// Reads the answer that came, if it is one to the last attempt.
pub(in crate::engine) fn hear(pass: &mut Pass) {
    let revision = pass.revision();
    for answer in pass.s.answers.iter().filter(|answer| answer.revision == revision) {
        let Some(trial) = &mut pass.status.trial else { return };
        let step = trial.step;
        let Some(asked) = &mut trial.asked else { return };
        if (answer.step, answer.attempt) != (step, asked.attempts)
            || asked.step != step
            || asked.word.is_some()
        {
            continue;
        }
        let news = asked.said.as_ref() != Some(&answer.said);
        asked.word = Some(answer.word);
        asked.said = Some(answer.said.clone());
        asked.answered_at = Some(answer.at);
        if answer.word == Word::No {
            asked.refusals += 1;
        }
        if answer.word != Word::Yes && news {
            let note =
                format!("webhook {} does not let it past step {}: {}", asked.webhook, step + 1, answer.said);
            let action = format!("Ask{}", asked.attempts);
            pass.tell(true, "GateShut", action, note);
        }
    }
}

/// Whether the webhook has said yes; else it is asked when that is due.
pub(super) fn open(pass: &mut Pass, valid: &Valid, hook: &Webhook) -> Option<Key> {
    let now = pass.s.now;
    let step = pass.trial().step;
    let asked = pass.trial().asked.take().filter(|asked| asked.step == step && asked.webhook == hook.name);
    let mut asked = asked.unwrap_or_else(|| Asked { step, webhook: hook.name.clone(), ..Asked::default() });
    let (name, said) = (&hook.name, asked.said.clone().unwrap_or_default());
    let mut key = None;
    if asked.word == Some(Word::Yes) {
        key = Some(Key { by: format!("webhook {name}"), said: asked.said.clone() });
    } else if hook.retries.is_some_and(|retries| asked.refusals > retries) {
        let (refusals, attempts) = (asked.refusals, asked.attempts);
        let message = format!(
            "webhook {name} refused it in {refusals} of {attempts} attempts, the last time with: {said}"
        );
        pass.trial().asked = Some(asked);
        back::fail(pass, "GateRefused", &message, None);
        return None;
    } else if asked.attempts > 0 && pass.s.asking.contains(&call_name(step, asked.attempts)) {
        waits(pass, hook, &asked);
    } else {
        let before = asked.answered_at.or(asked.asked_at).filter(|_| asked.attempts > 0);
        let due = before.map_or(now, |at| Pass::after(at, pause(hook.backoff, asked.attempts)));
        if now < due {
            waits(pass, hook, &asked);
            pass.wake_at(due);
        } else {
            asked.attempts += 1;
            (asked.asked_at, asked.answered_at, asked.word) = (Some(now), None, None);
            waits(pass, hook, &asked);
            let question = question(pass, valid, hook, asked.attempts);
            let (revision, attempt) = (pass.revision(), asked.attempts);
            pass.calls.push(Call { webhook: name.clone(), revision, step, attempt, question });
        }
    }
    pass.trial().asked = Some(asked);
    key
}

/// Names the wait, with what was said last.
fn waits(pass: &mut Pass, hook: &Webhook, asked: &Asked) {
    let name = &hook.name;
    let message = match &asked.said {
        None => format!("waiting for webhook {name} to say yes"),
        Some(said) => {
            format!(
                "waiting for webhook {name} to say yes, attempt {}; the last answer: {said}",
                asked.attempts
            )
        }
    };
    pass.wait("Webhook", message);
}

/// How long to wait after so many attempts.
fn pause(first: Duration, attempts: u32) -> Duration {
    first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST.max(first))
}

/// What is asked.
fn question(pass: &mut Pass, valid: &Valid, hook: &Webhook, attempt: u32) -> Question {
    let steps = valid.stages.len();
    let revision = pass.revision();
    let of = |template: Option<&Value>| template.map(images).unwrap_or_default();
    let (stable, canary) = (pass.stable().map(|set| &set.template), pass.canary().map(|set| &set.template));
    let images = Images { stable: of(stable), canary: of(canary) };
    let weight = pass.weight().unwrap_or(0);
    let (namespace, deployment) = (pass.s.namespace.clone(), pass.s.name.clone());
    let trial = pass.trial();
    let step = trial.step + 1;
    let began = trial.since.map_or(0, Timestamp::as_millisecond);
    let measured = |metric: &Metric| {
        let state = trial.metrics.get(&metric.name);
        let value = match state.and_then(|state| state.last.as_ref()) {
            Some(Outcome::Value(value)) => Some(*value),
            _ => None,
        };
        Measured { name: metric.name.clone(), value, at: state.and_then(|state| state.asked_at) }
    };
    let metrics = valid.metrics.iter().map(measured).collect();
    let id = format!("{revision}-{began:x}-{step}-{attempt}");
    let metadata = hook.metadata.clone();
    let moment = moment(&valid.stages, trial.step);
    Question {
        id,
        attempt,
        namespace,
        deployment,
        revision,
        step,
        steps,
        weight,
        images,
        metrics,
        metadata,
        moment,
    }
}

/// Where among the shifts a gate at this place stands.
fn moment(stages: &[Stage], at: usize) -> Moment {
    let shift = |stage: &Stage| match stage {
        Stage::Shift(shift) => Some(shift.weight),
        Stage::Gate(_) => None,
    };
    let (before, after) = stages.split_at(at.min(stages.len()));
    match after.iter().find_map(shift) {
        None | Some(100) => Moment::Last,
        Some(_) if before.iter().find_map(shift).is_none() => Moment::First,
        Some(_) => Moment::Between,
    }
}

/// The image of each container.
fn images(template: &Value) -> BTreeMap<String, String> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let text = |container: &Value, field: &str| container[field].as_str().unwrap_or_default().to_owned();
    containers
        .into_iter()
        .flatten()
        .map(|container| (text(container, "name"), text(container, "image")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_or_the_policy_s_own() {
        let seconds = |first, attempts| pause(Duration::from_secs(first), attempts).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 99].map(|n| seconds(5, n)), [5, 10, 20, 40, 60, 60]);
        assert_eq!([1, 2, 99].map(|n| seconds(300, n)), [300, 300, 300]);
    }
}
