//! Steelyard.

pub mod analysis;
pub mod metrics;
pub mod traffic;
