//! Who owns a `ReplicaSet`, a Service and its pods. Pure rules over values; `observe` uses them
//! too, so that it reads no more than they need.

mod claim;
mod left_behind;
mod neighbors;
mod ports;
mod services;

pub(super) use claim::{first, lost};
pub use left_behind::left_behind;
pub use neighbors::{Backend, Owner, claimants, concerns, pods_of, possible_claimants, unrelated_pods};
pub use ports::served;
pub(super) use ports::{serves, unserved};
pub use services::{carries, selects};
pub(super) use services::{carrying, left_out, own_pin, services};
