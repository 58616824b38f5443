//! The lab.

pub mod agent;
pub mod app;
pub mod load;
