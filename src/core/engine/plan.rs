//! What a decision wants done, as data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use json_patch::PatchOperation;
use serde::Serialize;
use serde_json::Value;

use super::reasons::EventReason;
use crate::{api::RolloutStatus, policy::terms::Terms};

/// What to do, in this order, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Writes, in order; the first that fails ends the pass.
    pub writes: Vec<Write>,
    /// Events to tell once all writes are done.
    pub events: Vec<Event>,
    /// Questions to Prometheus.
    pub asks: Vec<Ask>,
    /// Questions to webhooks, to be sent once all writes are done.
    pub calls: Vec<Call>,
    /// When to look again though nothing happens.
    pub wake: Option<Timestamp>,
    /// Whether the rollout is in flight, so that its objects are watched.
    pub in_flight: bool,
    /// Whether it counts among those in flight.
    pub slot: Slot,
}

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
        /// The operations.
        ops: Vec<PatchOperation>,
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
    /// The verb as RBAC and metrics spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl std::fmt::Display for WriteVerb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl Event {
    /// The Event of a reason.
    pub fn of(reason: &EventReason) -> Self {
        Self {
            warning: reason.is_warning(),
            reason: reason.word(),
            action: reason.action(),
            note: reason.to_string(),
        }
    }
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

/// A question to another system: whether the rollout may go past its gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The endpoint's name in the operator's configuration.
    pub webhook: String,
    /// The revision it is for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// Which call of this step, counted from 1.
    pub attempt: u32,
    /// What is asked.
    pub question: Question,
}

/// The name of a call among what is being asked; no metric of a policy can have a slash in its name and mean it.
pub fn call_name(step: usize, attempt: u32) -> String {
    format!("steelyard/gate/{step}/{attempt}")
}

/// What a webhook is told, as it is sent in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Question {
    /// Names this attempt: no other call ever has it.
    pub id: String,
    /// Which call of this step, counted from 1.
    pub attempt: u32,
    /// The namespace.
    pub namespace: String,
    /// The Deployment.
    pub deployment: String,
    /// The revision on trial.
    pub revision: String,
    /// The step that is the gate, counted from 1.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// The canary's share of the traffic, in percent.
    pub weight: u8,
    /// What runs.
    pub images: Images,
    /// The policy's metrics.
    pub metrics: Vec<Measured>,
    /// The policy's own words.
    pub metadata: BTreeMap<String, String>,
    /// Where among the shifts of traffic the gate stands.
    #[serde(skip)]
    pub moment: Moment,
}

/// Where among the shifts of traffic a gate stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Before the first one.
    #[default]
    First,
    /// Between two.
    Between,
    /// Before the one to all of the traffic, or behind them all.
    Last,
}

/// The images of both versions, by container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Images {
    /// What serves.
    pub stable: BTreeMap<String, String>,
    /// What is on trial.
    pub canary: BTreeMap<String, String>,
}

/// A metric as it was last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Its value; null where the last answer was none.
    pub value: Option<f64>,
    /// When it was asked last.
    pub at: Option<Timestamp>,
}
