//! The demo app: a small HTTP service that can be told to go wrong.
//!
//! It stands for a user's service in the lab. It says which version and which pod answered, counts what it answered,
//! and misbehaves only as its environment tells it to (see [`Settings`]), so that a test knows what must happen.

mod config;
mod faults;
mod metrics;
mod server;

pub use config::{Settings, SettingsError};
pub use faults::{Faults, spread};
pub use server::{AppError, DRAIN, serve};

#[cfg(test)]
mod tests;
