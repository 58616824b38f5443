//! A fixed bound on a metric, and how often it may be missed.

use super::reading::{ErrorClass, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The bounds within which a value is good; both are themselves good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// The least good value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest good value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Why a [`Threshold`] can't judge anything.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum ThresholdError {
    /// Neither bound is set.
    #[error("a threshold needs min, max or both")]
    Unbounded,
    /// A bound is NaN or infinite.
    #[error("a bound must be a finite number")]
    NotFinite,
    /// No value is within the bounds.
    #[error("min {min} is above max {max}")]
    Empty {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
    },
}

/// What one reading says about the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// The value is within the bounds.
    Pass,
    /// The value is outside of the bounds.
    Fail,
    /// The source answered, but with nothing to compare.
    Inconclusive(Why),
    /// The source gave no answer that could be trusted.
    Error(ErrorClass),
}

/// Why a reading can't be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// No series, or NaN.
    NoData,
    /// Plus or minus infinity.
    NonFinite,
    /// Fewer requests than there must be.
    TooFew,
}

impl Threshold {
    /// Whether some values would pass and others fail.
    ///
    /// # Errors
    /// Says what is wrong with the bounds. A policy with such a threshold must not be accepted.
    pub fn check(&self) -> Result<(), ThresholdError> {
        let bounds = [self.min, self.max];
        if bounds.iter().flatten().any(|bound| !bound.is_finite()) {
            return Err(ThresholdError::NotFinite);
        }
        match (self.min, self.max) {
            (None, None) => Err(ThresholdError::Unbounded),
            (Some(min), Some(max)) if min > max => Err(ThresholdError::Empty { min, max }),
            _ => Ok(()),
        }
    }

    /// What `outcome` says. A fail is what is left of the finite values when those that pass are taken
    /// away, and NaN and infinities never get as far as a comparison. A threshold that [`check`](Self::check)
    /// refuses judges nothing: it neither passes nor fails a value.
    pub fn measure(&self, outcome: &Outcome) -> Measurement {
        let value = match outcome {
            Outcome::Value(value) => *value,
            Outcome::NoData => return Measurement::Inconclusive(Why::NoData),
            Outcome::NonFinite => return Measurement::Inconclusive(Why::NonFinite),
            Outcome::TooFew { .. } => return Measurement::Inconclusive(Why::TooFew),
            Outcome::Error { class, .. } => return Measurement::Error(*class),
        };
        if value.is_nan() || self.check().is_err() {
            return Measurement::Inconclusive(Why::NoData);
        }
        if value.is_infinite() {
            return Measurement::Inconclusive(Why::NonFinite);
        }
        let good = self.min.unwrap_or(f64::MIN)..=self.max.unwrap_or(f64::MAX);
        if good.contains(&value) { Measurement::Pass } else { Measurement::Fail }
    }
}

/// How much trouble a metric may have within a step. A limit L tolerates L; L + 1 decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Fails tolerated in the whole step.
    pub failure_limit: u32,
    /// Fails tolerated without a pass in between; no such limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failure_limit: Option<u32>,
    /// Readings without data tolerated in a row.
    pub inconclusive_limit: u32,
    /// Errors tolerated in a row.
    pub error_limit: u32,
    /// Passes and fails needed before a step can pass; 0 counts as 1.
    pub min_measurements: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failure_limit: 1,
            consecutive_failure_limit: None,
            inconclusive_limit: 5,
            error_limit: 5,
            min_measurements: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Measurement::{Fail, Inconclusive, Pass};

    const MIN: Threshold = Threshold { min: Some(0.99), max: None };
    const MAX: Threshold = Threshold { min: None, max: Some(0.5) };
    const BOTH: Threshold = Threshold { min: Some(-1.0), max: Some(1.0) };

    #[test]
    fn a_value_passes_on_the_bound_and_within_and_fails_outside() {
        for (threshold, value, expected) in [
            (MIN, 0.99, Pass),
            (MIN, 1e300, Pass),
            (MIN, 0.989_999, Fail),
            (MAX, 0.5, Pass),
            (MAX, -1e300, Pass),
            (MAX, 0.500_001, Fail),
            (BOTH, -1.0, Pass),
            (BOTH, 1.0, Pass),
            (BOTH, -1.1, Fail),
            (BOTH, 1.1, Fail),
        ] {
            assert_eq!(threshold.measure(&Outcome::Value(value)), expected, "{threshold:?} {value}");
        }
    }

    #[test]
    fn what_is_no_finite_number_neither_passes_nor_fails() {
        for threshold in [MIN, MAX, BOTH] {
            for value in [f64::NAN, -f64::NAN] {
                assert_eq!(threshold.measure(&Outcome::Value(value)), Inconclusive(Why::NoData));
            }
            for value in [f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(threshold.measure(&Outcome::Value(value)), Inconclusive(Why::NonFinite));
            }
            assert_eq!(threshold.measure(&Outcome::NoData), Inconclusive(Why::NoData));
            assert_eq!(threshold.measure(&Outcome::NonFinite), Inconclusive(Why::NonFinite));
            let error = Outcome::error(ErrorClass::Timeout, "late");
            assert_eq!(threshold.measure(&error), Measurement::Error(ErrorClass::Timeout));
        }
    }

    #[test]
    fn a_threshold_that_can_not_judge_is_refused_and_judges_nothing() {
        let nan = Threshold { min: Some(f64::NAN), max: None };
        let crossed = Threshold { min: Some(2.0), max: Some(1.0) };
        assert_eq!(Threshold::default().check(), Err(ThresholdError::Unbounded));
        assert_eq!(nan.check(), Err(ThresholdError::NotFinite));
        assert_eq!(crossed.check(), Err(ThresholdError::Empty { min: 2.0, max: 1.0 }));
        assert_eq!(BOTH.check(), Ok(()));
        for threshold in [Threshold::default(), nan, crossed] {
            assert_eq!(threshold.measure(&Outcome::Value(1.5)), Inconclusive(Why::NoData));
        }
    }

    #[test]
    fn limits_left_out_have_their_defaults() {
        let limits: Limits = serde_json::from_str(r#"{"failureLimit": 0}"#).unwrap();
        assert_eq!(limits, Limits { failure_limit: 0, ..Limits::default() });
    }
}
