//! One reconcile in progress: the world as it was read, the status as it will be, and what is planned.
//!
//! Phase functions read through it and plan through it; its fields are its own.

mod conditions;
mod context;
mod flow;
mod intents;
mod lookup;
mod planning;
mod status;
mod waits;

pub(super) use context::Reconcile;
pub(super) use flow::{Flow, GO_ON, STOP, Stopped};
pub(super) use intents::person;
pub(super) use waits::{EndsBy, Since, after};
