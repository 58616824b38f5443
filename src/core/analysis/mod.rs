//! Judging a canary by its metrics: one reading at a time, counted per step, without any I/O.

pub mod reading;
pub mod tally;
pub mod threshold;

pub use reading::{ErrorClass, Outcome};
pub use tally::{Tally, Verdict, verdict, worst};
pub use threshold::{Limits, Measurement, Threshold, ThresholdError, Why};
