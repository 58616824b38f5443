//! Which Deployment is looked at next: each is queued once, and never looked at twice at a time.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::time::Instant;

use super::Key;

/// Deployments by the time they are due.
#[derive(Debug, Default)]
pub struct Queue {
    order: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    busy: HashSet<Key>,
}

impl Queue {
    /// `key` is due at `at`, unless it is due earlier already.
    pub fn wake(&mut self, key: Key, at: Instant) {
        if let Some(&old) = self.due.get(&key) {
            if old <= at {
                return;
            }
            self.order.remove(&(old, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    /// The one that has been due longest at `now` and isn't being looked at; it counts as being looked at until [`Queue::done`].
    pub fn next(&mut self, now: Instant) -> Option<Key> {
        let (at, key) =
            self.order.iter().take_while(|(at, _)| *at <= now).find(|(_, k)| !self.busy.contains(k))?.clone();
        self.order.remove(&(at, key.clone()));
        self.due.remove(&key);
        self.busy.insert(key.clone());
        Some(key)
    }

    /// When the next one is due that isn't being looked at.
    pub fn earliest(&self) -> Option<Instant> {
        self.order.iter().find(|(_, k)| !self.busy.contains(k)).map(|(at, _)| *at)
    }

    /// `key` isn't looked at any more.
    pub fn done(&mut self, key: &Key) {
        self.busy.remove(key);
    }

    /// How many are being looked at.
    pub fn busy(&self) -> usize {
        self.busy.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "n".into(), name: name.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_during_a_look_leads_to_another_look_after_it() {
        let mut queue = Queue::default();
        let now = Instant::now();
        queue.wake(key("a"), now);
        assert_eq!(queue.next(now), Some(key("a")));
        queue.wake(key("a"), now);
        assert_eq!(queue.next(now), None, "never two looks at a time");
        assert_eq!(queue.earliest(), None);
        queue.done(&key("a"));
        assert_eq!(queue.next(now), Some(key("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wake_counts_and_the_longest_due_goes_first() {
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
