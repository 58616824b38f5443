//! The one part that talks to the API server: it observes, applies what was decided, and waits.

pub mod apply;
pub mod client;
pub mod events;
pub mod gate;
pub mod lease;
pub mod mailbox;
pub mod observe;
pub mod pace;
pub mod pass;
pub mod queue;
pub mod raw;
pub mod read;
pub mod relevance;
pub mod slots;
pub mod watch;

use std::fmt;

/// Which Deployment: its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name of the Deployment, and of its Rollout.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        write!(f, "{namespace}/{name}")
    }
}

/// An error with all its causes in one line.
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

/// The content of a lock, also after a panic elsewhere: what is kept under these locks is whole between statements.
pub(crate) fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
