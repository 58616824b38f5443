//! Writes that the API server or an admission policy refused: the wait that names the write, and
//! what the status records although the plan can't go on.
//!
//! The last write of a plan is the status, so a refused write would hide everything that was
//! decided. Therefore the reconcile after a refusal writes the status alone, with the wait and with
//! what sources and webhooks answered; the reconcile after that sends the refused write again.

use super::{
    context::Reconcile,
    waits::{EndsBy, Since, waiting},
};
use crate::{
    api::{Handover, Phase, RolloutStatus},
    engine::{
        plan::{Decision, Event, Write},
        reasons::{EventReason, WaitKind, WaitReason},
        snapshot::{RefusedWrite, Snapshot},
    },
};

impl Reconcile<'_> {
    /// Returns the refused write whose deadline is over, if there is one.
    pub(in crate::engine) fn refused_too_long(&self) -> Option<&RefusedWrite> {
        let wait = self.r.status.waiting.as_ref().filter(|wait| of_refused_write(&wait.reason))?;
        self.s.refused.first().filter(|_| wait.until.is_some_and(|until| self.s.now >= until))
    }

    /// Returns whether a failure can still end the rollout in progress: the canary is not the
    /// Deployment's yet.
    pub(in crate::engine) fn can_fail(&self) -> bool {
        let Some(trial) = &self.status.trial else { return false };
        let native = trial.handover.is_some_and(|stage| stage >= Handover::NativeRollout);
        let phases = [Phase::Preparing, Phase::Stepping, Phase::Waiting, Phase::Promoting];
        phases.contains(&self.status.phase) && !self.deployment_owns_canary() && (!native || self.held())
    }

    /// If this plan would send a refused write again, waits for it. Plans only the status if that
    /// wait, or an answer, is not in status yet.
    pub(super) fn explain_refusal(&mut self) {
        let planned = self.withdrawals.iter().chain(&self.writes).chain(&self.last_writes);
        let Some(refused) = again(self.s, planned).cloned() else { return };
        let turns = self.status.phase == Phase::RollingBack && self.r.status.phase != Phase::RollingBack;
        let decided = self.status.clone();
        if !turns {
            self.status = self.r.status.clone();
            learn(&mut self.status, &decided);
        }
        let reason = WaitReason::WriteRefused(refused.clone());
        let since = self.reported(&reason).unwrap_or(self.s.now);
        let deadline = self.policy().filter(|_| self.can_fail()).map(|policy| policy.deadline);
        let end = deadline.map_or(EndsBy::Person, EndsBy::After);
        let _ = self.wait::<()>(&reason, Since::At(since), end);
        self.set_conditions();
        if self.status == self.r.status {
            // The status precedes the last writes, so it must not end the wait for one of them.
            let waiting =
                self.status.waiting.take().filter(|_| again(self.s, self.last_writes.iter()).is_some());
            self.status = RolloutStatus { waiting: waiting.or(decided.waiting.clone()), ..decided };
            return;
        }
        self.writes.clear();
        self.last_writes.clear();
        if !turns {
            self.events.clear();
        }
        if is_news(self.s, &reason) {
            self.report(&EventReason::WriteRefused(refused));
        }
    }
}

/// Waits for a refused write of the plan that cleans up after a deleted Deployment.
pub(in crate::engine) fn explained(s: &Snapshot, decision: Decision) -> Decision {
    let Some((rollout, refused)) = s.rollout.as_ref().zip(again(s, decision.writes.iter())) else {
        return decision;
    };
    let reason = WaitReason::WriteRefused(refused.clone());
    if !is_news(s, &reason) {
        return decision;
    }
    let status = RolloutStatus { waiting: Some(waiting(&reason, s.now, None)), ..rollout.status.clone() };
    let write = Write::Status { version: rollout.meta.version.clone(), status: Box::new(status) };
    let events = vec![Event::of(&EventReason::WriteRefused(refused.clone()))];
    Decision { writes: vec![write], withdrawals: 0, events, in_flight: true, ..decision }
}

/// Returns a refused write that is planned again.
fn again<'a, 'b>(s: &'a Snapshot, mut planned: impl Iterator<Item = &'b Write>) -> Option<&'a RefusedWrite> {
    let same = |write: &Write, refused: &RefusedWrite| {
        write.target(&s.name) == (refused.verb, refused.kind, refused.name.as_str())
    };
    planned.find_map(|write| s.refused.iter().find(|refused| same(write, refused)))
}

/// Returns whether the Rollout, as it was read, does not wait with this message.
fn is_news(s: &Snapshot, reason: &WaitReason) -> bool {
    let known = s.rollout.as_ref().and_then(|rollout| rollout.status.waiting.as_ref());
    known.is_none_or(|known| known.message != reason.to_string())
}

fn of_refused_write(reason: &str) -> bool {
    reason.parse() == Ok(WaitKind::WriteRefused)
}

/// Adds what the reconcile read to the status, without what it would have changed by its writes.
fn learn(status: &mut RolloutStatus, decided: &RolloutStatus) {
    status.observed_generation = decided.observed_generation;
    status.template_hash.clone_from(&decided.template_hash);
    (status.weight, status.observed_weight) = (decided.weight, decided.observed_weight);
    let (Some(known), Some(trial)) = (&mut status.trial, &decided.trial) else { return };
    if known.step == trial.step {
        known.metrics.clone_from(&trial.metrics);
        known.asked.clone_from(&trial.asked);
        known.observed_weight_queried_at = trial.observed_weight_queried_at;
    }
}
