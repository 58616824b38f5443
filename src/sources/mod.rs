//! Where measurements and answers come from: Prometheus, and the HTTP endpoints of webhooks.

mod late;
mod named;
pub mod prometheus;
pub mod webhook;

pub use named::{Sources, SourcesError};
