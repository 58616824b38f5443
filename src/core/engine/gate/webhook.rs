//! A webhook's gate: another system is called until it approves, in a task of its own.
//!
//! An attempt is counted in the status before its call is sent, so that none is sent twice: one whose
//! answer a restart lost is followed by the next attempt.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::key::Key;
use crate::{
    analysis::Outcome,
    api::{Asked, Word},
    engine::{
        plan::{Call, Images, Measured, Moment, Question, call_name},
        reasons::{EventReason, Failure, WaitReason},
        reconcile::{EndsBy, Flow, Reconcile, Since, after},
        rollback,
    },
    policy::{Metric, Stage, Valid, gate::Webhook},
};

/// No pause between two attempts is longer, but one that the policy asks for.
const LONGEST: Duration = Duration::from_mins(1);

/// Reads the answer that came, if it is one to the last attempt.
pub(in crate::engine) fn hear(r: &mut Reconcile) {
    let revision = r.revision();
    for answer in r.world().answers.iter().filter(|answer| answer.revision == revision) {
        if r.status().trial.is_none() {
            return;
        }
        let step = r.trial().step;
        let Some(asked) = &mut r.trial().asked else { return };
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
            let (webhook, attempt) = (asked.webhook.clone(), asked.attempts);
            let said = answer.said.clone();
            r.report(&EventReason::GateShut { webhook, step: step + 1, attempt, said });
        }
    }
}

/// Where the calls of a webhook are.
enum Calls {
    /// It approved.
    Approved,
    /// It refused more often than the policy allows.
    Refused,
    /// A call is on its way.
    Pending,
    /// The next call is due then.
    Due(Timestamp),
}

/// Whether the webhook has approved; else it is called when that is due.
pub(super) fn open(r: &mut Reconcile, valid: &Valid, hook: &Webhook) -> Flow<Key> {
    let now = r.now();
    let step = r.trial().step;
    let asked = r.trial().asked.take().filter(|asked| asked.step == step && asked.webhook == hook.name);
    let mut asked = asked.unwrap_or_else(|| Asked { step, webhook: hook.name.clone(), ..Asked::default() });
    let calls = calls(r, hook, &asked);
    if matches!(calls, Calls::Due(at) if at <= now) {
        asked.attempts += 1;
        (asked.asked_at, asked.answered_at, asked.word) = (Some(now), None, None);
    }
    let (attempts, said) = (asked.attempts, asked.said.clone());
    r.trial().asked = Some(asked.clone());
    let webhook = hook.name.clone();
    match calls {
        Calls::Approved => return Flow::Continue(Key { by: format!("webhook {webhook}"), said }),
        Calls::Refused => {
            let (refusals, said) = (asked.refusals, said.unwrap_or_default());
            return rollback::fail(r, &Failure::GateRefused { webhook, refusals, attempts, said });
        }
        Calls::Pending => {}
        Calls::Due(at) if at > now => r.wake_at(at),
        Calls::Due(_) => {
            let question = question(r, valid, hook, attempts);
            let revision = r.revision();
            r.call(Call { webhook, revision, step, attempt: attempts, question });
        }
    }
    let waits = WaitReason::Webhook { name: hook.name.clone(), attempts, said };
    r.wait(&waits, Since::FirstReported, EndsBy::Person)
}

fn calls(r: &Reconcile, hook: &Webhook, asked: &Asked) -> Calls {
    if asked.word == Some(Word::Yes) {
        return Calls::Approved;
    }
    if hook.retries.is_some_and(|retries| asked.refusals > retries) {
        return Calls::Refused;
    }
    if asked.attempts > 0 && r.world().asking.contains(&call_name(asked.step, asked.attempts)) {
        return Calls::Pending;
    }
    let before = asked.answered_at.or(asked.asked_at).filter(|_| asked.attempts > 0);
    Calls::Due(before.map_or(r.now(), |at| after(at, pause(hook.backoff, asked.attempts))))
}

/// How long to wait after this many attempts.
fn pause(first: Duration, attempts: u32) -> Duration {
    first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST.max(first))
}

/// What is asked.
fn question(r: &mut Reconcile, valid: &Valid, hook: &Webhook, attempt: u32) -> Question {
    let steps = valid.stages.len();
    let revision = r.revision();
    let of = |template: Option<&Value>| template.map(images).unwrap_or_default();
    let (stable, canary) = (r.stable().map(|set| &set.template), r.canary().map(|set| &set.template));
    let images = Images { stable: of(stable), canary: of(canary) };
    let weight = r.weight().unwrap_or(0);
    let (namespace, deployment) = (r.world().namespace.clone(), r.world().name.clone());
    let trial = r.trial();
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
    let (before, behind) = stages.split_at(at.min(stages.len()));
    match behind.iter().find_map(shift) {
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
