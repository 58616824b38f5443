//! Criteria for values: one file per kind of criterion.

mod miss;
mod threshold;

use std::fmt;

use serde::Serialize;

pub use miss::Miss;
pub use threshold::{Threshold, ThresholdError};

use super::{Measurement, Outcome};

/// A criterion for values. Its JSON form has the fields of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Criterion {
    /// A fixed bound.
    Threshold(Threshold),
}

impl Criterion {
    /// Evaluates an answer.
    pub fn measure(&self, outcome: &Outcome) -> Measurement {
        match self {
            Self::Threshold(threshold) => threshold.measure(outcome),
        }
    }

    /// Returns how an answer that is a Fail misses this criterion.
    pub fn missed(&self, outcome: &Outcome) -> Miss {
        match self {
            Self::Threshold(threshold) => threshold.missed(outcome),
        }
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold(threshold) => threshold.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_value_names_the_bound_that_it_misses() {
        let criterion = Criterion::Threshold(Threshold { min: Some(0.5), max: Some(2.0) });
        for (value, miss) in
            [(0.4, Miss::Below { value: 0.4, min: 0.5 }), (2.5, Miss::Above { value: 2.5, max: 2.0 })]
        {
            assert_eq!(criterion.measure(&Outcome::Value(value)), Measurement::Fail);
            assert_eq!(criterion.missed(&Outcome::Value(value)), miss);
        }
        assert_eq!(criterion.missed(&Outcome::NoData), Miss::NoData);
        assert_eq!(criterion.to_string(), "min 0.5, max 2");
    }
}
