//! A newer leadership epoch than the leader's.

use std::fmt;

/// An object of a rollout that has a newer epoch than the leader's: nothing is written for the
/// rollout until the epoch is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerEpoch {
    /// The kind and name of the object.
    pub object: String,
    /// The label, annotation or field that has the epoch.
    pub field: &'static str,
    /// The epoch.
    pub found: u64,
    /// The leader's epoch.
    pub own: u64,
}

impl fmt::Display for NewerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, field, found, own } = self;
        write!(
            f,
            "{object} has {field} {found}, newer than the leader's epoch {own}: nothing is written for \
             this rollout until you remove {field} from {object}"
        )
    }
}
