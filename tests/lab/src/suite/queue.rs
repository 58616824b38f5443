//! The order in which tests run.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The end of the queue from which a worker takes its tests.
///
/// The longest tests are also those with the most rollouts and requests. If they all ran at once,
/// the processors would be overloaded at the beginning and idle at the end, and time limits would
/// be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The longest first, so that none of them is left when all others are done.
    Longest,
    /// The shortest first.
    Shortest,
}

impl End {
    /// Returns the end for one of the workers of a lane: every second one takes the longest tests.
    /// With five workers, no more than two long tests run at the same time.
    pub(super) fn of(worker: usize) -> Self {
        if worker.is_multiple_of(2) { Self::Shortest } else { Self::Longest }
    }
}

/// Tests that have not started.
#[derive(Debug)]
pub(super) struct Queue(Mutex<VecDeque<String>>);

impl Queue {
    /// Orders tests by duration. A test of unknown duration can be the longest, and counts as such.
    pub(super) fn new(mut names: Vec<String>, durations: &BTreeMap<String, Duration>) -> Self {
        let known = |name: &String| durations.get(name).copied().unwrap_or(Duration::MAX);
        names.sort_by(|a, b| known(b).cmp(&known(a)).then_with(|| a.cmp(b)));
        Self(Mutex::new(names.into()))
    }

    /// Returns the next test, or `None` if all have been taken.
    pub(super) fn next(&self, end: End) -> Option<String> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match end {
            End::Longest => queue.pop_front(),
            End::Shortest => queue.pop_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(names: &[&str], durations: &[(&str, u64)]) -> Queue {
        let durations = durations.iter().map(|(name, s)| ((*name).to_owned(), Duration::from_secs(*s)));
        Queue::new(names.iter().map(|name| (*name).to_owned()).collect(), &durations.collect())
    }

    fn order(names: &[&str], durations: &[(&str, u64)]) -> Vec<String> {
        let queue = queue(names, durations);
        std::iter::from_fn(|| queue.next(End::Longest)).collect()
    }

    #[test]
    fn the_longest_test_starts_first_after_those_of_unknown_duration() {
        let durations = [("quick", 1), ("slow", 60), ("gone", 99)];
        assert_eq!(order(&["quick", "new", "slow"], &durations), ["new", "slow", "quick"]);
    }

    #[test]
    fn workers_take_long_and_short_tests_at_the_same_time() {
        let queue = queue(&["a", "b", "c", "d"], &[("a", 4), ("b", 3), ("c", 2), ("d", 1)]);
        let taken: Vec<String> = (0..4).filter_map(|worker| queue.next(End::of(worker))).collect();
        assert_eq!(taken, ["d", "a", "c", "b"]);
        assert_eq!((0..2).find_map(|worker| queue.next(End::of(worker))), None);
    }

    #[test]
    fn without_an_earlier_run_tests_are_ordered_by_name() {
        assert_eq!(order(&["b", "c", "a"], &[]), ["a", "b", "c"]);
    }
}
