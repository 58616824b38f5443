//! Whether a reconcile continues.

use std::ops::ControlFlow;

/// The result of a phase function: `Continue` if it has nothing left to do, `Break` if it planned a
/// write or set a wait, which ends this reconcile. `?` propagates a stop.
pub(in crate::engine) type Flow<T = ()> = ControlFlow<Stopped, T>;

/// A reconcile that ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Stopped;

/// Nothing is left to do.
pub(in crate::engine) const GO_ON: Flow = Flow::Continue(());

/// A write is planned, or the rollout waits.
pub(in crate::engine) const STOP: Flow = Flow::Break(Stopped);
