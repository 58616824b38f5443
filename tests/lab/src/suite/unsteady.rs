//! The list of tests that may pass at their second try only: each with its cause, few, not for long.

use jiff::civil::Date;

/// How many tests may be on the list.
const MOST: usize = 3;
/// How many days a test may be on it.
const DAYS: i32 = 7;

/// A test that may fail at its first try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its name, as the run prints it.
    pub(super) test: &'static str,
    /// Why it fails at times. A cause that nobody knows is no cause.
    pub(super) cause: &'static str,
    /// When it was put on the list.
    pub(super) since: Date,
}

/// The list. Mend a test rather than put it here.
pub(super) const LIST: &[Entry] = &[Entry {
    test: "turns::pushes::the_stable_template_again::during_the_adoption",
    cause: "the Deployment controller ends the adopted canary's pods as soon as stable's template \
            returns; on a busy machine the router takes weight 0 later than the 2 s that pods serve on",
    since: jiff::civil::date(2026, 11, 25),
}];

/// What is wrong with a list, on this day; empty if it may be used.
pub(super) fn faults(list: &[Entry], names: &[String], today: Date) -> Vec<String> {
    let mut faults = Vec::new();
    if list.len() > MOST {
        faults.push(format!("{} tests are on it; at most {MOST} may be", list.len()));
    }
    for entry in list {
        let Entry { test, cause, since } = entry;
        if !names.iter().any(|name| name == test) {
            faults.push(format!("no test is named {test}"));
        }
        if cause.trim().is_empty() {
            faults.push(format!("{test} has no cause"));
        }
        match (today - *since).get_days() {
            ..0 => faults.push(format!("{test}: {since} is in the future")),
            0..=DAYS => {}
            days => faults.push(format!("{test} has been on it for {days} days; at most {DAYS} are allowed")),
        }
    }
    faults
}

/// Whether a test is on a list.
pub(super) fn lists(list: &[Entry], test: &str) -> bool {
    list.iter().any(|entry| entry.test == test)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const TODAY: Date = date(2026, 3, 9);

    fn entry(test: &'static str, since: Date) -> Entry {
        Entry { test, cause: "the router answers late", since }
    }

    fn check(list: &[Entry]) -> Vec<String> {
        faults(list, &["a", "b", "c", "d"].map(String::from), TODAY)
    }

    #[test]
    fn three_tests_may_be_listed_for_a_week() {
        let week = date(2026, 3, 2);
        assert_eq!(check(&[entry("a", week), entry("b", TODAY), entry("c", TODAY)]), [""; 0]);
        assert!(lists(&[entry("a", week)], "a") && !lists(&[entry("a", week)], "b"));
    }

    #[test]
    fn a_fourth_test_or_an_eighth_day_is_refused() {
        let four = ["a", "b", "c", "d"].map(|name| entry(name, TODAY));
        assert_eq!(check(&four), ["4 tests are on it; at most 3 may be"]);
        let old = check(&[entry("a", date(2026, 3, 1))]);
        assert_eq!(old, ["a has been on it for 8 days; at most 7 are allowed"]);
        assert_eq!(check(&[entry("a", date(2025, 3, 9))]).len(), 1, "a year ago is long ago");
    }

    #[test]
    fn an_entry_needs_a_test_a_cause_and_a_day_that_has_come() {
        assert_eq!(check(&[entry("z", TODAY)]), ["no test is named z"]);
        assert_eq!(check(&[Entry { cause: " ", ..entry("a", TODAY) }]), ["a has no cause"]);
        assert_eq!(check(&[entry("a", date(2026, 3, 10))]), ["a: 2026-03-10 is in the future"]);
    }

    #[test]
    fn no_test_is_listed_without_a_cause_or_beside_more_than_two_others() {
        assert!(LIST.len() <= MOST);
        assert!(LIST.iter().all(|entry| !entry.cause.trim().is_empty()));
    }
}
