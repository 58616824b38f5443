//! How many rollouts may be in progress at the same time, and which Deployment is next.
//!
//! The namespace with the fewest rollouts in progress comes first, then the one whose last start is
//! longest ago. Within a namespace, the Deployment that has waited longest comes first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use jiff::Timestamp;

use super::{ObjectKey, locked};
use crate::engine::{Capacity, Occupancy};

/// How many rollouts may be in progress at the same time; `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In the whole cluster.
    pub cluster: Option<usize>,
    /// In one namespace.
    pub namespace: Option<usize>,
}

/// The rollouts in progress, and the Deployments that wait to start one.
#[derive(Debug, Default)]
pub struct Concurrency {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether all existing Rollouts have been counted since this process became the leader. No
    /// rollout may start before that.
    counted: bool,
    in_progress: BTreeSet<ObjectKey>,
    waiting: BTreeMap<ObjectKey, Timestamp>,
    /// The number of the last start in each namespace, counted over all namespaces.
    last_starts: BTreeMap<String, usize>,
}

impl Concurrency {
    /// Returns a queue without rollouts. None may start before [`Concurrency::all_counted`].
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn limited(&self) -> bool {
        self.limits != Limits::default()
    }

    /// Counts a rollout that is in progress since before this process became the leader.
    pub fn count_existing(&self, key: &ObjectKey) {
        let mut state = locked(&self.state);
        if self.limited() && !state.counted {
            state.start(key);
        }
    }

    /// Reports that all existing rollouts are counted; returns the Deployments that waited for
    /// this.
    pub fn all_counted(&self) -> Vec<ObjectKey> {
        let mut state = locked(&self.state);
        let first = !std::mem::replace(&mut state.counted, true);
        state.waiting.keys().filter(|_| first).cloned().collect()
    }

    /// Returns whether the Deployment, which wants to start a rollout and has waited since `since`,
    /// may start it now. If so, the rollout counts as in progress until [`Concurrency::update`]
    /// reports otherwise.
    pub fn request(&self, key: &ObjectKey, since: Timestamp) -> Capacity {
        if !self.limited() {
            return Capacity::Free;
        }
        let mut state = locked(&self.state);
        if state.in_progress.contains(key) {
            return Capacity::Free;
        }
        let since = *state.waiting.entry(key.clone()).or_insert(since);
        let order = state.order(self.limits);
        let place = order.iter().position(|(next, _)| next == key).unwrap_or(0);
        if state.counted && order.get(place).is_some_and(|(_, free)| *free) {
            state.waiting.remove(key);
            state.start(key);
            return Capacity::Free;
        }
        state.waiting.insert(key.clone(), since);
        Capacity::Queued { place: place + 1, of: order.len(), in_flight: state.in_progress.len() }
    }

    /// Records the result of a reconcile; returns the Deployments to reconcile because the queue
    /// has changed.
    pub fn update(&self, key: &ObjectKey, occupancy: Occupancy) -> Vec<ObjectKey> {
        if !self.limited() {
            return Vec::new();
        }
        let mut state = locked(&self.state);
        let changed = match occupancy {
            Occupancy::InProgress => {
                state.in_progress.insert(key.clone()) | state.waiting.remove(key).is_some()
            }
            Occupancy::None => state.in_progress.remove(key) | state.waiting.remove(key).is_some(),
            Occupancy::Queued => state.in_progress.remove(key),
        };
        state.waiting.keys().filter(|_| changed).cloned().collect()
    }
}

impl State {
    fn start(&mut self, key: &ObjectKey) {
        record_start(&mut self.last_starts, &key.namespace);
        self.in_progress.insert(key.clone());
    }

    /// Returns the waiting Deployments in the order in which they start, and whether each may start
    /// now.
    fn order(&self, limits: Limits) -> Vec<(ObjectKey, bool)> {
        let mut last_starts = self.last_starts.clone();
        let mut in_flight: BTreeMap<&str, usize> = BTreeMap::new();
        for key in &self.in_progress {
            *in_flight.entry(&key.namespace).or_default() += 1;
        }
        let mut total = self.in_progress.len();
        let mut rest: Vec<(&ObjectKey, &Timestamp)> = self.waiting.iter().collect();
        let mut order = Vec::new();
        while !rest.is_empty() {
            let of = |key: &ObjectKey| in_flight.get(key.namespace.as_str()).copied().unwrap_or(0);
            // Namespaces that have reached their limit come last.
            let rank = |key: &ObjectKey, since: &Timestamp| {
                let full = limits.namespace.is_some_and(|limit| of(key) >= limit);
                (full, of(key), last_starts.get(&key.namespace).copied(), *since)
            };
            let next = (0..rest.len()).min_by_key(|at| rank(rest[*at].0, rest[*at].1)).unwrap_or(0);
            let (key, since) = rest.remove(next);
            let full = rank(key, since).0;
            let free = !full && limits.cluster.is_none_or(|limit| total < limit);
            order.push((key.clone(), free));
            *in_flight.entry(&key.namespace).or_default() += 1;
            record_start(&mut last_starts, &key.namespace);
            total += 1;
        }
        order
    }
}

fn record_start(last_starts: &mut BTreeMap<String, usize>, namespace: &str) {
    let number = last_starts.values().max().map_or(1, |last| last + 1);
    last_starts.insert(namespace.to_owned(), number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn queue(cluster: Option<usize>, namespace: Option<usize>) -> Concurrency {
        let queue = Concurrency::new(Limits { cluster, namespace });
        queue.all_counted();
        queue
    }

    fn place(capacity: Capacity) -> usize {
        match capacity {
            Capacity::Free => 0,
            Capacity::Queued { place, .. } => place,
        }
    }

    #[test]
    fn without_limits_every_rollout_starts() {
        let queue = Concurrency::new(Limits::default());
        assert_eq!(queue.request(&key("a", "x"), at(0)), Capacity::Free);
    }

    #[test]
    fn the_longest_waiting_deployment_starts_first_and_each_has_its_place_in_the_queue() {
        let queue = queue(Some(1), None);
        assert_eq!(place(queue.request(&key("a", "1"), at(1))), 0);
        assert_eq!(place(queue.request(&key("a", "2"), at(2))), 1);
        assert_eq!(queue.request(&key("a", "3"), at(3)), Capacity::Queued { place: 2, of: 2, in_flight: 1 });
        assert_eq!(queue.update(&key("a", "1"), Occupancy::None), [key("a", "2"), key("a", "3")]);
        assert_eq!(place(queue.request(&key("a", "3"), at(3))), 2, "it does not overtake the other");
        assert_eq!(place(queue.request(&key("a", "2"), at(2))), 0);
        assert_eq!(place(queue.request(&key("a", "3"), at(3))), 1);
    }

    #[test]
    fn a_busy_namespace_does_not_delay_another_namespace() {
        let queue = queue(Some(2), None);
        for (name, second) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
            queue.request(&key("busy", name), at(second));
        }
        assert_eq!(
            place(queue.request(&key("quiet", "1"), at(9))),
            1,
            "ahead of the others of the busy namespace"
        );
        assert_eq!(place(queue.request(&key("busy", "3"), at(3))), 2);
        queue.update(&key("busy", "1"), Occupancy::None);
        assert_eq!(place(queue.request(&key("busy", "3"), at(3))), 2);
        assert_eq!(place(queue.request(&key("quiet", "1"), at(9))), 0);
    }

    #[test]
    fn namespaces_alternate_even_if_only_one_rollout_may_be_in_progress() {
        let queue = queue(Some(1), None);
        for (namespace, name) in [("busy", "1"), ("busy", "2"), ("busy", "3"), ("quiet", "1")] {
            queue.request(&key(namespace, name), at(1));
        }
        queue.update(&key("busy", "1"), Occupancy::None);
        assert_eq!(place(queue.request(&key("busy", "2"), at(1))), 2);
        assert_eq!(place(queue.request(&key("quiet", "1"), at(1))), 0);
        queue.update(&key("quiet", "1"), Occupancy::None);
        assert_eq!(place(queue.request(&key("busy", "2"), at(1))), 0);
    }

    #[test]
    fn a_namespace_does_not_exceed_its_limit() {
        let queue = queue(None, Some(1));
        assert_eq!(place(queue.request(&key("a", "1"), at(1))), 0);
        assert_eq!(place(queue.request(&key("a", "2"), at(2))), 1);
        assert_eq!(place(queue.request(&key("b", "1"), at(3))), 0);
        queue.update(&key("a", "1"), Occupancy::None);
        assert_eq!(place(queue.request(&key("a", "2"), at(2))), 0);
    }

    #[test]
    fn no_rollout_starts_before_all_existing_rollouts_are_counted() {
        let queue = Concurrency::new(Limits { cluster: Some(1), namespace: None });
        assert_ne!(queue.request(&key("a", "1"), at(1)), Capacity::Free);
        queue.count_existing(&key("b", "1"));
        assert_eq!(queue.all_counted(), [key("a", "1")]);
        assert_ne!(queue.request(&key("a", "1"), at(1)), Capacity::Free);
        assert_eq!(queue.update(&key("b", "1"), Occupancy::None), [key("a", "1")]);
        assert_eq!(queue.request(&key("a", "1"), at(1)), Capacity::Free);
    }

    #[test]
    fn a_deployment_that_does_not_start_after_all_frees_its_place_for_the_next() {
        let queue = queue(Some(1), None);
        assert_eq!(queue.request(&key("a", "1"), at(1)), Capacity::Free);
        queue.request(&key("a", "2"), at(2));
        assert_eq!(queue.update(&key("a", "1"), Occupancy::None), [key("a", "2")]);
    }
}
