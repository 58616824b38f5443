//! Logs, metrics and health.

pub mod http;
pub mod logs;
pub mod metrics;
