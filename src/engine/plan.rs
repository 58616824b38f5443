//! What a decision wants done, as data.

use jiff::Timestamp;
use serde_json::Value;

use crate::{api::RolloutStatus, metrics::terms::Terms};

/// What to do, in this order, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Writes, in order; the first that fails ends the pass.
    pub writes: Vec<Write>,
    /// Events to tell once all writes are done.
    pub events: Vec<Event>,
    /// Questions to Prometheus.
    pub asks: Vec<Ask>,
    /// When to look again though nothing happens.
    pub wake: Option<Timestamp>,
    /// Whether the rollout is in flight, so that its objects are watched.
    pub in_flight: bool,
    /// Whether it counts among those in flight.
    pub slot: Slot,
}

/// The reason of the wait of a rollout whose turn hasn't come.
pub const QUEUE: &str = "Queue";

/// How a rollout counts among those that may be in flight at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// Not at all.
    #[default]
    None,
    /// It waits for its turn.
    Queued,
    /// It is in flight.
    Taken,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Create an object, raw, in the Deployment's namespace.
    Create {
        /// Its kind.
        kind: Kind,
        /// The object.
        object: Value,
    },
    /// A JSON patch. `apply` puts the replacement of the resource version before it and the epoch after it.
    Patch {
        /// The kind of the object.
        kind: Kind,
        /// Its name.
        name: String,
        /// The resource version that was decided on.
        version: String,
        /// The JSON patch operations.
        ops: Vec<Value>,
        /// Where the epoch goes, if it is to be stamped.
        stamp: Stamp,
    },
    /// Delete an object, by uid and resource version.
    Delete {
        /// The kind of the object.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// The resource version that was decided on.
        version: String,
    },
    /// The Rollout's status, by server-side apply. Without a version: as the write before left the Rollout.
    Status {
        /// The resource version that was decided on.
        version: String,
        /// The status.
        status: Box<RolloutStatus>,
    },
}

/// Where the epoch goes on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// It is an annotation; the flag says whether the object has annotations at all.
    Annotation {
        /// Whether `/metadata/annotations` exists.
        exists: bool,
    },
    /// It is a label; the flag says whether the object has labels at all.
    Label {
        /// Whether `/metadata/labels` exists.
        exists: bool,
    },
    /// Not stamped.
    None,
}

/// The kinds that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` `ReplicaSet`.
    ReplicaSet,
    /// `v1` Service.
    Service,
    /// `gateway.networking.k8s.io/v1` `HTTPRoute`.
    HttpRoute,
    /// `steelyard.io/v1alpha1` Rollout.
    Rollout,
}

/// An Event on the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// Its reason, one word.
    pub reason: &'static str,
    /// What is done, one word; with the step in it, so that two steps' Events are not merged.
    pub action: String,
    /// In a sentence.
    pub note: String,
}

/// A question to Prometheus.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The source's name in the operator's configuration.
    pub source: String,
    /// The revision it is for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// The metric.
    pub metric: String,
    /// The query, ready to be sent.
    pub query: String,
    /// The time to ask for.
    pub at: Timestamp,
    /// On which terms an answer is one.
    pub terms: Terms,
}
