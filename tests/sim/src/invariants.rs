//! Invariants of every reachable world, whatever happened before.
//!
//! The contract's invariants that a single world shows. Those about two worlds are tests: that a
//! second decision is empty, and that a stale write changes nothing.

use steelyard_core::{
    api::{FAILED, HASH},
    engine::Service,
    traffic::Object,
};

use crate::{World, world::weight};

/// When an invariant must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// After each write.
    EveryWrite,
    /// After each plan: two objects can't change in one write, but they change in one reconcile.
    EveryPlan,
}

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// The canary has a weight on the route only while its Service has ready pods.
    CanaryIsReady,
    /// A route gives no weight to a revision that it marks as failed.
    MarkedRouteIsEmpty,
    /// No route gives weight to a revision that any object marks as failed.
    RouteAvoidsFailed,
    /// The Service that clients use has a ready pod, if any pod that it may select is ready.
    ServiceIsReady,
    /// The Service that clients use is not pinned to a revision that is marked as failed.
    ServiceAvoidsFailed,
    /// Each wait has a reason, a message and a start.
    WaitIsExplained,
}

impl Invariant {
    /// All invariants.
    pub const ALL: [Self; 6] = [
        Self::CanaryIsReady,
        Self::MarkedRouteIsEmpty,
        Self::RouteAvoidsFailed,
        Self::ServiceIsReady,
        Self::ServiceAvoidsFailed,
        Self::WaitIsExplained,
    ];

    fn scope(self) -> Scope {
        match self {
            Self::RouteAvoidsFailed | Self::ServiceAvoidsFailed => Scope::EveryPlan,
            _ => Scope::EveryWrite,
        }
    }

    fn holds(self, world: &World) -> bool {
        // A Deployment with 0 replicas has no ready pod, whichever ReplicaSet owns its pods.
        let asleep = world.snapshot.deployment.as_ref().is_none_or(|d| d.replicas == 0);
        let service = |name| world.snapshot.services.iter().find(|service| service.meta.name == name);
        let canary = service("web-canary").filter(|_| world.weight() > 0);
        let failed = |hash: &String| world.failed.contains(hash);
        match self {
            Self::CanaryIsReady => {
                asleep || world.weight() == 0 || canary.is_some_and(|canary| !canary.ready.is_empty())
            }
            Self::MarkedRouteIsEmpty => {
                let canary = service("web-canary").and_then(|canary| canary.selector.get(HASH));
                let marked = |route: &&Object| {
                    let marks = route.meta.annotations.get(FAILED);
                    marks.is_some_and(|marks| {
                        marks.split(',').any(|mark| Some(mark) == canary.map(String::as_str))
                    })
                };
                world.snapshot.routes.iter().filter(marked).all(|route| weight(route).unwrap_or(0) == 0)
            }
            Self::RouteAvoidsFailed => {
                !canary.and_then(|canary| canary.selector.get(HASH)).is_some_and(failed)
            }
            Self::ServiceIsReady => {
                let serves = |service: &Service| {
                    !service.ready.is_empty() || world.selectable(service).next().is_none()
                };
                asleep || service("web").is_none_or(serves)
            }
            Self::ServiceAvoidsFailed => {
                !service("web").and_then(|service| service.selector.get(HASH)).is_some_and(failed)
            }
            Self::WaitIsExplained => {
                let waiting = world.snapshot.rollout.as_ref().and_then(|r| r.status.waiting.as_ref());
                waiting.is_none_or(|wait| {
                    !wait.reason.is_empty() && !wait.message.is_empty() && wait.since.is_some()
                })
            }
        }
    }
}

impl World {
    /// Returns the invariants that must hold after each write but do not.
    pub fn violations(&self) -> Vec<Invariant> {
        self.violated(Scope::EveryWrite)
    }

    pub(crate) fn violated(&self, scope: Scope) -> Vec<Invariant> {
        let due = Invariant::ALL.into_iter().filter(|invariant| invariant.scope() == scope);
        due.filter(|invariant| !invariant.holds(self)).collect()
    }
}
