//! The tests of the program `on_lab`: their names, and how each must be isolated.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::Error;

/// A test whose name begins or ends with this word disturbs the whole lab: it stops parts of it, or
/// changes how Steelyard is installed.
const ALONE: &str = "alone";
/// A test whose name ends with this measures time, or needs both processors.
const QUIET: &str = "_on_a_quiet_machine";
/// A test whose name contains this repeats another test at further points of a rollout: it runs
/// only if a filter selects it.
const FURTHER: &str = "::also_";

/// How a test is isolated from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Isolation {
    /// It runs concurrently with others on one lab, in a separate Kubernetes namespace.
    Shared,
    /// It runs on a lab that no other test uses at the same time, because it disturbs the lab.
    Exclusive,
    /// It runs after all others, because it measures time or needs both processors.
    Quiet,
}

impl Isolation {
    /// Returns the isolation of a test, which its name determines.
    pub(super) fn of(name: &str) -> Self {
        if name.ends_with(QUIET) {
            Self::Quiet
        } else if words(name).next() == Some(ALONE) || words(name).next_back() == Some(ALONE) {
            Self::Exclusive
        } else {
            Self::Shared
        }
    }
}

/// Returns the words of a test's name, without its module path.
fn words(name: &str) -> impl DoubleEndedIterator<Item = &str> {
    name.rsplit("::").next().unwrap_or_default().split('_')
}

/// Returns the names of all tests in a test program.
pub(super) fn names(program: &Path) -> Result<Vec<String>, Error> {
    let out = Command::new(program).args(["--list", "--format=terse"]).stdin(Stdio::null()).output();
    let out = out.map_err(|source| Error::Run { program: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Returns the tests to run: those whose name contains the filter, or all except those marked
/// [`FURTHER`].
pub(super) fn chosen(names: &[String], filter: Option<&str>) -> Vec<String> {
    // Accept the usual spelling: `blue-green` for `blue_green`.
    let part = filter.map(|part| part.replace('-', "_"));
    let fits =
        |name: &&String| part.as_ref().map_or(!name.contains(FURTHER), |part| name.contains(part.as_str()));
    names.iter().filter(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_disturbs_the_lab_or_measures_time_is_isolated() {
        assert_eq!(Isolation::of("canary::kept"), Isolation::Shared);
        assert_eq!(Isolation::of("faults::alone_prometheus_stops"), Isolation::Exclusive);
        assert_eq!(Isolation::of("metrics::kept_while_prometheus_is_down_alone"), Isolation::Exclusive);
        assert_eq!(Isolation::of("alone::canaries_without_stable_alone_fail"), Isolation::Shared);
        assert_eq!(Isolation::of("reaction::within_the_goals_on_a_quiet_machine"), Isolation::Quiet);
    }

    #[test]
    fn a_filter_matches_part_of_the_name_with_dashes_or_underscores() {
        let names = ["canary::kept", "faults::alone_prometheus_stops"].map(String::from);
        assert_eq!(chosen(&names, None), names);
        assert_eq!(chosen(&names, Some("canary")), ["canary::kept"]);
        assert_eq!(chosen(&names, Some("prometheus-stops")), ["faults::alone_prometheus_stops"]);
    }

    #[test]
    fn tests_of_further_points_run_only_if_a_filter_selects_them() {
        let names = ["turns::at_rest", "turns::also_in_flight"].map(String::from);
        assert_eq!(chosen(&names, None), ["turns::at_rest"]);
        assert_eq!(chosen(&names, Some("turns")).len(), 2);
    }

    #[test]
    fn the_tests_of_a_test_program_are_listed() {
        let here = std::env::current_exe().expect("this program");
        let own = "suite::case::tests::the_tests_of_a_test_program_are_listed".to_owned();
        assert!(names(&here).expect("listed").contains(&own));
    }
}
