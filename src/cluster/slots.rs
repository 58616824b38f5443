//! How many rollouts may be in flight, and who is next. Namespaces take turns: one that has fewer in flight comes before one
//! that has more, then one whose last turn is longer ago; within a namespace who came first starts first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use jiff::Timestamp;

use super::{Key, locked};
use crate::engine::{Slot, Turn};

/// How many rollouts may be in flight; no limit where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In the whole cluster.
    pub cluster: Option<usize>,
    /// In one namespace.
    pub namespace: Option<usize>,
}

/// The rollouts in flight, and those that wait for their turn.
#[derive(Debug, Default)]
pub struct Slots {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether all Rollouts were seen once since this term began: before that, none may start.
    counted: bool,
    taken: BTreeSet<Key>,
    waiting: BTreeMap<Key, Timestamp>,
    /// The turn that each namespace had last, counted up.
    served: BTreeMap<String, usize>,
}

impl Slots {
    /// Nobody is in flight, as far as is known, and nobody may start before [`Slots::counted`].
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn limited(&self) -> bool {
        self.limits != Limits::default()
    }

    /// A rollout in flight that a former term began.
    pub fn found(&self, key: &Key) {
        let mut state = locked(&self.state);
        if self.limited() && !state.counted {
            state.take(key);
        }
    }

    /// All that former terms began are found. Gives those who waited for that.
    pub fn counted(&self) -> Vec<Key> {
        let mut state = locked(&self.state);
        let first = !std::mem::replace(&mut state.counted, true);
        state.waiting.keys().filter(|_| first).cloned().collect()
    }

    /// Whether `key`, which would start and has waited since then, may. If so, its place is taken until [`Slots::note`]
    /// says otherwise.
    pub fn turn(&self, key: &Key, since: Timestamp) -> Turn {
        if !self.limited() {
            return Turn::Free;
        }
        let mut state = locked(&self.state);
        if state.taken.contains(key) {
            return Turn::Free;
        }
        let since = *state.waiting.entry(key.clone()).or_insert(since);
        let order = state.order(self.limits);
        let place = order.iter().position(|(next, _)| next == key).unwrap_or(0);
        if state.counted && order.get(place).is_some_and(|(_, free)| *free) {
            state.waiting.remove(key);
            state.take(key);
            return Turn::Free;
        }
        state.waiting.insert(key.clone(), since);
        Turn::Queued { place: place + 1, of: order.len(), in_flight: state.taken.len() }
    }

    /// What a look left behind. Gives those who should look again, for the queue has moved.
    pub fn note(&self, key: &Key, slot: Slot) -> Vec<Key> {
        if !self.limited() {
            return Vec::new();
        }
        let mut state = locked(&self.state);
        let moved = match slot {
            Slot::Taken => state.taken.insert(key.clone()) | state.waiting.remove(key).is_some(),
            Slot::None => state.taken.remove(key) | state.waiting.remove(key).is_some(),
            Slot::Queued => state.taken.remove(key),
        };
        state.waiting.keys().filter(|_| moved).cloned().collect()
    }
}

impl State {
    fn take(&mut self, key: &Key) {
        serve(&mut self.served, &key.namespace);
        self.taken.insert(key.clone());
    }

    /// Who waits, in the order in which they start, and whether there is room for them now.
    fn order(&self, limits: Limits) -> Vec<(Key, bool)> {
        let mut served = self.served.clone();
        let mut in_flight: BTreeMap<&str, usize> = BTreeMap::new();
        for key in &self.taken {
            *in_flight.entry(&key.namespace).or_default() += 1;
        }
        let mut total = self.taken.len();
        let mut rest: Vec<(&Key, &Timestamp)> = self.waiting.iter().collect();
        let mut order = Vec::new();
        while !rest.is_empty() {
            let of = |key: &Key| in_flight.get(key.namespace.as_str()).copied().unwrap_or(0);
            // One whose namespace has all it may have comes after those of the others.
            let rank = |key: &Key, since: &Timestamp| {
                let full = limits.namespace.is_some_and(|limit| of(key) >= limit);
                (full, of(key), served.get(&key.namespace).copied(), *since)
            };
            let next = (0..rest.len()).min_by_key(|at| rank(rest[*at].0, rest[*at].1)).unwrap_or(0);
            let (key, since) = rest.remove(next);
            let full = rank(key, since).0;
            let free = !full && limits.cluster.is_none_or(|limit| total < limit);
            order.push((key.clone(), free));
            *in_flight.entry(&key.namespace).or_default() += 1;
            serve(&mut served, &key.namespace);
            total += 1;
        }
        order
    }
}

/// A namespace has its turn.
fn serve(served: &mut BTreeMap<String, usize>, namespace: &str) {
    let turn = served.values().max().map_or(1, |last| last + 1);
    served.insert(namespace.to_owned(), turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn slots(cluster: Option<usize>, namespace: Option<usize>) -> Slots {
        let slots = Slots::new(Limits { cluster, namespace });
        slots.counted();
        slots
    }

    fn place(turn: Turn) -> usize {
        match turn {
            Turn::Free => 0,
            Turn::Queued { place, .. } => place,
        }
    }

    #[test]
    fn without_limits_everybody_starts() {
        let slots = Slots::new(Limits::default());
        assert_eq!(slots.turn(&key("a", "x"), at(0)), Turn::Free);
    }

    #[test]
    fn who_came_first_starts_first_and_each_sees_his_place() {
        let slots = slots(Some(1), None);
        assert_eq!(place(slots.turn(&key("a", "1"), at(1))), 0);
        assert_eq!(place(slots.turn(&key("a", "2"), at(2))), 1);
        assert_eq!(slots.turn(&key("a", "3"), at(3)), Turn::Queued { place: 2, of: 2, in_flight: 1 });
        assert_eq!(slots.note(&key("a", "1"), Slot::None), [key("a", "2"), key("a", "3")]);
        assert_eq!(place(slots.turn(&key("a", "3"), at(3))), 2, "not before its turn");
        assert_eq!(place(slots.turn(&key("a", "2"), at(2))), 0);
        assert_eq!(place(slots.turn(&key("a", "3"), at(3))), 1);
    }

    #[test]
    fn a_busy_namespace_does_not_keep_another_waiting() {
        let slots = slots(Some(2), None);
        for (name, second) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
            slots.turn(&key("busy", name), at(second));
        }
        assert_eq!(place(slots.turn(&key("quiet", "1"), at(9))), 1, "before the others of the busy one");
        assert_eq!(place(slots.turn(&key("busy", "3"), at(3))), 2);
        slots.note(&key("busy", "1"), Slot::None);
        assert_eq!(place(slots.turn(&key("busy", "3"), at(3))), 2);
        assert_eq!(place(slots.turn(&key("quiet", "1"), at(9))), 0);
    }

    #[test]
    fn namespaces_take_turns_even_if_only_one_may_be_in_flight() {
        let slots = slots(Some(1), None);
        for (namespace, name) in [("busy", "1"), ("busy", "2"), ("busy", "3"), ("quiet", "1")] {
            slots.turn(&key(namespace, name), at(1));
        }
        slots.note(&key("busy", "1"), Slot::None);
        assert_eq!(place(slots.turn(&key("busy", "2"), at(1))), 2);
        assert_eq!(place(slots.turn(&key("quiet", "1"), at(1))), 0);
        slots.note(&key("quiet", "1"), Slot::None);
        assert_eq!(place(slots.turn(&key("busy", "2"), at(1))), 0);
    }

    #[test]
    fn a_namespace_has_no_more_than_it_may() {
        let slots = slots(None, Some(1));
        assert_eq!(place(slots.turn(&key("a", "1"), at(1))), 0);
        assert_eq!(place(slots.turn(&key("a", "2"), at(2))), 1);
        assert_eq!(place(slots.turn(&key("b", "1"), at(3))), 0);
        slots.note(&key("a", "1"), Slot::None);
        assert_eq!(place(slots.turn(&key("a", "2"), at(2))), 0);
    }

    #[test]
    fn before_all_rollouts_are_counted_nobody_starts_and_then_those_in_flight_count() {
        let slots = Slots::new(Limits { cluster: Some(1), namespace: None });
        assert_ne!(slots.turn(&key("a", "1"), at(1)), Turn::Free);
        slots.found(&key("b", "1"));
        assert_eq!(slots.counted(), [key("a", "1")]);
        assert_ne!(slots.turn(&key("a", "1"), at(1)), Turn::Free);
        assert_eq!(slots.note(&key("b", "1"), Slot::None), [key("a", "1")]);
        assert_eq!(slots.turn(&key("a", "1"), at(1)), Turn::Free);
    }

    #[test]
    fn who_does_not_start_after_all_gives_the_place_to_the_next() {
        let slots = slots(Some(1), None);
        assert_eq!(slots.turn(&key("a", "1"), at(1)), Turn::Free);
        slots.turn(&key("a", "2"), at(2));
        assert_eq!(slots.note(&key("a", "1"), Slot::None), [key("a", "2")]);
    }
}
