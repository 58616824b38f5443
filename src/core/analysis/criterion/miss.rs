//! How a result misses a criterion: the evidence of a failure.

use std::fmt;

/// How a result misses a criterion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Miss {
    /// The value is below `min`.
    Below {
        /// The value.
        value: f64,
        /// The lower bound.
        min: f64,
    },
    /// The value is above `max`.
    Above {
        /// The value.
        value: f64,
        /// The upper bound.
        max: f64,
    },
    /// There is no data, and the metric has `noData: Fail`.
    NoData,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below { value, min } => write!(f, "is {value}, below min {min}"),
            Self::Above { value, max } => write!(f, "is {value}, above max {max}"),
            Self::NoData => f.write_str("has no data, and its noData is Fail"),
        }
    }
}
