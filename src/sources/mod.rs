//! The sources of measurements and gate answers: Prometheus, and the HTTP endpoints of webhooks.

mod named;
pub mod prometheus;
mod timeout;
pub mod webhook;

pub use named::{Sources, SourcesError};
