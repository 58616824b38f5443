//! Writes of existing objects, as typed JSON patches. Each says what it changes; where all is so
//! already, there is none.

mod handover;
mod marks;
mod objects;
mod operations;
mod routes;
mod services;
mod write;

pub(super) use handover::{REVISION, adopt, give_back, number, numbered};
pub(super) use marks::{marked, rejected};
pub(super) use objects::{Release, delete, disown, finalizer, release, scale, template};
pub(super) use routes::{restore_route, update_route};
pub(super) use services::{mark_and_pin, pin};
pub(super) use write::stamped;
