//! A fixed bound on a metric.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use super::miss::Miss;
use crate::analysis::{Measurement, Outcome, Why};

/// The inclusive bounds of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Threshold {
    /// The lower bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The upper bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Why a [`Threshold`] is invalid.
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

impl Threshold {
    /// Checks that the bounds are valid.
    ///
    /// # Errors
    /// If the bounds are invalid. A policy with such a threshold must not be accepted.
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

    /// Evaluates an answer. Every finite value outside the bounds fails; NaN and infinities are
    /// never compared. A threshold that [`check`](Self::check) refuses neither passes nor fails a
    /// value.
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

    /// Returns the bound that a value misses; [`Miss::NoData`] if there is no value.
    pub(super) fn missed(&self, outcome: &Outcome) -> Miss {
        match (outcome, self.min, self.max) {
            (Outcome::Value(value), Some(min), _) if *value < min => Miss::Below { value: *value, min },
            (Outcome::Value(value), _, Some(max)) => Miss::Above { value: *value, max },
            _ => Miss::NoData,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) => write!(f, "min {min}, max {max}"),
            (Some(min), None) => write!(f, "min {min}"),
            (None, Some(max)) => write!(f, "max {max}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::ErrorClass;
    use Measurement::{Fail, Inconclusive, Pass};

    const MIN: Threshold = Threshold { min: Some(0.99), max: None };
    const MAX: Threshold = Threshold { min: None, max: Some(0.5) };
    const BOTH: Threshold = Threshold { min: Some(-1.0), max: Some(1.0) };

    #[test]
    fn values_within_or_on_the_bounds_pass_and_others_fail() {
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
    fn values_that_are_not_finite_neither_pass_nor_fail() {
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
    fn an_invalid_threshold_is_refused_and_neither_passes_nor_fails() {
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
}
