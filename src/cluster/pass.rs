//! One look at one Deployment: observe, decide, apply, until nothing is left to write.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

use super::{
    Key,
    apply::{Applied, ApplyError, End, apply},
    events::Teller,
    gate::{DOUBT, Gate},
    lease::Fence,
    mailbox::{Content, Mailbox},
    observe::{Given, ObserveError, observe},
    raw::Caller,
    slots::Slots,
};
use crate::{
    analysis::{ErrorClass, Outcome},
    api::Word,
    engine::{
        Answer, Ask, Call, Policy, Reading, Router, Snapshot, Turn, decide, epoch, reasons::WaitKind,
        wants_turn,
    },
    sources::{Sources, webhook::Webhooks},
    telemetry::metrics::Metrics,
};

/// How many plans one look may apply: more means that two wills fight over the same fields.
const ROUNDS: usize = 20;

/// What a look needs.
pub struct Context {
    /// The API server.
    pub caller: Caller,
    /// Whether writes may be sent.
    pub fence: Fence,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who tells Events.
    pub teller: Teller,
    /// The named metrics sources.
    pub sources: Sources,
    /// The named webhooks.
    pub webhooks: Webhooks,
    /// How long routers and connections get to leave.
    pub drain: SignedDuration,
    /// How to ask the router what share the canary gets.
    pub router: Option<Router>,
    /// How many rollouts may be in flight, and who is next.
    pub slots: Slots,
    /// What is known of admission.
    pub gate: Gate,
    /// Answers on their way.
    pub mail: Mailbox,
    /// Whom to tell that a Deployment should be looked at at once.
    pub wakes: UnboundedSender<Key>,
    /// Whether Deployments are managed or left.
    pub manner: Manner,
}

/// What becomes of annotated Deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// They are managed.
    Manage,
    /// They are left, as if none had the annotation: Steelyard is about to be uninstalled.
    Leave,
}

/// What a look leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Whether the rollout is in flight.
    pub in_flight: bool,
    /// Whether a revision is on trial: its traffic must be watched.
    pub on_trial: bool,
    /// When to look again though nothing happens.
    pub wake: Option<Timestamp>,
}

/// Why a look ended early.
#[derive(Debug, Error)]
pub enum PassError {
    /// The world couldn't be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A write failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Some object was last written in a later term than this one: another process leads, or somebody made the mark up.
    #[error(
        "{object} carries epoch {found}, and this term's is {own}: no write; if this process still leads next time, remove that mark"
    )]
    Later {
        /// The object.
        object: String,
        /// Its epoch.
        found: u64,
        /// This process' epoch.
        own: u64,
        /// The uids of the Rollout and of its Deployment, as far as they are there.
        about: (Option<String>, Option<String>),
    },
    /// Plan upon plan, and still something to write.
    #[error("not settled after {ROUNDS} plans: does somebody else write the same fields?")]
    Unsettled,
}

impl PassError {
    /// In a word, for metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Apply(_) => "apply",
            Self::Later { .. } => "later",
            Self::Unsettled => "unsettled",
        }
    }

    /// Tells people what else only the log would know: a mark that stands in the way though this process leads.
    pub fn tell(&self, context: &Context, key: &Key) {
        if let Self::Later { object, found, own, about: (Some(rollout), deployment) } = self {
            let event = epoch::foreign(object, *found, *own);
            context.metrics.told(event.reason);
            context.teller.tell(key, rollout, deployment.as_deref(), vec![event]);
        }
    }
}

/// Looks at `key` until a plan has no writes.
pub async fn pass(context: &Arc<Context>, key: &Key) -> Result<Rest, PassError> {
    for _ in 0..ROUNDS {
        let given =
            Given { epoch: context.fence.epoch(), drain: context.drain, router: context.router.clone() };
        let (mut snapshot, letters) =
            observe(&context.caller, key, given, &context.gate, &context.mail).await?;
        if context.manner == Manner::Leave {
            snapshot.policy = Policy::Unnamed;
        }
        snapshot.turn = turn(context, key, &snapshot);
        if let Some((object, found)) = epoch::later(&snapshot) {
            context.mail.put_back(key, letters);
            context.fence.doubt();
            let rollout = snapshot.rollout.as_ref().map(|rollout| rollout.meta.uid.clone());
            let about = (rollout, snapshot.deployment.as_ref().map(|d| d.meta.uid.clone()));
            return Err(PassError::Later { object, found, own: snapshot.epoch, about });
        }
        let decision = decide(&snapshot);
        let empty = decision.writes.is_empty();
        let applied = apply(&context.caller, &context.fence, &context.metrics, key, decision.writes).await;
        if let (Some(at), Some(came)) = (applied.taken_back, letters.iter().map(|l| l.arrived).min()) {
            context.metrics.took_back(at.saturating_duration_since(came));
        }
        // With the status written the answers are in its tallies: they must not be counted again.
        if applied.end.is_some() && !applied.status {
            context.mail.put_back(key, letters);
        }
        match applied.end {
            Some(End::Stale) => continue,
            Some(End::Failed(error, refused)) => {
                if let Some(write) = refused {
                    context.mail.post(key, Content::Refused(write));
                }
                return Err(error.into());
            }
            None => {}
        }
        for next in context.slots.note(key, decision.slot) {
            let _ = context.wakes.send(next);
        }
        tell(context, key, &snapshot, &applied, decision.events);
        for question in decision.asks {
            ask(context, key, question);
        }
        for question in decision.calls {
            call(context, key, question);
        }
        if empty {
            context.metrics.saw(key, snapshot.rollout.as_ref().map(|rollout| &rollout.status));
            let on_trial = snapshot.rollout.as_ref().is_some_and(|rollout| rollout.status.trial.is_some());
            let wake = sooner(decision.wake, &snapshot);
            return Ok(Rest { in_flight: decision.in_flight, on_trial, wake });
        }
    }
    Err(PassError::Unsettled)
}

/// Whether the Deployment may start a rollout now; only one that would is asked about.
fn turn(context: &Context, key: &Key, snapshot: &Snapshot) -> Turn {
    let (Some(deployment), Some(rollout)) = (&snapshot.deployment, &snapshot.rollout) else {
        return Turn::Free;
    };
    if !wants_turn(deployment, rollout) {
        return Turn::Free;
    }
    let queued = |reason: &str| reason.parse().is_ok_and(|kind: WaitKind| kind == WaitKind::Queue);
    let waiting = rollout.status.waiting.as_ref().filter(|waiting| queued(&waiting.reason));
    context.slots.turn(key, waiting.and_then(|waiting| waiting.since).unwrap_or(snapshot.now))
}

/// A "not gated" is doubted again after a while, whatever the decision waits for.
fn sooner(wake: Option<Timestamp>, snapshot: &Snapshot) -> Option<Timestamp> {
    if snapshot.gated || snapshot.deployment.is_none() {
        return wake;
    }
    let again = snapshot.now.checked_add(DOUBT).ok();
    wake.into_iter().chain(again).min()
}

fn tell(
    context: &Context,
    key: &Key,
    snapshot: &Snapshot,
    applied: &Applied,
    events: Vec<crate::engine::Event>,
) {
    let known = snapshot.rollout.as_ref().map(|r| r.meta.uid.clone());
    let Some(rollout) = applied.rollout.clone().or(known) else { return };
    let deployment = snapshot.deployment.as_ref().map(|d| d.meta.uid.as_str());
    for event in &events {
        context.metrics.told(event.reason);
    }
    context.teller.tell(key, &rollout, deployment, events);
}

/// Asks in a task of its own: a slow source delays no decision.
fn ask(context: &Arc<Context>, key: &Key, ask: Ask) {
    if !context.mail.asking(key, &ask) {
        return;
    }
    let (context, key) = (Arc::clone(context), key.clone());
    tokio::spawn(async move {
        let Ask { source, revision, step, metric, query, at, terms } = ask;
        let sent = Instant::now();
        let outcome = match context.sources.get(&source) {
            Some(source) => source.ask_on(&query, at, &terms).await,
            None => Outcome::error(
                ErrorClass::Unreachable,
                &format!("there is no source named {source} in the operator's configuration"),
            ),
        };
        context.metrics.asked(label(&outcome), sent.elapsed());
        tracing::debug!(deployment = %key, %metric, ?outcome, "answer");
        let reading = Reading { revision, step, metric, query, at, outcome };
        context.mail.post(&key, Content::Reading(reading));
        let _ = context.wakes.send(key);
    });
}

/// Calls a webhook in a task of its own: one that hangs delays no decision, and no way back.
fn call(context: &Arc<Context>, key: &Key, call: Call) {
    if !context.mail.calling(key, &call) {
        return;
    }
    let (context, key) = (Arc::clone(context), key.clone());
    tokio::spawn(async move {
        let Call { webhook, revision, step, attempt, question } = call;
        let sent = Instant::now();
        let (word, said) = context.webhooks.ask(&webhook, &question).await;
        context.metrics.called(spoken(word), sent.elapsed());
        tracing::info!(deployment = %key, %webhook, id = %question.id, ?word, %said, "webhook");
        let at = Timestamp::now();
        context.mail.post(&key, Content::Answer(Answer { revision, step, attempt, at, word, said }));
        let _ = context.wakes.send(key);
    });
}

fn spoken(word: Word) -> &'static str {
    match word {
        Word::Yes => "yes",
        Word::No => "no",
        Word::Unasked => "unasked",
    }
}

fn label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::NoData => "no_data",
        Outcome::NonFinite => "non_finite",
        Outcome::TooFew { .. } => "too_few",
        Outcome::Error { .. } => "error",
    }
}

/// How long to wait after `failures` failures in a row: 100 ms, doubled each time, 30 s at most.
pub fn backoff(failures: u32) -> Duration {
    const MOST: Duration = Duration::from_secs(30);
    Duration::from_millis(100).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_wait_twice_as_long_each_up_to_half_a_minute() {
        let waits: Vec<_> = [1, 2, 3, 9, 10, u32::MAX].into_iter().map(|n| backoff(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 25_600, 30_000, 30_000]);
    }
}
