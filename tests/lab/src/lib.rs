//! The lab.

pub mod app;
pub mod load;
