//! Checks before a rollout may start: the policy, the Deployment, its Services and its routes.

mod accept;
mod fit;
mod refusals;
mod routes;
mod service;

pub(super) use accept::{Accepted, accept};
