//! The behavior of the controller as a pure function: [`Snapshot`] in, [`Decision`] out.
//!
//! A reconcile is small: it finds the stage of the rollout, plans what is missing in this stage,
//! and runs again until nothing is missing. Status names a stage before the stage writes anything,
//! so the next reconcile continues after a crash between any two writes. The exception is the
//! rollback: it writes the route first, with a mark.
//!
//! [`decide()`] dispatches on the phase. `idle`, `start` and `setup` start a rollout; `prepare`,
//! `step` and `gate` run its steps; `handover` ends a successful one; `guard` and `rollback` end
//! the others. [`reasons`] defines what a phase waits for and why a rollout ends.

mod acceptance;
mod baseline;
mod canary_service;
mod cleanup;
mod complete;
mod decide;
pub mod epoch;
mod fresh;
mod gate;
mod guard;
mod handover;
mod idle;
mod inquiry;
mod leave;
mod manifests;
mod measure;
mod native_handover;
mod native_rollout;
mod observed_weight;
mod orphans;
pub mod ownership;
mod patches;
mod plan;
mod pods;
mod prepare;
pub mod reasons;
mod reconcile;
mod refused_intents;
mod revision;
mod rollback;
mod setup;
mod shift;
mod sizing;
mod snapshot;
mod start;
mod step;
mod unmeasured_sets;
mod variables;
mod weight;
mod widen;
mod written;
mod zero_replicas;

pub use decide::decide;
pub use fresh::Fresh;
pub use inquiry::Inquiry;
pub use ownership::{Backend, Owner};
pub use plan::*;
pub use revision::{hash, tag};
pub use snapshot::*;
pub use start::wants_capacity;
pub use variables::variables;
