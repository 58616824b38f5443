//! The tests of the program `on_lab`: their names, and where each may run.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::Error;

/// A name that begins or ends with this word belongs to a test that disturbs the whole lab: it stops
/// parts of it, or changes how Steelyard is installed.
const ALONE: &str = "alone";
/// Names that end so belong to tests whose verdict is a time.
const QUIET: &str = "_on_a_quiet_machine";
/// Names that contain this belong to tests that try further moments of something that another test
/// tries: they run only when a filter asks for them.
const FURTHER: &str = "::also_";

/// Where a test may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Beside others on one lab: it has a Kubernetes namespace of its own.
    Beside,
    /// One at a time, on a lab that no other test uses meanwhile: it disturbs the lab.
    Alone,
    /// After all others: it measures time.
    Quiet,
}

impl Place {
    /// The place of a test, which its name tells.
    pub(super) fn of(name: &str) -> Self {
        if name.ends_with(QUIET) {
            Self::Quiet
        } else if words(name).next() == Some(ALONE) || words(name).next_back() == Some(ALONE) {
            Self::Alone
        } else {
            Self::Beside
        }
    }
}

/// The words of a test's name, without the path to it.
fn words(name: &str) -> impl DoubleEndedIterator<Item = &str> {
    name.rsplit("::").next().unwrap_or_default().split('_')
}

/// The names of all tests in a test program.
pub(super) fn names(program: &Path) -> Result<Vec<String>, Error> {
    let out = Command::new(program).args(["--list", "--format=terse"]).stdin(Stdio::null()).output();
    let out = out.map_err(|source| Error::Run { program: program.to_owned(), source })?;
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The tests to run: those whose name contains the filter, or all but the further ones.
pub(super) fn chosen(names: &[String], filter: Option<&str>) -> Vec<String> {
    // As people write it: `blue-green` for `blue_green`.
    let part = filter.map(|part| part.replace('-', "_"));
    let fits =
        |name: &&String| part.as_ref().map_or(!name.contains(FURTHER), |part| name.contains(part.as_str()));
    names.iter().filter(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_disturbs_the_lab_or_measures_time_is_never_beside_another() {
        assert_eq!(Place::of("canary::kept"), Place::Beside);
        assert_eq!(Place::of("faults::alone_prometheus_stops"), Place::Alone);
        assert_eq!(Place::of("metrics::kept_while_prometheus_is_down_alone"), Place::Alone);
        assert_eq!(Place::of("alone::canaries_without_stable_alone_fail"), Place::Beside);
        assert_eq!(Place::of("reaction::within_the_goals_on_a_quiet_machine"), Place::Quiet);
    }

    #[test]
    fn a_filter_chooses_by_a_part_of_the_name_with_dashes_or_without() {
        let names = ["canary::kept", "faults::alone_prometheus_stops"].map(String::from);
        assert_eq!(chosen(&names, None), names);
        assert_eq!(chosen(&names, Some("canary")), ["canary::kept"]);
        assert_eq!(chosen(&names, Some("prometheus-stops")), ["faults::alone_prometheus_stops"]);
    }

    #[test]
    fn further_moments_are_tried_only_when_a_filter_asks_for_them() {
        let names = ["turns::at_rest", "turns::also_in_flight"].map(String::from);
        assert_eq!(chosen(&names, None), ["turns::at_rest"]);
        assert_eq!(chosen(&names, Some("turns")).len(), 2);
    }

    #[test]
    fn the_names_in_a_test_program_are_found() {
        let here = std::env::current_exe().expect("this program");
        let own = "suite::case::tests::the_names_in_a_test_program_are_found".to_owned();
        assert!(names(&here).expect("listed").contains(&own));
    }
}
