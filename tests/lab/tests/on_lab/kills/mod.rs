//! Steelyard and what it leans on, killed, frozen, restarted and exchanged while rollouts are in flight.

mod app;
mod audit;
mod controller;
mod leaders;
mod process;
