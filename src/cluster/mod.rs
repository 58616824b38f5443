//! Everything that talks to the API server: observes, applies decisions, and schedules reconciles.

#[cfg(test)]
mod admission;
pub mod answers;
pub mod apply;
pub mod cache;
pub mod client;
pub mod concurrency;
pub mod context;
mod escaped;
pub mod events;
pub mod hold_probe;
mod hold_watch;
pub mod lease;
pub mod observe;
mod policy_status;
pub mod queue;
pub mod rate_limit;
pub mod raw;
#[cfg(test)]
mod rbac;
pub mod read;
pub mod reconcile;
pub mod relevance;
pub mod watch;
mod watch_events;

use std::fmt;

/// The namespace and name of a Deployment, and of its Rollout.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        write!(f, "{namespace}/{name}")
    }
}

/// Returns an error and all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// Locks a mutex, also if a task panicked while it held the lock: each statement leaves the data
/// under these locks consistent.
pub(crate) fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
