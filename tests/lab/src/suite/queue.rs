//! The order in which tests run, and who takes the next one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Tests that wait for their turn.
#[derive(Debug)]
pub(super) struct Queue(Mutex<VecDeque<String>>);

impl Queue {
    /// The longest first, so that none of them is left over when all others are done. A test of unknown
    /// duration comes before all: it may be the longest.
    pub(super) fn new(mut names: Vec<String>, durations: &BTreeMap<String, Duration>) -> Self {
        let known = |name: &String| durations.get(name).copied().unwrap_or(Duration::MAX);
        names.sort_by(|a, b| known(b).cmp(&known(a)).then_with(|| a.cmp(b)));
        Self(Mutex::new(names.into()))
    }

    /// The next one; none when all have been taken.
    pub(super) fn next(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &[&str], durations: &[(&str, u64)]) -> Vec<String> {
        let durations = durations.iter().map(|(name, s)| ((*name).to_owned(), Duration::from_secs(*s)));
        let queue = Queue::new(names.iter().map(|name| (*name).to_owned()).collect(), &durations.collect());
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn the_longest_test_of_the_last_run_starts_first_and_an_unknown_one_before_it() {
        let durations = [("quick", 1), ("slow", 60), ("gone", 99)];
        assert_eq!(order(&["quick", "new", "slow"], &durations), ["new", "slow", "quick"]);
    }

    #[test]
    fn without_an_earlier_run_the_order_is_by_name() {
        assert_eq!(order(&["b", "c", "a"], &[]), ["a", "b", "c"]);
    }
}
