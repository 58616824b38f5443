//! Limits how often watch events cause a reconcile of a Deployment without a rollout in progress.
//!
//! A reconcile costs several requests. Without a limit, objects that other clients rewrite all the
//! time, or that wait in a busy namespace for a correction, would slow down the rollouts in
//! progress. Timers and Deployments with a rollout in progress are not limited.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::ObjectKey;

/// How many reconciles may follow each other without a delay.
const BURST: u32 = 10;
/// The time after which one more reconcile is allowed.
const REFILL: Duration = Duration::from_secs(2);

/// A token bucket for each Deployment.
#[derive(Debug, Default)]
pub struct RateLimit {
    in_progress: HashSet<ObjectKey>,
    /// When the bucket of a Deployment is full again.
    full_at: HashMap<ObjectKey, Instant>,
}

impl RateLimit {
    /// Returns when a Deployment may be reconciled after an event at `at`: then, or when the limit
    /// allows it.
    pub fn due(&self, key: &ObjectKey, at: Instant) -> Instant {
        let ahead = REFILL * (BURST - 1);
        let earliest = self.full_at.get(key).and_then(|full_at| full_at.checked_sub(ahead));
        earliest.map_or(at, |earliest| at.max(earliest))
    }

    /// Reports that a reconcile begins.
    pub fn started(&mut self, key: &ObjectKey, now: Instant) {
        if self.in_progress.contains(key) {
            return;
        }
        let full_at = self.full_at.entry(key.clone()).or_insert(now);
        *full_at = (*full_at).max(now) + REFILL;
    }

    /// Reports that a reconcile has ended, and whether a rollout is in progress.
    pub fn finished(&mut self, key: &ObjectKey, in_progress: bool) {
        if in_progress {
            self.full_at.remove(key);
            self.in_progress.insert(key.clone());
        } else {
            self.in_progress.remove(key);
        }
    }

    /// Drops the state of a Deployment that is no longer relevant.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.in_progress.remove(key);
        self.full_at.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deployment_that_changes_all_the_time_is_rate_limited_unless_a_rollout_is_in_progress() {
        let key = ObjectKey { namespace: "n".into(), name: "a".into() };
        let mut limit = RateLimit::default();
        let now = Instant::now() + Duration::from_hours(1);
        for _ in 0..BURST {
            assert_eq!(limit.due(&key, now), now, "the first ones without a delay");
            limit.started(&key, now);
        }
        assert_eq!(limit.due(&key, now), now + REFILL, "then one for each interval");
        assert_eq!(limit.due(&key, now + REFILL), now + REFILL);
        limit.started(&key, now + REFILL);
        assert_eq!(limit.due(&key, now + REFILL), now + 2 * REFILL);
        let later = now + REFILL * BURST * 2;
        assert_eq!(limit.due(&key, later), later, "the bucket is full again after a quiet time");
        limit.finished(&key, true);
        for _ in 0..100 {
            assert_eq!(limit.due(&key, now), now, "no limit while a rollout is in progress");
            limit.started(&key, now);
        }
        limit.finished(&key, false);
        assert_eq!(limit.due(&key, now), now);
        limit.started(&key, now);
        limit.forget(&key);
        assert!(limit.full_at.is_empty() && limit.in_progress.is_empty());
    }
}
