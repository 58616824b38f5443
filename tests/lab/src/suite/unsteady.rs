//! The list of tests that may pass only at the second attempt: few, each with its cause, and for a
//! short time.

use jiff::civil::Date;

/// The maximum number of tests on the list.
const MOST: usize = 3;
/// The maximum number of days that a test may be on it.
const DAYS: i32 = 7;

/// A test that may fail at its first attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its name, as the run prints it.
    pub(super) test: &'static str,
    /// Why it sometimes fails. An unknown cause is not accepted.
    pub(super) cause: &'static str,
    /// The date of its addition to the list.
    pub(super) since: Date,
}

/// The list. Prefer to fix a test.
pub(super) const LIST: &[Entry] = &[];

/// Returns the violations of the list's rules on this day; empty if the list is valid.
pub(super) fn faults(list: &[Entry], names: &[String], today: Date) -> Vec<String> {
    let mut faults = Vec::new();
    if list.len() > MOST {
        faults.push(format!("{} tests are listed; at most {MOST} are allowed", list.len()));
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
            days => {
                faults.push(format!("{test} has been listed for {days} days; at most {DAYS} are allowed"));
            }
        }
    }
    faults
}

/// Returns whether a test is on a list.
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
    fn a_fourth_test_or_an_eighth_day_is_rejected() {
        let four = ["a", "b", "c", "d"].map(|name| entry(name, TODAY));
        assert_eq!(check(&four), ["4 tests are listed; at most 3 are allowed"]);
        let old = check(&[entry("a", date(2026, 3, 1))]);
        assert_eq!(old, ["a has been listed for 8 days; at most 7 are allowed"]);
        assert_eq!(check(&[entry("a", date(2025, 3, 9))]).len(), 1, "a year is more than a week");
    }

    #[test]
    fn an_entry_needs_a_test_a_cause_and_a_date_that_is_not_in_the_future() {
        assert_eq!(check(&[entry("z", TODAY)]), ["no test is named z"]);
        assert_eq!(check(&[Entry { cause: " ", ..entry("a", TODAY) }]), ["a has no cause"]);
        assert_eq!(check(&[entry("a", date(2026, 3, 10))]), ["a: 2026-03-10 is in the future"]);
    }

    #[test]
    fn the_list_follows_its_rules() {
        assert!(LIST.len() <= MOST);
        assert!(LIST.iter().all(|entry| !entry.cause.trim().is_empty()));
    }
}
