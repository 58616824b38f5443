//! Dividing traffic between the stable Service and the canary Service.
//!
//! A [`Router`] is one way to do it: objects in, changes out, no client. Each router has its own
//! file; [`router`] lists them.

pub mod gateway;
mod object;
mod router;
pub mod service;
mod weight;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use object::{Access, Meta, Object, Resource};
pub use router::{
    Acceptance, Change, Feature, Original, Pair, Report, Route, RouteError, RouteRef, Router, Wants,
};
pub use weight::{Weight, WeightError};

/// A way to divide traffic.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
pub enum RouterKind {
    /// Routes of the Gateway API.
    #[default]
    GatewayApi,
    /// The selectors of the Services themselves.
    Service,
}

impl RouterKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::GatewayApi, Self::Service];
}

/// Returns the router of a kind.
pub fn router(kind: RouterKind) -> &'static dyn Router {
    match kind {
        RouterKind::GatewayApi => &gateway::GatewayApi,
        RouterKind::Service => &service::PlainService,
    }
}
