//! The evidence of waits and failures: results of metrics, and what keeps pods from being ready.

use std::fmt;

use crate::{analysis::ErrorClass, engine::snapshot::Trouble};

/// Why stable can't carry the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lack {
    /// Its `ReplicaSet` was deleted.
    Gone,
    /// None of its pods is available.
    NoPods,
    /// This Service does not select its pods.
    NotSelected(String),
}

impl Lack {
    /// Returns one of each, for the page of reasons.
    pub(super) fn examples() -> [Self; 3] {
        [Self::Gone, Self::NoPods, Self::NotSelected("web".to_owned())]
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("stable's ReplicaSet was deleted"),
            Self::NoPods => f.write_str("stable has no available pods"),
            Self::NotSelected(service) => write!(f, "Service {service} no longer selects stable's pods"),
        }
    }
}

/// Why the metrics of a step have no verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// The source gave no usable answer.
    Error {
        /// The metric.
        metric: String,
        /// The kind of error.
        class: ErrorClass,
        /// The source's message.
        message: String,
    },
    /// No series, or NaN.
    NoData {
        /// The metric.
        metric: String,
    },
    /// Plus or minus infinity.
    NonFinite {
        /// The metric.
        metric: String,
    },
    /// Fewer requests than the metric needs.
    TooFew {
        /// The metric.
        metric: String,
        /// The number of requests.
        found: f64,
        /// The number of requests required.
        wanted: f64,
    },
    /// No metric has a result that explains it.
    Nothing,
    /// The deadline of the step has passed.
    Deadline,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { metric, class, message } => write!(f, "metric {metric}: {class}: {message}"),
            Self::NoData { metric } => write!(f, "metric {metric}: no data"),
            Self::NonFinite { metric } => write!(f, "metric {metric}: not a finite number"),
            Self::TooFew { metric, found, wanted } => {
                write!(f, "metric {metric}: {found} requests, but samples.min is {wanted}")
            }
            Self::Nothing => f.write_str("the metrics have no verdict"),
            Self::Deadline => f.write_str("the step reached its deadline without a verdict"),
        }
    }
}

/// What keeps canary pods from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A pod does not run.
    Trouble {
        /// The pod.
        pod: String,
        /// Why.
        trouble: Trouble,
    },
    /// Pods can't be created: the message of condition `ReplicaFailure`.
    NotCreated {
        /// The API server's message.
        message: String,
    },
    /// A pod runs and is not ready.
    NotReady {
        /// The pod.
        pod: String,
        /// The message of its condition.
        message: String,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble { pod, trouble: Trouble { container, reason, message } } => {
                write!(f, "{pod}: ")?;
                container.iter().try_for_each(|container| write!(f, "container {container}: "))?;
                write!(f, "{reason} {message}")
            }
            Self::NotCreated { message } => write!(f, "pods can't be created: {message}"),
            Self::NotReady { pod, message } => write!(f, "{pod}: NotReady {message}"),
        }
    }
}

/// A route that a gateway rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its kind and name.
    pub route: String,
    /// The reason of the gateway's condition.
    pub reason: String,
    /// Its message.
    pub message: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, reason, message } = self;
        write!(f, "the gateway rejects {route}: {reason}: {message}")
    }
}

impl Rejection {
    /// Returns a value for the docs.
    pub(super) fn example() -> Self {
        Self {
            route: "HTTPRoute web".to_owned(),
            reason: "NoMatchingParent".to_owned(),
            message: "the Gateway has no such listener".to_owned(),
        }
    }
}

/// Appends an obstacle to a message; nothing if none is known.
pub(super) struct Because<'a>(pub(super) Option<&'a Obstacle>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |obstacle| write!(f, "; {obstacle}"))
    }
}
