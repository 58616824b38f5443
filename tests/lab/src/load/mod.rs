//! A load generator: sends requests at a constant rate and logs each answer.
//!
//! It is *open-loop*: request `n` is due at `start + n / rate` whether earlier ones were answered
//! or not, so that a slow server can't slow the requests down and hide its latency. Two kinds of
//! client run side by side: some requests use a new connection each, the others a pool of
//! kept-alive ones, because a server that ends without draining affects the two differently.
//! Nothing is retried.
//!
//! A request is an HTTP request or a unary gRPC call. It *failed* if its answer was not 2xx, or not
//! `OK` for gRPC, its connection broke or could not be opened, or it timed out. A pooled connection
//! that the server closed while it was idle is replaced silently, as in any client; a request whose
//! connection breaks has failed.

mod client;
mod connection;
mod plan;
mod record;
mod run;
mod sample;
mod tally;

pub use plan::{Plan, PlanError, Protocol};
pub use record::{Lag, Record};
pub use run::{Load, Running};
pub use sample::{Connection, Outcome, Sample};
pub use tally::{Count, Tally};

#[cfg(test)]
mod tests;
