//! Writes to existing objects, as typed JSON patches. There is no write if the object already has
//! the desired values.

mod handover;
mod marks;
mod objects;
mod operations;
mod record;
mod routes;
mod services;
mod write;

pub(super) use handover::{REVISION, number, numbered, transfer_to_deployment, transfer_to_rollout};
pub(super) use marks::{marked, rejected};
pub(super) use objects::{Release, delete, disown, finalizer, min_ready, release, resize, scale, template};
pub(super) use record::{Mark, recorded};
pub(super) use routes::{restore_route, unchanged, update_route};
pub(super) use services::{mark_and_pin, pin};
pub(super) use write::{fence, stamped};
