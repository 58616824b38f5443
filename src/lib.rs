//! Steelyard: progressive delivery for the Deployments you already have.
//!
//! How a change of a pod template travels through the code:
//! 1. A watch, a timer or an answer of Prometheus names a Deployment.
//! 2. [`cluster::observe`] reads the world around it into one [`engine::Snapshot`], with the time in it.
//! 3. [`engine::decide()`] turns the snapshot into an [`engine::Decision`]: pure, total, the whole of the
//!    behavior.
//! 4. [`policy`] says what a policy must be like; the engine says why a rollout can't start.
//! 5. [`analysis`] turns measurements into verdicts; what is missing is never a pass.
//! 6. [`traffic`] turns "25 %" into the next `spec` of the route it was shown.
//! 7. [`cluster::apply`] writes the decision down, in order, each write fenced by the version that was
//!    decided on.
//! 8. A conflict is no error: the snapshot was old, the plan is dropped, the next reconcile decides again.
//! 9. Events, metrics and log lines are made from what was applied.
//!
//! What decides is in the crate `steelyard_core`; this one talks to the API server, to metric sources and
//! to people.

pub use steelyard_core::{analysis, api, engine, policy, traffic};

pub mod cli;
pub mod cluster;
#[cfg(test)]
mod pages;
pub mod plugin;
pub mod sources;
pub mod telemetry;
mod view;
