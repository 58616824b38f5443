//! Waits: one constructor names the reason, since when the condition is lost, and the end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    context::Reconcile,
    flow::{Flow, GO_ON, Stopped},
};
use crate::{
    api::Waiting,
    engine::reasons::{WaitKind, WaitReason},
};

/// Since when the awaited condition is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Since {
    /// Since this moment.
    At(Timestamp),
    /// Since a wait of this kind was first reported; kept in status as long as it lasts.
    FirstReported,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum EndsBy {
    /// This moment at the latest.
    Deadline(Timestamp),
    /// A person, or the world.
    Person,
}

impl Reconcile<'_> {
    /// Names what is awaited, and reconciles again at its end. There is no other way to wait. Never goes
    /// on.
    pub(in crate::engine) fn wait<T>(&mut self, reason: &WaitReason, since: Since, end: EndsBy) -> Flow<T> {
        let since = match since {
            Since::At(at) => at,
            Since::FirstReported => self.reported(reason).unwrap_or(self.s.now),
        };
        let until = match end {
            EndsBy::Deadline(at) => Some(at),
            EndsBy::Person => None,
        };
        self.status.waiting = Some(Waiting {
            reason: reason.word().to_owned(),
            message: reason.to_string(),
            since: Some(since),
            until,
        });
        if let Some(until) = until {
            self.wake_at(until);
        }
        Flow::Break(Stopped)
    }

    /// When a wait of this kind was first reported, if it is the one in status.
    fn reported(&self, reason: &WaitReason) -> Option<Timestamp> {
        let before = self.r.status.waiting.as_ref()?;
        let kind: WaitKind = before.reason.parse().ok()?;
        before.since.filter(|_| kind == WaitKind::from(reason))
    }

    /// Goes on once `span` is over since then, else waits for that.
    pub(in crate::engine) fn passed(
        &mut self,
        since: Timestamp,
        span: SignedDuration,
        reason: &WaitReason,
    ) -> Flow {
        if self.s.now.duration_since(since) >= span {
            return GO_ON;
        }
        self.wait(reason, Since::At(since), EndsBy::Deadline(since + span))
    }

    /// Goes on once the present stage of a rollback or a handover has lasted for `span`, else waits for
    /// that.
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

/// The time at which a span after `since` is over; the latest of all where it has no name.
pub(in crate::engine) fn after(since: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| since.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}
