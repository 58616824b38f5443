//! One reconcile in progress: the snapshot, the new status and the plan.
//!
//! Phase functions read and plan through its methods; its fields are private.

mod conditions;
mod context;
mod flow;
mod intents;
mod lookup;
mod planning;
mod refused;
mod status;
mod waits;

pub(super) use context::Reconcile;
pub(super) use flow::{Flow, GO_ON, STOP, Stopped};
pub(super) use intents::person;
pub(super) use refused::explained;
pub(super) use waits::{EndsBy, Since, after};
