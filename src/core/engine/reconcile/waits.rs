//! Waits: one constructor takes the reason, the time since the condition is lost, and the end.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    context::Reconcile,
    flow::{Flow, GO_ON, Stopped},
};
use crate::{
    api::{Awaited, Phase, Waiting},
    engine::reasons::{Unrunnable, WaitKind, WaitReason},
    policy::Policy,
};

/// The time since which the awaited condition is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Since {
    /// Since this time.
    At(Timestamp),
    /// Since this condition was found lost; kept in status until it holds.
    Lost(Awaited),
    /// Since a wait of this kind was first reported; kept in status as long as it lasts.
    FirstReported,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum EndsBy {
    /// This span after the condition was lost, at the latest: a deadline never counts from an
    /// earlier event.
    After(Duration),
    /// This time of the clock.
    At(Timestamp),
    /// A person, or a change in the cluster. The other conditions are not awaited meanwhile, so
    /// their deadlines start again.
    Person,
}

impl Reconcile<'_> {
    /// Sets the wait in status, and reconciles again at its end. There is no other way to wait.
    /// Never continues.
    pub(in crate::engine) fn wait<T>(&mut self, reason: &WaitReason, since: Since, end: EndsBy) -> Flow<T> {
        let (since, awaited) = match since {
            Since::At(at) => (at, None),
            Since::Lost(condition) => (self.lost_since(condition), Some(condition)),
            Since::FirstReported => (self.waited_since(reason), None),
        };
        let until = match end {
            EndsBy::After(span) => Some(after(since, span)),
            EndsBy::At(at) => Some(at),
            EndsBy::Person => None,
        };
        // A rollback awaits the router only once.
        let stops = end == EndsBy::Person && self.status.phase != Phase::RollingBack;
        if let Some(trial) = self.status.trial.as_mut().filter(|_| stops) {
            trial.lost.only(awaited);
        }
        self.status.waiting = Some(waiting(reason, since, until));
        if let Some(until) = until {
            self.wake_at(until);
        }
        Flow::Break(Stopped)
    }

    /// Records that a condition holds.
    pub(in crate::engine) fn met(&mut self, condition: Awaited) {
        *self.trial().lost.of(condition) = None;
    }

    /// Records that a condition is lost. Returns since when.
    pub(in crate::engine) fn lost_since(&mut self, condition: Awaited) -> Timestamp {
        let now = self.s.now;
        *self.trial().lost.of(condition).get_or_insert(now)
    }

    /// Records that a condition is lost. Returns whether its deadline is over.
    pub(in crate::engine) fn is_late(&mut self, condition: Awaited, deadline: Duration) -> bool {
        self.s.now >= after(self.lost_since(condition), deadline)
    }

    /// Returns the policy that the rollout started with. If it can't be run, for example after an
    /// upgrade of Steelyard, the rollout stays as it is and waits.
    pub(in crate::engine) fn runnable(&mut self) -> Flow<Arc<Policy>> {
        if let Some(policy) = self.policy() {
            return Flow::Continue(policy);
        }
        let why = match &self.s.begun {
            Some(Err(faults)) => Unrunnable::Invalid(faults.clone()),
            Some(Ok(_)) | None => Unrunnable::Gone,
        };
        self.wait(&WaitReason::Policy(why), Since::FirstReported, EndsBy::Person)
    }

    /// Returns whether status already has a wait of this kind.
    pub(in crate::engine) fn waits_for(&self, reason: &WaitReason) -> bool {
        self.reported(reason).is_some()
    }

    /// Returns when a wait of this kind was first reported; now if it is new.
    pub(in crate::engine) fn waited_since(&self, reason: &WaitReason) -> Timestamp {
        self.reported(reason).unwrap_or(self.s.now)
    }

    /// Returns when a wait of this kind was first reported, if it is the one in status.
    pub(super) fn reported(&self, reason: &WaitReason) -> Option<Timestamp> {
        let before = self.r.status.waiting.as_ref()?;
        let kind: WaitKind = before.reason.parse().ok()?;
        before.since.filter(|_| kind == WaitKind::from(reason))
    }

    /// Continues once `span` has passed since `since`; otherwise waits.
    pub(in crate::engine) fn passed(
        &mut self,
        since: Timestamp,
        span: SignedDuration,
        reason: &WaitReason,
    ) -> Flow {
        if self.s.now.duration_since(since) >= span {
            return GO_ON;
        }
        self.wait(reason, Since::At(since), EndsBy::After(span.unsigned_abs()))
    }

    /// Continues once the current stage of a rollback or a handover has lasted for `span`;
    /// otherwise waits.
    pub(in crate::engine) fn lasted(&mut self, span: SignedDuration, reason: &WaitReason) -> Flow {
        let now = self.s.now;
        let since = *self.trial().stage_since.get_or_insert(now);
        self.passed(since, span, reason)
    }

    /// Reconciles again at this time, or earlier.
    pub(in crate::engine) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Returns a wait as status shows it.
pub(super) fn waiting(reason: &WaitReason, since: Timestamp, until: Option<Timestamp>) -> Waiting {
    Waiting { reason: reason.word().to_owned(), message: reason.to_string(), since: Some(since), until }
}

/// Returns the time of `span` after `since`; [`Timestamp::MAX`] if it is out of range.
pub(in crate::engine) fn after(since: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| since.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}
