//! The plan of a decision, as data.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use json_patch::PatchOperation;
use serde::Serialize;
use serde_json::Value;

pub use super::written::{Kind, WriteVerb};
use super::{fresh::Fresh, inquiry::Inquiry, reasons::EventReason};
use crate::{api::RolloutStatus, policy::Request, traffic::Weight};

/// What to do, in this order, and when to reconcile again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Writes, in order; the first that fails ends the reconcile.
    pub writes: Vec<Write>,
    /// How many of the first writes take traffic from the canary: all of these are attempted, even
    /// if one fails.
    pub withdrawals: usize,
    /// What must be read again before the writes are applied: if another decision results, that one
    /// counts.
    pub fresh: BTreeSet<Fresh>,
    /// Events to report once all writes are done.
    pub events: Vec<Event>,
    /// Queries of sources.
    pub asks: Vec<Ask>,
    /// Calls of webhooks, to be sent once all writes are done.
    pub calls: Vec<Call>,
    /// When to reconcile again if nothing changes.
    pub wake: Option<Timestamp>,
    /// Whether the objects of the rollout have to be watched.
    pub in_flight: bool,
    /// How it counts toward the limit of concurrent rollouts.
    pub occupancy: Occupancy,
}

/// How a rollout counts toward the limit of concurrent rollouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Occupancy {
    /// It does not count.
    #[default]
    None,
    /// It waits in the queue.
    Queued,
    /// It is in progress.
    InProgress,
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
    /// A JSON patch. `apply` puts a replacement of the resource version before it and the epoch
    /// after it.
    Patch {
        /// The kind of the object.
        kind: Kind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The resource version that was decided on.
        version: String,
        /// The operations.
        ops: Vec<PatchOperation>,
        /// Where the epoch is stamped.
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
    /// The Rollout's status, by server-side apply. An empty version means the version after the
    /// write before it.
    Status {
        /// The resource version that was decided on.
        version: String,
        /// The status.
        status: Box<RolloutStatus>,
    },
}

impl Write {
    /// Returns the verb, and the kind and name of the object; a status write is of the Rollout with
    /// this name.
    pub fn target<'a>(&'a self, rollout: &'a str) -> (WriteVerb, Kind, &'a str) {
        match self {
            Self::Create { kind, object } => {
                let name = object.pointer("/metadata/name").and_then(Value::as_str);
                (WriteVerb::Create, *kind, name.unwrap_or_default())
            }
            Self::Patch { kind, name, .. } => (WriteVerb::Patch, *kind, name),
            Self::Delete { kind, name, .. } => (WriteVerb::Delete, *kind, name),
            Self::Status { .. } => (WriteVerb::Patch, Kind::Rollout, rollout),
        }
    }
}

/// Where the epoch is stamped on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// In an annotation.
    Annotation {
        /// Whether `/metadata/annotations` exists.
        exists: bool,
    },
    /// In a label.
    Label {
        /// Whether `/metadata/labels` exists.
        exists: bool,
    },
    /// Not stamped.
    None,
}

/// An Event on the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// Its reason, one word.
    pub reason: &'static str,
    /// Its action, one word.
    pub action: &'static str,
    /// Its message.
    pub note: String,
}

impl Event {
    /// Returns the Event of a reason.
    pub fn of(reason: &EventReason) -> Self {
        Self {
            warning: reason.is_warning(),
            reason: reason.word(),
            action: reason.action(),
            note: reason.to_string(),
        }
    }
}

/// A query of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The revision it is for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// What is queried.
    pub inquiry: Inquiry,
    /// The request and its source.
    pub request: Request,
    /// The time for which the source is evaluated.
    pub at: Timestamp,
}

/// A call of a webhook, which asks whether the rollout may pass its gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The endpoint's name in the operator's configuration.
    pub webhook: String,
    /// The revision it is for.
    pub revision: String,
    /// The step, counted from 0.
    pub step: usize,
    /// The attempt within the step, counted from 1.
    pub attempt: u32,
    /// The body of the call.
    pub question: Question,
}

impl Call {
    /// Returns the inquiry that its answer contains.
    pub fn inquiry(&self) -> Inquiry {
        Inquiry::Webhook { step: self.step, attempt: self.attempt }
    }
}

/// The JSON body of a call of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Question {
    /// The unique ID of this attempt.
    pub id: String,
    /// The attempt within the step, counted from 1.
    pub attempt: u32,
    /// The namespace.
    pub namespace: String,
    /// The Deployment.
    pub deployment: String,
    /// The revision under analysis.
    pub revision: String,
    /// The step of the gate, counted from 1.
    pub step: usize,
    /// The number of steps.
    pub steps: usize,
    /// The canary's weight.
    pub weight: Weight,
    /// The images of both versions.
    pub images: Images,
    /// The policy's metrics.
    pub metrics: Vec<Measured>,
    /// The `metadata` of the gate in the policy.
    pub metadata: BTreeMap<String, String>,
    /// The position of the gate among the steps that shift traffic.
    #[serde(skip)]
    pub moment: Moment,
}

/// The position of a gate among the steps that shift traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Before the first one.
    #[default]
    First,
    /// Between two.
    Between,
    /// Before the step to weight 100, or after all steps.
    Last,
}

/// The images of both versions, by container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Images {
    /// The images of stable.
    pub stable: BTreeMap<String, String>,
    /// The images of the canary.
    pub canary: BTreeMap<String, String>,
}

/// The last answer of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Its value; null if the last answer is not a value.
    pub value: Option<f64>,
    /// When it was queried last.
    pub at: Option<Timestamp>,
    /// Whether it is a dry run: reported, and never acted on.
    #[serde(rename = "dryRun", skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
