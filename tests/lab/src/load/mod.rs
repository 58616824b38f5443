//! A load generator: a constant rate of requests, each answer logged.
//!
//! It is *open-loop*: request `n` is due at `start + n / rate` whether earlier ones were answered or not, so a slow
//! server can't slow the questions down and hide its slowness. Two kinds of client run side by side: some requests
//! use a new connection each, the rest a pool of kept-alive ones, since a server that ends badly hurts the two
//! differently. Nothing is retried.
//!
//! A request *failed* when its answer was not 2xx, its connection broke or could not be made, or it timed out.
//! A pooled connection that the server closed while it was idle is replaced without a word, as any client does; one
//! that breaks under a request has failed that request.

mod client;
mod plan;
mod record;
mod run;
mod sample;
mod tally;

pub use plan::{Plan, PlanError};
pub use record::{Lag, Record};
pub use run::{Load, Running};
pub use sample::{Connection, Outcome, Sample};
pub use tally::{Count, Tally};

#[cfg(test)]
mod tests;
