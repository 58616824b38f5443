//! One reconcile of one Deployment: observe, decide, apply, until there is nothing left to write.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

use super::{
    ObjectKey,
    answers::{AnswerContent, Answers},
    apply::{Applied, ApplyError, StopReason, apply},
    concurrency::Concurrency,
    events::{EventRecorder, Uids},
    hold_probe::{HoldProbe, RECHECK_INTERVAL},
    lease::Fence,
    observe::{Inputs, ObserveError, Observed, observe},
    raw::Caller,
    related_watches::WatchScope,
};
use crate::{
    analysis::Outcome,
    api::Approval,
    engine::{
        Answer, Ask, Call, Capacity, Event, Kind, PolicyState, Reading, RefusedWrite, Router, Snapshot,
        decide, epoch,
        reasons::{EventReason, NewerEpoch, WaitKind},
        wants_capacity,
    },
    policy::Cache,
    sources::{Sources, webhook::Webhooks},
    telemetry::metrics::Metrics,
    traffic::Resource,
};

/// How many plans one reconcile may apply. More means that another client writes the same fields.
const MAX_PLANS: usize = 20;

/// The dependencies of a reconcile.
pub struct Context {
    /// The API server.
    pub caller: Caller,
    /// Whether writes may be sent.
    pub fence: Fence,
    /// The controller's metrics.
    pub metrics: Arc<Metrics>,
    /// Publishes Events.
    pub events: EventRecorder,
    /// The named metrics sources.
    pub sources: Sources,
    /// The named webhooks.
    pub webhooks: Webhooks,
    /// How long pods keep running after traffic has left them.
    pub drain: SignedDuration,
    /// The query of the weight that the router reports, if the operator configures it.
    pub router: Option<Router>,
    /// Limits the number of rollouts in progress.
    pub concurrency: Concurrency,
    /// Finds out whether admission holds template changes.
    pub hold_probe: HoldProbe,
    /// Answers that have not been handled yet.
    pub answers: Answers,
    /// Compiled policies, by the Deployments that use them.
    pub policies: Mutex<Cache<ObjectKey>>,
    /// Queues a Deployment for a reconcile without a delay.
    pub wakes: UnboundedSender<ObjectKey>,
    /// Whether annotated Deployments are managed.
    pub mode: Mode,
}

/// Whether annotated Deployments are managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Manages annotated Deployments.
    Manage,
    /// Treats Deployments as if none had the annotation, before Steelyard is uninstalled.
    Unmanage,
}

/// The result of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileResult {
    /// What to watch for the Deployment; empty if it depends on no other objects.
    pub watches: BTreeSet<WatchScope>,
    /// Whether a rollout is in progress.
    pub in_progress: bool,
    /// When to reconcile again if no event comes first.
    pub requeue_at: Option<Timestamp>,
}

/// Why a reconcile failed.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The objects can't be read.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A write failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The API server refused a write.
    #[error("{error}")]
    Refused {
        /// The write.
        write: RefusedWrite,
        /// The failure.
        #[source]
        error: ApplyError,
        /// The uids of the Rollout and of its Deployment, if they exist.
        uids: Uids,
    },
    /// An object carries a newer leadership epoch: another process is the leader, or another client
    /// set the epoch.
    #[error("{newer}")]
    NewerEpoch {
        /// The object and its epoch.
        newer: NewerEpoch,
        /// The uids of the Rollout and of its Deployment, if they exist.
        uids: Uids,
    },
    /// There is still something to write after the maximum number of plans.
    #[error(
        "{MAX_PLANS} plans in a row had writes: check in metadata.managedFields which other client writes the same fields"
    )]
    Unsettled,
}

impl ReconcileError {
    /// Returns the cause as a label of metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Apply(_) => "apply",
            Self::Refused { .. } => "refused",
            Self::NewerEpoch { .. } => "newer_epoch",
            Self::Unsettled => "unsettled",
        }
    }

    /// Publishes an Event about what blocks the rollout and can't be in its status: a newer epoch,
    /// although this process is the leader, or a refused write of the Rollout itself.
    pub fn publish(&self, context: &Context, key: &ObjectKey) {
        let (event, uids) = match self {
            Self::NewerEpoch { newer, uids } => (Event::of(&EventReason::NewerEpoch(newer.clone())), uids),
            Self::Refused { write, uids, .. } if write.kind == Kind::Rollout => {
                (Event::of(&EventReason::WriteRefused(write.clone())), uids)
            }
            _ => return,
        };
        context.metrics.event_published(event.reason);
        context.events.publish(key, uids, vec![event]);
    }
}

/// Reconciles `key` until a plan has no writes.
pub async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> Result<ReconcileResult, ReconcileError> {
    for _ in 0..MAX_PLANS {
        let inputs =
            Inputs { epoch: context.fence.epoch(), drain: context.drain, router: context.router.clone() };
        let Observed { mut snapshot, answers, other_namespaces } =
            observe(&context.caller, key, inputs, &context.hold_probe, &context.answers, &context.policies)
                .await?;
        if context.mode == Mode::Unmanage {
            snapshot.policy = PolicyState::Unnamed;
        }
        snapshot.capacity = capacity(context, key, &snapshot);
        if let Some(newer) = epoch::newer(&snapshot) {
            context.answers.put_back(key, answers);
            context.fence.check_now();
            let uids = uids(&snapshot, None);
            return Err(ReconcileError::NewerEpoch { newer, uids });
        }
        let decision = decide(&snapshot);
        let empty = decision.writes.is_empty();
        let applied = apply(
            &context.caller,
            &context.fence,
            &context.metrics,
            key,
            decision.writes,
            decision.withdrawals,
        )
        .await;
        let first_arrived = answers.iter().map(|answer| answer.arrived).min();
        if let (Some(at), Some(arrived)) = (applied.rolled_back, first_arrived) {
            context.metrics.traffic_returned(at.saturating_duration_since(arrived));
        }
        // Once the status is written, it counts these answers: they must not be counted again.
        if applied.stopped.is_some() && !applied.status {
            context.answers.put_back(key, answers);
        }
        // Once the status is written, no later reconcile reports these Events, or sends these
        // queries and calls.
        if applied.stopped.is_none() || applied.status {
            publish(context, key, &snapshot, &applied, decision.events);
            for ask in decision.asks {
                query(context, key, ask);
            }
            for call in decision.calls {
                call_webhook(context, key, call);
            }
        }
        match applied.stopped {
            Some(StopReason::Conflict) => continue,
            Some(StopReason::Failed(error, None)) => return Err(error.into()),
            Some(StopReason::Failed(error, Some(write))) => {
                context.answers.add(key, AnswerContent::RefusedWrite(write.clone()));
                return Err(ReconcileError::Refused { write, error, uids: uids(&snapshot, applied.rollout) });
            }
            None => {}
        }
        for next in context.concurrency.update(key, decision.occupancy) {
            let _ = context.wakes.send(next);
        }
        if empty {
            context.metrics.rollout_seen(key, snapshot.rollout.as_ref().map(|rollout| &rollout.status));
            let in_progress = snapshot.rollout.as_ref().is_some_and(|rollout| rollout.status.trial.is_some());
            let requeue_at = with_hold_recheck(decision.wake, &snapshot);
            let watches = if decision.in_flight { scopes(key, other_namespaces) } else { BTreeSet::new() };
            return Ok(ReconcileResult { watches, in_progress, requeue_at });
        }
    }
    Err(ReconcileError::Unsettled)
}

/// Returns the scopes to watch: the Deployment's namespace, and others that may have routes to its
/// Services.
fn scopes(key: &ObjectKey, other_namespaces: BTreeSet<(&'static Resource, String)>) -> BTreeSet<WatchScope> {
    let own = WatchScope::Namespace(key.namespace.clone());
    let others =
        other_namespaces.into_iter().map(|(resource, namespace)| WatchScope::Routes(resource, namespace));
    others.chain([own]).collect()
}

/// Returns whether the Deployment may start a rollout now. Only a Deployment that wants to start
/// one takes a place in the queue.
fn capacity(context: &Context, key: &ObjectKey, snapshot: &Snapshot) -> Capacity {
    let (Some(deployment), Some(rollout)) = (&snapshot.deployment, &snapshot.rollout) else {
        return Capacity::Free;
    };
    if !wants_capacity(deployment, rollout) {
        return Capacity::Free;
    }
    let queued = |reason: &str| reason.parse().is_ok_and(|kind: WaitKind| kind == WaitKind::Queue);
    let waiting = rollout.status.waiting.as_ref().filter(|waiting| queued(&waiting.reason));
    context.concurrency.request(key, waiting.and_then(|waiting| waiting.since).unwrap_or(snapshot.now))
}

/// While admission does not hold template changes, limits the wait to [`RECHECK_INTERVAL`].
fn with_hold_recheck(wake: Option<Timestamp>, snapshot: &Snapshot) -> Option<Timestamp> {
    if snapshot.hold_enforced || snapshot.deployment.is_none() {
        return wake;
    }
    let again = snapshot.now.checked_add(RECHECK_INTERVAL).ok();
    wake.into_iter().chain(again).min()
}

fn publish(context: &Context, key: &ObjectKey, snapshot: &Snapshot, applied: &Applied, events: Vec<Event>) {
    for event in &events {
        context.metrics.event_published(event.reason);
    }
    context.events.publish(key, &uids(snapshot, applied.rollout.clone()), events);
}

/// Returns the uids of the objects that Events regard; `written` is that of a Rollout that was
/// written since the snapshot.
fn uids(snapshot: &Snapshot, written: Option<String>) -> Uids {
    let known = snapshot.rollout.as_ref().map(|rollout| rollout.meta.uid.clone());
    let deployment = snapshot.deployment.as_ref().map(|d| d.meta.uid.clone());
    Uids { rollout: written.or(known), deployment }
}

/// Sends a query in a separate task: a slow source delays no decision.
fn query(context: &Arc<Context>, key: &ObjectKey, ask: Ask) {
    if !context.answers.start_query(key, &ask) {
        return;
    }
    let (context, key) = (Arc::clone(context), key.clone());
    tokio::spawn(async move {
        let Ask { revision, step, inquiry, request, at } = ask;
        let sent = Instant::now();
        let outcome = context.sources.measure(&request, at).await;
        context.metrics.query_finished(outcome_label(&outcome), sent.elapsed());
        tracing::debug!(deployment = %key, %inquiry, ?outcome, "measured");
        let (query, lookback) = (request.text().to_owned(), context.sources.lookback(&request));
        let reading = Reading { revision, step, inquiry, query, at, lookback, outcome };
        context.answers.add(&key, AnswerContent::Measurement(reading));
        let _ = context.wakes.send(key);
    });
}

/// Calls a webhook in a separate task: a slow webhook delays no decision and no rollback.
fn call_webhook(context: &Arc<Context>, key: &ObjectKey, call: Call) {
    if !context.answers.start_call(key, &call) {
        return;
    }
    let (context, key) = (Arc::clone(context), key.clone());
    tokio::spawn(async move {
        let Call { webhook, revision, step, attempt, question } = call;
        let sent = Instant::now();
        let (approval, response) = context.webhooks.ask(&webhook, &question).await;
        context.metrics.webhook_finished(approval_label(approval), sent.elapsed());
        tracing::info!(deployment = %key, %webhook, id = %question.id, ?approval, %response, "webhook answered");
        let at = Timestamp::now();
        context
            .answers
            .add(&key, AnswerContent::Webhook(Answer { revision, step, attempt, at, approval, response }));
        let _ = context.wakes.send(key);
    });
}

fn approval_label(approval: Approval) -> &'static str {
    match approval {
        Approval::Approved => "approved",
        Approval::Refused => "refused",
        Approval::NotCalled => "not_called",
    }
}

fn outcome_label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::NoData => "no_data",
        Outcome::NonFinite => "non_finite",
        Outcome::TooFew { .. } => "too_few",
        Outcome::Error { .. } => "error",
    }
}

/// Returns how long to wait after `failures` consecutive failures: 100 ms, doubled each time, 30 s
/// at most.
pub fn backoff(failures: u32) -> Duration {
    const MAX: Duration = Duration::from_secs(30);
    Duration::from_millis(100).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_with_each_consecutive_failure_up_to_30_seconds() {
        let waits: Vec<_> = [1, 2, 3, 9, 10, u32::MAX].into_iter().map(|n| backoff(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 25_600, 30_000, 30_000]);
    }
}
