//! A simulated cluster around one Deployment: objects in, controllers step by step, virtual time,
//! and the faults that a controller must survive. The same `decide` runs here and in the daemon.
//!
//! A test builds a [`World`], changes it as a user, another client or a fault would, and reconciles
//! until a condition holds. [`World::check`] asserts every [`Invariant`] after each write, so each
//! prefix of each plan is checked as a world that a crash could leave. [`World::state`] is the
//! world as a value with `Eq` and `Hash`, for a model checker.
//!
//! # What is modeled, and by which rule of Kubernetes
//!
//! - Writes ([`writes`]): a write with a stale `resourceVersion` or `uid` is a conflict, also a
//!   failed `test` of a JSON patch; a create of an existing name is one too. A change of `spec`
//!   raises `metadata.generation`, each change gives a new version
//!   (`k8s.io/apiserver/pkg/registry/generic/registry/store.go`,
//!   `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`).
//! - The Deployment controller: the oldest owned `ReplicaSet` with the template is the new one
//!   (`FindNewReplicaSet`); a saturated new one replaces the others, also while the Deployment is
//!   paused (`scale`, `IsSaturated`); a single active one gets the Deployment's size; of several
//!   active ones the largest gets what the sum lacks; a Deployment that is not paused gets a
//!   `ReplicaSet` of its template, and a rolling update to it with surge, which stops where pods do
//!   not get ready (`pkg/controller/deployment/{sync,rolling}.go`, `util/deployment_util.go`).
//! - The `ReplicaSet` controller creates and deletes pods (`pkg/controller/replicaset`). The
//!   kubelet makes them ready. The endpoints controller lists the ready pods of each Service
//!   (`pkg/controller/endpointslice`). The router accepts a changed route (Gateway API,
//!   `RouteParentStatus`).
//! - Admission: a changed template comes back paused and labeled as held.
//!
//! # What is left out
//!
//! Unavailability of a native rolling update (it only surges), pods that crash or start
//! slowly (a test sets that in the snapshot), connections and requests, garbage collection, several
//! gateways for one route, and caches that lag behind the API server: a reconcile reads the current
//! world, and staleness occurs only as late writes.

// This crate is test support: a failed assumption must end the test.
#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test support: a panic fails the test that called it"
)]

mod canonical;
mod content;
mod controllers;
mod faults;
mod invariants;
mod measurement;
mod objects;
mod people;
mod reconcile;
mod state;
mod time;
mod versions;
mod world;
pub mod writes;

pub use canonical::Datum;
pub use controllers::Actor;
pub use invariants::Invariant;
pub use measurement::{Measurement, Share};
pub use reconcile::Reconciled;
pub use state::State;
pub use world::World;
pub use writes::{Rejection, Sent};
