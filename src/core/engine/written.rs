//! What is written, and what the API server refused.

use std::fmt;

use crate::traffic::Resource;

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteVerb {
    /// Creates an object.
    Create,
    /// Changes fields of an object.
    Patch,
    /// Deletes an object.
    Delete,
}

impl WriteVerb {
    /// Returns the verb as in RBAC rules and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for WriteVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The kinds that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` `ReplicaSet`.
    ReplicaSet,
    /// `v1` Service.
    Service,
    /// An object that divides traffic.
    Route(&'static Resource),
    /// `steelyard.io/v1alpha1` Rollout.
    Rollout,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::Service => "Service",
            Self::Route(resource) => resource.kind,
            Self::Rollout => "Rollout",
        })
    }
}

/// A write that the API server, or an admission policy, refused: sending it again does not help.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusedWrite {
    /// The verb of the write.
    pub verb: WriteVerb,
    /// The kind of the object.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The API server's message.
    pub message: String,
}

impl RefusedWrite {
    /// Returns an example for the docs.
    pub(super) fn example() -> Self {
        let message = r#"services "web-canary" is forbidden: exceeded quota: small, requested: services=1, used: services=1, limited: services=1"#;
        let (verb, kind) = (WriteVerb::Create, Kind::Service);
        Self { verb, kind, name: "web-canary".to_owned(), code: 403, message: message.to_owned() }
    }
}

impl fmt::Display for RefusedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, kind, name, code: _, message } = self;
        let message: String = message.chars().take(MESSAGE).collect();
        write!(f, "the API server refuses to {verb} {kind} {name}: {message}")
    }
}

/// The longest part of the API server's message that is shown, in characters.
const MESSAGE: usize = 1000;
