//! The work queue: each Deployment is queued once, and never reconciled twice at the same time.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::time::Instant;

use super::ObjectKey;

/// Deployments ordered by the time at which they are due.
#[derive(Debug, Default)]
pub struct Queue {
    order: BTreeSet<(Instant, ObjectKey)>,
    due: HashMap<ObjectKey, Instant>,
    busy: HashSet<ObjectKey>,
}

impl Queue {
    /// Queues `key` for `at`, unless it is queued for an earlier time.
    pub fn wake(&mut self, key: ObjectKey, at: Instant) {
        if let Some(&old) = self.due.get(&key) {
            if old <= at {
                return;
            }
            self.order.remove(&(old, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    /// Returns the Deployment that has been due longest at `now` and is not being reconciled. It
    /// counts as being reconciled until [`Queue::done`].
    pub fn next(&mut self, now: Instant) -> Option<ObjectKey> {
        let (at, key) =
            self.order.iter().take_while(|(at, _)| *at <= now).find(|(_, k)| !self.busy.contains(k))?.clone();
        self.order.remove(&(at, key.clone()));
        self.due.remove(&key);
        self.busy.insert(key.clone());
        Some(key)
    }

    /// Returns when the next Deployment that is not being reconciled is due.
    pub fn earliest(&self) -> Option<Instant> {
        self.order.iter().find(|(_, k)| !self.busy.contains(k)).map(|(at, _)| *at)
    }

    /// Reports that the reconcile of `key` has ended.
    pub fn done(&mut self, key: &ObjectKey) {
        self.busy.remove(key);
    }

    /// Returns the number of Deployments that are being reconciled.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "n".into(), name: name.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_during_a_reconcile_causes_another_reconcile_after_it() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.wake(key("a"), now);
        assert_eq!(queue.next(now), Some(key("a")));
        queue.wake(key("a"), now);
        assert_eq!(queue.next(now), None, "never two reconciles at the same time");
        assert_eq!(queue.earliest(), None);
        queue.done(&key("a"));
        assert_eq!(queue.next(now), Some(key("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wake_counts_and_the_deployment_that_is_due_longest_comes_first() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.wake(key("a"), now + Duration::from_secs(2));
        queue.wake(key("b"), now + Duration::from_secs(1));
        queue.wake(key("a"), now + Duration::from_secs(9));
        assert_eq!(queue.next(now), None);
        assert_eq!(queue.earliest(), Some(now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(3);
        assert_eq!(queue.next(later), Some(key("b")));
        assert_eq!(queue.next(later), Some(key("a")));
        assert_eq!(queue.next(later), None);
    }
}
