//! Whether a reconcile goes on.

use std::ops::ControlFlow;

/// What a phase function returns: `Continue` where all that it looks after is so already, `Break` where
/// it has planned a write or named a wait, so that this reconcile ends. `?` passes a stop on.
pub(in crate::engine) type Flow<T = ()> = ControlFlow<Stopped, T>;

/// A reconcile that ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Stopped;

/// All is so already.
pub(in crate::engine) const GO_ON: Flow = Flow::Continue(());

/// Something is planned, or awaited.
pub(in crate::engine) const STOP: Flow = Flow::Break(Stopped);
