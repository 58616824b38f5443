//! Counts of a metric's measurements within a step, and the verdict.

use super::{limits::Limits, measurement::Measurement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The counts of one metric in the current step; a new step starts with zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    /// The number of passed measurements in this step.
    pub passed: u32,
    /// The number of failed measurements in this step.
    pub failed: u32,
    /// The number of failed measurements since the last pass.
    pub consecutive_failures: u32,
    /// The number of inconclusive measurements since the last pass or fail.
    pub inconclusive_in_row: u32,
    /// The number of errors since the last pass or fail.
    pub errors_in_row: u32,
}

impl Tally {
    /// Counts one measurement.
    ///
    /// An inconclusive result or an error neither removes a fail nor resets a count, not even each
    /// other's: a source that alternates between errors and no data must not stay below both limits
    /// forever.
    pub fn record(&mut self, measurement: &Measurement) {
        let up = |count: &mut u32| *count = count.saturating_add(1);
        match measurement {
            Measurement::Pass => {
                up(&mut self.passed);
                self.consecutive_failures = 0;
                self.end_rows();
            }
            Measurement::Fail => {
                up(&mut self.failed);
                up(&mut self.consecutive_failures);
                self.end_rows();
            }
            Measurement::Inconclusive(_) => up(&mut self.inconclusive_in_row),
            Measurement::Error(_) => up(&mut self.errors_in_row),
        }
    }

    fn end_rows(&mut self) {
        self.inconclusive_in_row = 0;
        self.errors_in_row = 0;
    }
}

/// The verdict on a metric, or on a whole step, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// There are not enough measurements yet. At a step's deadline this counts as inconclusive.
    Pending,
    /// There are enough measurements, and no limit is exceeded.
    Pass,
    /// Too many measurements failed.
    Fail,
    /// Too many measurements were inconclusive.
    Inconclusive,
    /// Too many measurements were errors.
    Error,
}

impl Verdict {
    /// Returns the precedence of a verdict among those of a step.
    fn gravity(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Pending => 1,
            Self::Inconclusive => 2,
            Self::Error => 3,
            Self::Fail => 4,
        }
    }
}

/// Returns a metric's verdict so far. An outage can't hide a Fail, and a Pass needs at least one
/// passed measurement: tolerated fails, missing data and errors never add up to a Pass.
pub fn verdict(limits: &Limits, tally: &Tally) -> Verdict {
    let in_a_row = limits.consecutive_failure_limit.is_some_and(|limit| tally.consecutive_failures > limit);
    if tally.failed > limits.failure_limit || in_a_row {
        return Verdict::Fail;
    }
    if tally.errors_in_row > limits.error_limit {
        return Verdict::Error;
    }
    if tally.inconclusive_in_row > limits.inconclusive_limit {
        return Verdict::Inconclusive;
    }
    let enough = tally.passed.saturating_add(tally.failed) >= limits.min_measurements;
    if enough && tally.passed > 0 { Verdict::Pass } else { Verdict::Pending }
}

/// Returns a step's verdict from those of its metrics: Fail before Error before Inconclusive before
/// Pending before Pass. A step without metrics passes.
pub fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max_by_key(|verdict| verdict.gravity()).unwrap_or(Verdict::Pass)
}

#[cfg(test)]
mod tests {
    use super::super::{ErrorClass, Why};
    use super::*;
    use proptest::prelude::*;

    /// `p`ass, `f`ail, `n`o data, `e`rror.
    fn tally(letters: &str) -> Tally {
        let mut tally = Tally::default();
        for letter in letters.chars() {
            tally.record(&match letter {
                'p' => Measurement::Pass,
                'f' => Measurement::Fail,
                'n' => Measurement::Inconclusive(Why::NoData),
                'e' => Measurement::Error(ErrorClass::Timeout),
                other => panic!("no measurement {other}"),
            });
        }
        tally
    }

    #[test]
    fn a_limit_tolerates_its_number_and_one_more_decides() {
        let defaults = Limits::default();
        let none = Limits { failure_limit: 0, inconclusive_limit: 0, error_limit: 0, ..Limits::default() };
        let row = Limits { failure_limit: 9, consecutive_failure_limit: Some(1), ..Limits::default() };
        for (limits, letters, expected) in [
            (&defaults, "", Verdict::Pending),
            (&defaults, "pp", Verdict::Pending),
            (&defaults, "ppp", Verdict::Pass),
            (&defaults, "pfp", Verdict::Pass),
            (&defaults, "pfpf", Verdict::Fail),
            (&defaults, "ff", Verdict::Fail),
            (&defaults, "nnnnn", Verdict::Pending),
            (&defaults, "nnnnnn", Verdict::Inconclusive),
            (&defaults, "pppnnnnnn", Verdict::Inconclusive),
            (&defaults, "nnnnnpnnnnn", Verdict::Pending),
            (&defaults, "eeeee", Verdict::Pending),
            (&defaults, "eeeeee", Verdict::Error),
            (&defaults, "eeeeepeeeee", Verdict::Pending),
            (&none, "f", Verdict::Fail),
            (&none, "n", Verdict::Inconclusive),
            (&none, "e", Verdict::Error),
            (&row, "pfpfpf", Verdict::Pass),
            (&row, "pff", Verdict::Fail),
        ] {
            assert_eq!(verdict(limits, &tally(letters)), expected, "{letters} under {limits:?}");
        }
    }

    #[test]
    fn missing_data_and_errors_do_not_remove_a_fail() {
        let row = Limits { failure_limit: 9, consecutive_failure_limit: Some(1), ..Limits::default() };
        assert_eq!(verdict(&row, &tally("fnef")), Verdict::Fail);
        assert_eq!(verdict(&Limits::default(), &tally("fnnnef")), Verdict::Fail);
        assert_eq!(verdict(&Limits::default(), &tally("ffnnnnnneeeeee")), Verdict::Fail);
    }

    #[test]
    fn alternating_errors_and_missing_data_exceed_a_limit() {
        assert_eq!(verdict(&Limits::default(), &tally("enenenenene")), Verdict::Error);
        assert_eq!(verdict(&Limits::default(), &tally("nenenenenen")), Verdict::Inconclusive);
        assert_eq!(verdict(&Limits::default(), &tally("nnnnnneeeeee")), Verdict::Error);
    }

    #[test]
    fn a_pass_needs_a_passed_measurement() {
        let lenient = Limits { failure_limit: 9, min_measurements: 0, ..Limits::default() };
        assert_eq!(verdict(&lenient, &tally("")), Verdict::Pending);
        assert_eq!(verdict(&lenient, &tally("fff")), Verdict::Pending);
        assert_eq!(verdict(&lenient, &tally("p")), Verdict::Pass);
    }

    #[test]
    fn the_worst_verdict_of_a_step_is_its_verdict() {
        use Verdict::{Error, Fail, Inconclusive, Pass, Pending};
        assert_eq!(worst([].into_iter()), Pass);
        let ascending = [Pass, Pending, Inconclusive, Error, Fail];
        for (at, expected) in ascending.iter().enumerate() {
            assert_eq!(worst(ascending[..=at].iter().copied()), *expected);
            assert_eq!(worst(ascending[..=at].iter().rev().copied()), *expected);
        }
    }

    #[test]
    fn missing_counts_in_a_stored_status_are_zero() {
        let read: Tally = serde_json::from_str(r#"{"passed": 2, "errorsInRow": 1}"#).unwrap();
        assert_eq!(read, Tally { passed: 2, errors_in_row: 1, ..Tally::default() });
    }

    proptest! {
        #[test]
        fn without_a_fail_nothing_fails_and_without_a_pass_nothing_passes(letters in "[pfne]{0,30}") {
            let verdict = verdict(&Limits::default(), &tally(&letters));
            prop_assert!(letters.contains('f') || verdict != Verdict::Fail);
            prop_assert!(letters.contains('p') || verdict != Verdict::Pass);
        }

        #[test]
        fn a_fail_is_final(letters in "[pfne]{0,30}", later in "[pfne]{0,30}") {
            let limits = Limits::default();
            if verdict(&limits, &tally(&letters)) == Verdict::Fail {
                prop_assert_eq!(verdict(&limits, &tally(&(letters + &later))), Verdict::Fail);
            }
        }
    }
}
