//! The demo app: a small HTTP service that can be configured to fail.
//!
//! It represents a user's service in the lab. It reports which version and which pod answered,
//! counts its answers, and fails only as its environment configures (see [`Settings`]), so that a
//! test knows what must happen.

mod config;
mod faults;
mod grpc;
mod metrics;
mod server;

pub use config::{Settings, SettingsError};
pub use faults::{Faults, spread};
pub use server::{AppError, DRAIN, serve};

#[cfg(test)]
mod tests;
