//! What must fit before a rollout may start: the policy, the Deployment, its Services and its route.

mod accept;
mod fit;
mod refusals;
mod route;
mod service;

pub(super) use accept::{Accepted, accept};
