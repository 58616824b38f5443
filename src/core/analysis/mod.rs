//! Analysis of a canary by its metrics: measurements, counts per step, verdicts. No I/O.

pub mod criterion;
mod limits;
mod measurement;
pub mod reading;
pub mod tally;

pub use criterion::{Criterion, Miss, Threshold, ThresholdError};
pub use limits::Limits;
pub use measurement::{Measurement, Why};
pub use reading::{ErrorClass, Outcome};
pub use tally::{Tally, Verdict, verdict, worst};
