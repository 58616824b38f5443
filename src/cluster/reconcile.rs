//! One reconcile of one Deployment: observe, decide, apply, until there is nothing left to write.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::core::Expression;
use thiserror::Error;
use tokio::time::Instant;

use super::{
    ObjectKey,
    answers::{AnswerContent, PendingAnswer},
    apply::{Applied, ApplyError, StopReason, Writer, apply},
    cache::{CachedKind, Scope},
    context::{Context, Mode},
    events::Uids,
    hold_probe::RECHECK_INTERVAL,
    observe::{ObserveError, Observed, observe},
    read,
};
use crate::{
    analysis::Outcome,
    api::Approval,
    engine::{
        Answer, Ask, Call, Capacity, Decision, Event, Fresh, Kind, PolicyState, Reading, RefusedWrite,
        Snapshot, decide, epoch,
        reasons::{EventReason, NewerEpoch, WaitKind},
        wants_capacity,
    },
    traffic::Resource,
};

/// How many plans one reconcile may apply. More means that another client writes the same fields.
const MAX_PLANS: usize = 20;

/// The result of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileResult {
    /// Where changes wake the Deployment, besides its `ReplicaSets`; empty if it depends on no other
    /// objects.
    pub scopes: BTreeSet<Scope>,
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
    context.caches.follow_replica_sets(key);
    for _ in 0..MAX_PLANS {
        let Decided { snapshot, answers, other_namespaces, decision } = decided(context, key).await?;
        let empty = decision.writes.is_empty();
        let Context { caller, caches, fence, metrics, .. } = &**context;
        let writer = Writer { caller, caches, fence, metrics };
        let applied = apply(writer, key, decision.writes, decision.withdrawals).await;
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
            let scopes = if decision.in_flight { scopes(key, other_namespaces) } else { BTreeSet::new() };
            return Ok(ReconcileResult { scopes, in_progress, requeue_at });
        }
    }
    Err(ReconcileError::Unsettled)
}

/// A decision, and what it was made of.
struct Decided {
    snapshot: Snapshot,
    answers: Vec<PendingAnswer>,
    other_namespaces: BTreeSet<(&'static Resource, String)>,
    decision: Decision,
}

/// Observes and decides, until all that the decision needs to be fresh was read since.
async fn decided(context: &Context, key: &ObjectKey) -> Result<Decided, ReconcileError> {
    let mut refreshed = BTreeSet::new();
    loop {
        let Observed { mut snapshot, answers, other_namespaces } = observe(context, key).await?;
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
        let stale: Vec<Fresh> = decision.fresh.difference(&refreshed).copied().collect();
        if stale.is_empty() {
            return Ok(Decided { snapshot, answers, other_namespaces, decision });
        }
        context.answers.keep(key, answers);
        for fresh in &stale {
            refresh(context, &snapshot, *fresh).await?;
        }
        refreshed.extend(stale);
    }
}

/// Lists again what a decision needs to be fresh.
async fn refresh(context: &Context, snapshot: &Snapshot, fresh: Fresh) -> Result<(), ObserveError> {
    let Context { caller, caches, .. } = context;
    let namespace = &snapshot.namespace;
    let deployment = snapshot.deployment.as_ref();
    let own = deployment.map(|deployment| read::label_selector(&deployment.selector)).unwrap_or_default();
    match fresh {
        Fresh::Endpoints => {
            let services: BTreeSet<_> =
                snapshot.services.iter().map(|service| service.meta.name.clone()).collect();
            if services.is_empty() {
                return Ok(());
            }
            let of_services = Expression::In(read::SERVICE_NAME.to_owned(), services).into();
            tokio::try_join!(
                caches.refresh(caller, CachedKind::EndpointSlices, namespace, &of_services),
                caches.refresh(caller, CachedKind::Pods, namespace, &own),
            )?;
        }
        Fresh::ReplicaSets => caches.refresh(caller, CachedKind::ReplicaSets, namespace, &own).await?,
    }
    Ok(())
}

/// Returns where changes wake a Deployment: in its namespace, and at the routes of others that may
/// name its Services.
fn scopes(key: &ObjectKey, other_namespaces: BTreeSet<(&'static Resource, String)>) -> BTreeSet<Scope> {
    let own = Scope::Namespace(key.namespace.clone());
    let others = other_namespaces.into_iter().map(|(resource, namespace)| Scope::Routes(resource, namespace));
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
