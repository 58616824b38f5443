//! Gates: a rollout waits at a gate until it opens.

mod open;
mod opening;
mod webhook;
mod window;

pub(super) use open::open;
pub(super) use opening::{Opening, record};
pub(super) use webhook::record_answers;
