//! Gates: a rollout waits at one until it opens.

mod key;
mod open;
mod webhook;
mod window;

pub(super) use key::{Key, record};
pub(super) use open::open;
pub(super) use webhook::hear;
