//! Whose a `ReplicaSet`, a Service and the pods behind it are. Pure rules over values, which `observe`
//! asks as well, so that it reads no more than they need.

mod claim;
mod neighbors;
mod services;

pub(super) use claim::{first, lost};
pub use neighbors::{Backend, Owner, concerns, pods_of, possible_rivals, rivals, strangers};
pub use services::{carries, selects};
pub(super) use services::{carrying, services};
