//! On which terms an answer of Prometheus is one.

use std::time::Duration;

use crate::{
    analysis::Threshold,
    api::{OnWarnings, Series},
};

/// How many requests a look needs where the policy counts them and doesn't say.
pub const LEAST: f64 = 100.0;

/// On which terms an answer is one. The default takes the source's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// How many requests there must have been.
    pub samples: Option<Count>,
    /// How old a sample may be; else as the source says.
    pub max_sample_age: Option<Duration>,
    /// How long the answer may take, at most as long as the source says.
    pub timeout: Option<Duration>,
    /// How several series become one number.
    pub series: Series,
    /// The metric's bounds, for series of which each or one must be within them.
    pub bounds: Threshold,
    /// What an answer with a warning is.
    pub warnings: OnWarnings,
}

/// How many requests there must have been.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// What counts them.
    pub query: String,
    /// At least so many.
    pub least: f64,
}
