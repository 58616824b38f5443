//! Steelyard: progressive delivery for the Deployments you already have.
//!
//! How the code handles a change of a pod template:
//! 1. A watch, a timer or a result from Prometheus starts a reconcile of a Deployment.
//! 2. [`cluster::observe`] reads the related objects, most of them from [`cluster::cache`], and the
//!    time into one [`engine::Snapshot`].
//! 3. [`engine::decide()`] turns the snapshot into an [`engine::Decision`]. It is a pure function
//!    and contains all behavior.
//! 4. [`policy`] checks and compiles policies; the engine reports why a rollout can't start.
//! 5. [`analysis`] turns measurements into verdicts; missing data is never a Pass.
//! 6. [`traffic`] turns "25 %" into the next `spec` of a route.
//! 7. [`cluster::apply`] applies the decision in order. Each write replaces the `resourceVersion`
//!    that it was decided on.
//! 8. A 409 conflict is not an error: the object changed meanwhile, the plan is dropped, and the
//!    next reconcile decides again.
//! 9. Events, metrics and log lines describe what was applied.
//!
//! The decisions are in the crate `steelyard_core`. This crate talks to the API server, to metric
//! sources and to users.

pub use steelyard_core::{analysis, api, engine, policy, traffic};

pub mod cli;
pub mod cluster;
#[cfg(test)]
mod pages;
pub mod plugin;
pub mod sources;
pub mod telemetry;
mod view;
