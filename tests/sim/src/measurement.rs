//! What metrics sources and the router answer: a few cases instead of numbers.
//!
//! The rules compare a value with a bound, so one value on each side of the bound stands for all.
//! An enum has `Eq` and `Hash`, which `f64` lacks.

use steelyard_core::analysis::{ErrorClass, Outcome};

/// What each metric of the policy answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measurement {
    /// A value within every bound of the policies used here.
    #[default]
    Good,
    /// A value outside of them.
    Bad,
    /// No series matched.
    NoData,
    /// Fewer requests than the policy asks for.
    TooFew,
    /// The source answered with an error of its own.
    ServerError,
    /// There was no connection to the source.
    Unreachable,
}

impl Measurement {
    /// The answer as the engine reads it.
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

/// What the router answers when it is queried for the canary's share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// A whole percentage, 0 to 100.
    Percent(u8),
    /// No number, as when there were no requests.
    Silent,
}

impl Share {
    /// The answer as the engine reads it.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Percent(percent) => Outcome::Value(f64::from(percent) / 100.0),
            Self::Silent => Outcome::NoData,
        }
    }
}
