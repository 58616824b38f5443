//! Steelyard and its dependencies are killed, frozen, restarted and replaced during rollouts.

mod answers;
mod app;
mod audit;
mod chart;
pub(crate) mod controller;
mod fake_prometheus;
mod leaders;
mod outages;
mod process;
