//! The whole of the behavior: [`Snapshot`] in, [`Decision`] out, nothing else read or done.
//!
//! One reconcile is small: it reads where the rollout stands, writes what is missing there, and is made
//! again until nothing is missing. Status names a stage before the stage writes anything, so a crash
//! between any two writes is picked up by the next reconcile; the one exception is the rollback, where
//! the route comes first and carries a mark of its own.
//!
//! Where to look: [`decide()`] dispatches on the phase. `idle`, `start` and `setup` begin a rollout;
//! `prepare`, `step` and `gate` go through its steps; `handover` ends a good one; `guard` and `rollback`
//! end the others. What a phase waits for, and why a rollout ends, is in [`reasons`].

mod canary_service;
mod cleanup;
mod complete;
mod decide;
pub mod epoch;
mod gate;
mod guard;
mod handover;
mod idle;
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
mod revision;
mod rollback;
mod setup;
mod shift;
mod sizing;
mod snapshot;
mod start;
mod step;
mod variables;
mod weight;
mod widen;
mod zero_replicas;

pub use decide::decide;
pub use ownership::{Backend, Owner};
pub use plan::*;
pub use revision::tag;
pub use snapshot::*;
pub use start::wants_turn;
pub use variables::variables;
