//! Webhook gates: a separate task calls another system until it approves.
//!
//! Status counts an attempt before its call is sent, so that no attempt is sent twice: if a restart
//! loses the answer, the next attempt follows.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::opening::Opening;
use crate::{
    analysis::Outcome,
    api::{Approval, Asked},
    engine::{
        inquiry::Inquiry,
        plan::{Call, Images, Measured, Moment, Question},
        reasons::{EventReason, Failure, WaitReason},
        reconcile::{EndsBy, Flow, Reconcile, Since, after},
        rollback,
    },
    policy::{Metric, Mode, Policy, Stage, gate::Webhook},
    traffic::Weight,
};

/// The longest pause between two attempts, unless the policy's `backoff` is longer.
const LONGEST: Duration = Duration::from_mins(1);

/// Records the answer to the last attempt, if it arrived.
pub(in crate::engine) fn record_answers(r: &mut Reconcile) {
    let revision = r.revision();
    for answer in r.world().answers.iter().filter(|answer| answer.revision == revision) {
        if r.status().trial.is_none() {
            return;
        }
        let step = r.trial().step;
        let Some(asked) = &mut r.trial().asked else { return };
        if (answer.step, answer.attempt) != (step, asked.attempts)
            || asked.step != step
            || asked.approval.is_some()
        {
            continue;
        }
        let news = asked.response.as_ref() != Some(&answer.response);
        asked.approval = Some(answer.approval);
        asked.response = Some(answer.response.clone());
        asked.answered_at = Some(answer.at);
        if answer.approval == Approval::Refused {
            asked.refusals += 1;
        }
        if answer.approval != Approval::Approved && news {
            let (webhook, attempt) = (asked.webhook.clone(), asked.attempts);
            let response = answer.response.clone();
            r.report(&EventReason::GateNotApproved { webhook, step: step + 1, attempt, response });
        }
    }
}

/// The state of the calls of a webhook.
enum Calls {
    /// It approved.
    Approved,
    /// It refused more often than the policy allows.
    Refused,
    /// A call has no answer yet.
    Pending,
    /// The next call is due at this time.
    Due(Timestamp),
}

/// Continues once the webhook has approved; otherwise calls it when the next call is due.
pub(super) fn open(r: &mut Reconcile, policy: &Policy, hook: &Webhook) -> Flow<Opening> {
    let now = r.now();
    let step = r.trial().step;
    let asked = r.trial().asked.take().filter(|asked| asked.step == step && asked.webhook == hook.name);
    let mut asked = asked.unwrap_or_else(|| Asked { step, webhook: hook.name.clone(), ..Asked::default() });
    let calls = calls(r, hook, &asked);
    if matches!(calls, Calls::Due(at) if at <= now) {
        asked.attempts += 1;
        (asked.asked_at, asked.answered_at, asked.approval) = (Some(now), None, None);
    }
    let (attempts, response) = (asked.attempts, asked.response.clone());
    r.trial().asked = Some(asked.clone());
    let webhook = hook.name.clone();
    match calls {
        Calls::Approved => return Flow::Continue(Opening { by: format!("webhook {webhook}"), response }),
        Calls::Refused => {
            let (refusals, response) = (asked.refusals, response.unwrap_or_default());
            return rollback::fail(r, &Failure::GateRefused { webhook, refusals, attempts, response });
        }
        Calls::Pending => {}
        Calls::Due(at) if at > now => r.wake_at(at),
        Calls::Due(_) => {
            let question = question(r, policy, hook, attempts);
            let revision = r.revision();
            r.call(Call { webhook, revision, step, attempt: attempts, question });
        }
    }
    let waits = WaitReason::Webhook { name: hook.name.clone(), attempts, response };
    r.wait(&waits, Since::FirstReported, EndsBy::Person)
}

fn calls(r: &Reconcile, hook: &Webhook, asked: &Asked) -> Calls {
    if asked.approval == Some(Approval::Approved) {
        return Calls::Approved;
    }
    if hook.retries.is_some_and(|retries| asked.refusals > retries) {
        return Calls::Refused;
    }
    let last = Inquiry::Webhook { step: asked.step, attempt: asked.attempts };
    if asked.attempts > 0 && r.world().asking.contains(&last) {
        return Calls::Pending;
    }
    let before = asked.answered_at.or(asked.asked_at).filter(|_| asked.attempts > 0);
    Calls::Due(before.map_or(r.now(), |at| after(at, pause(hook.backoff, asked.attempts))))
}

/// Returns the pause after this many attempts.
fn pause(first: Duration, attempts: u32) -> Duration {
    first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST.max(first))
}

/// Returns the body of the call.
fn question(r: &mut Reconcile, policy: &Policy, hook: &Webhook, attempt: u32) -> Question {
    let steps = policy.stages.len();
    let revision = r.revision();
    let of = |template: Option<&Value>| template.map(images).unwrap_or_default();
    let (stable, canary) = (r.stable().map(|set| &set.template), r.canary().map(|set| &set.template));
    let images = Images { stable: of(stable), canary: of(canary) };
    let weight = r.weight().unwrap_or_default();
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
        let (at, dry_run) = (state.and_then(|state| state.asked_at), metric.mode == Mode::DryRun);
        Measured { name: metric.name.clone(), value, at, dry_run }
    };
    let metrics = policy.metrics.iter().map(measured).collect();
    let id = format!("{revision}-{began:x}-{step}-{attempt}");
    let metadata = hook.metadata.clone();
    let moment = moment(&policy.stages, trial.step);
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

/// Returns the position of a gate among the steps that shift traffic.
fn moment(stages: &[Stage], at: usize) -> Moment {
    let shift = |stage: &Stage| match stage {
        Stage::Shift(shift) => Some(shift.weight),
        Stage::Gate(_) => None,
    };
    let (before, behind) = stages.split_at(at.min(stages.len()));
    match behind.iter().find_map(shift) {
        None | Some(Weight::ALL) => Moment::Last,
        Some(_) if before.iter().find_map(shift).is_none() => Moment::First,
        Some(_) => Moment::Between,
    }
}

/// Returns the image of each container.
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
    fn pauses_double_up_to_a_minute_or_the_backoff_of_the_policy() {
        let seconds = |first, attempts| pause(Duration::from_secs(first), attempts).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 99].map(|n| seconds(5, n)), [5, 10, 20, 40, 60, 60]);
        assert_eq!([1, 2, 99].map(|n| seconds(300, n)), [300, 300, 300]);
    }
}
