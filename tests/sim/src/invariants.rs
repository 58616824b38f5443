//! What holds in every world that can be reached, whatever happened before.
//!
//! The contract's invariants, to the extent that one world shows them. Those about two worlds are
//! tests: that a second decision is empty, that a stale write changes nothing.

use steelyard_core::api::HASH;

use crate::World;

/// When an invariant must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// After each write.
    EveryWrite,
    /// After each plan: two objects can't change in one write, but they do in one reconcile.
    EveryPlan,
}

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// The canary has a weight on the route only while its Service has ready pods.
    CanaryIsReady,
    /// The route gives no weight to a revision that is marked as failed.
    RouteAvoidsFailed,
    /// The Service that clients use keeps a ready pod.
    ServiceIsReady,
    /// The Service that clients use is not pinned to a revision that is marked as failed.
    ServiceAvoidsFailed,
    /// Each wait has a reason, a message and a start.
    WaitIsExplained,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CanaryIsReady,
        Self::RouteAvoidsFailed,
        Self::ServiceIsReady,
        Self::ServiceAvoidsFailed,
        Self::WaitIsExplained,
    ];

    fn scope(self) -> Scope {
        match self {
            Self::ServiceAvoidsFailed => Scope::EveryPlan,
            _ => Scope::EveryWrite,
        }
    }

    fn holds(self, world: &World) -> bool {
        // A Deployment of no replicas has no ready pod, whoever owns its pods at that time.
        let asleep = world.snapshot.deployment.as_ref().is_none_or(|d| d.replicas == 0);
        let service = |name| world.snapshot.services.iter().find(|service| service.meta.name == name);
        let canary = service("web-canary").filter(|_| world.weight() > 0);
        let failed = |hash: &String| world.failed.contains(hash);
        match self {
            Self::CanaryIsReady => {
                asleep || world.weight() == 0 || canary.is_some_and(|canary| !canary.ready.is_empty())
            }
            Self::RouteAvoidsFailed => {
                !canary.and_then(|canary| canary.selector.get(HASH)).is_some_and(failed)
            }
            Self::ServiceIsReady => asleep || service("web").is_none_or(|service| !service.ready.is_empty()),
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
    /// The invariants that don't hold although they must after each write.
    pub fn violations(&self) -> Vec<Invariant> {
        self.violated(Scope::EveryWrite)
    }

    pub(crate) fn violated(&self, scope: Scope) -> Vec<Invariant> {
        let due = Invariant::ALL.into_iter().filter(|invariant| invariant.scope() == scope);
        due.filter(|invariant| !invariant.holds(self)).collect()
    }
}
