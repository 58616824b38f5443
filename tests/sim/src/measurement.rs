//! The answers of metric sources and the router: a few cases instead of numbers.
//!
//! The rules compare a value with a bound, so one value on each side of the bound covers all. An
//! enum has `Eq` and `Hash`, which `f64` lacks.

use steelyard_core::analysis::{ErrorClass, Outcome};

/// The answer for each metric of the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measurement {
    /// A value within every bound of the policies used here.
    #[default]
    Good,
    /// A value outside these bounds.
    Bad,
    /// No series matched.
    NoData,
    /// Fewer requests than the policy requires.
    TooFew,
    /// The source returned an error.
    ServerError,
    /// The source was unreachable.
    Unreachable,
}

impl Measurement {
    /// Returns the answer as the engine reads it.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Good => Outcome::Value(1.0),
            Self::Bad => Outcome::Value(0.2),
            Self::NoData => Outcome::NoData,
            Self::TooFew => Outcome::TooFew { found: 1.0, wanted: 9.0 },
            Self::ServerError => Outcome::error(ErrorClass::Server, "HTTP 503"),
            Self::Unreachable => Outcome::error(ErrorClass::Unreachable, "connection refused"),
        }
    }
}

/// The router's answer to the query for the canary's share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// An integer percentage, 0 to 100.
    Percent(u8),
    /// No number, for example without requests.
    Silent,
}

impl Share {
    /// Returns the answer as the engine reads it.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Percent(percent) => Outcome::Value(f64::from(percent) / 100.0),
            Self::Silent => Outcome::NoData,
        }
    }
}
