//! Kubernetes objects as a router reads them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

/// A kind of object, as the API server serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version that is read and written.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The plural, as in paths and RBAC rules.
    pub plural: &'static str,
    /// What the controller does with it.
    pub access: Access,
}

/// What the controller does with the objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// It lists and watches them.
    Read,
    /// It patches them too.
    Write,
}

/// The name, identity and version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub version: String,
    /// Its generation.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its leadership epoch, from a label (Deployment) or an annotation (all other kinds); 0 if
    /// absent.
    pub epoch: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The uids of its owners.
    pub owners: BTreeSet<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The indices of Steelyard's entries in `metadata.managedFields`; empty where no other client
    /// has an entry.
    pub managed: Vec<usize>,
}

/// An object that a router reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub resource: &'static Resource,
    /// Its name, identity and version.
    pub meta: Meta,
    /// Its `spec`, raw.
    pub spec: Value,
    /// Its `status`, raw.
    pub status: Value,
}

impl Object {
    /// Returns kind and name for messages, with the namespace if it is not `home`.
    pub fn title(&self, home: &str) -> String {
        let Self { resource: Resource { kind, .. }, meta: Meta { namespace, name, .. }, .. } = self;
        if namespace == home { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
    }
}
