//! How often a Deployment without a rollout on trial is looked at, whatever happens to it.
//!
//! A look is a handful of requests. Objects that are rewritten all the time, or that wait in a busy namespace for their input
//! to be corrected, would otherwise take the API server's time from those whose traffic has to be watched. Only wakes by events
//! are paced; timers and rollouts on trial never are.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::Key;

/// How many looks may follow each other at once.
const BURST: u32 = 10;
/// The time that earns one more.
const EARNED: Duration = Duration::from_secs(2);

/// The looks that Deployments have had.
#[derive(Debug, Default)]
pub struct Pace {
    on_trial: HashSet<Key>,
    /// When all looks that a Deployment has had will be earned.
    earned: HashMap<Key, Instant>,
}

impl Pace {
    /// When a Deployment may be looked at that something happened to at `at`: then, or once the look is earned.
    pub fn due(&self, key: &Key, at: Instant) -> Instant {
        let ahead = EARNED * (BURST - 1);
        let earliest = self.earned.get(key).and_then(|earned| earned.checked_sub(ahead));
        earliest.map_or(at, |earliest| at.max(earliest))
    }

    /// A look at a Deployment begins.
    pub fn looks(&mut self, key: &Key, now: Instant) {
        if self.on_trial.contains(key) {
            return;
        }
        let earned = self.earned.entry(key.clone()).or_insert(now);
        *earned = (*earned).max(now) + EARNED;
    }

    /// A look has ended, and a rollout is on trial or none is.
    pub fn looked(&mut self, key: &Key, on_trial: bool) {
        if on_trial {
            self.earned.remove(key);
            self.on_trial.insert(key.clone());
        } else {
            self.on_trial.remove(key);
        }
    }

    /// A Deployment is of no concern any more.
    pub fn forget(&mut self, key: &Key) {
        self.on_trial.remove(key);
        self.earned.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deployment_that_changes_all_the_time_is_looked_at_at_a_pace_unless_it_is_on_trial() {
        let key = Key { namespace: "n".into(), name: "a".into() };
        let mut pace = Pace::default();
        let now = Instant::now() + Duration::from_hours(1);
        for _ in 0..BURST {
            assert_eq!(pace.due(&key, now), now, "the first ones at once");
            pace.looks(&key, now);
        }
        assert_eq!(pace.due(&key, now), now + EARNED, "then one for each span");
        assert_eq!(pace.due(&key, now + EARNED), now + EARNED);
        pace.looks(&key, now + EARNED);
        assert_eq!(pace.due(&key, now + EARNED), now + 2 * EARNED);
        let later = now + EARNED * BURST * 2;
        assert_eq!(pace.due(&key, later), later, "a quiet time earns all of them again");
        pace.looked(&key, true);
        for _ in 0..100 {
            assert_eq!(pace.due(&key, now), now, "on trial every event counts");
            pace.looks(&key, now);
        }
        pace.looked(&key, false);
        assert_eq!(pace.due(&key, now), now);
        pace.looks(&key, now);
        pace.forget(&key);
        assert!(pace.earned.is_empty() && pace.on_trial.is_empty());
    }
}
