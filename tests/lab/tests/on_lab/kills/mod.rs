//! Steelyard and what it leans on, killed, frozen, restarted and exchanged while rollouts are in flight.

mod answers;
mod app;
mod audit;
mod chart;
pub(crate) mod controller;
mod leaders;
mod odd;
mod outages;
mod process;
