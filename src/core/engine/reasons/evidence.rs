//! What a wait or a failure rests on: what metrics answered, and what keeps pods from being ready.

use std::fmt;

use crate::analysis::ErrorClass;

/// Why the metrics of a step have no verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// The source gave no answer that can be trusted.
    Error {
        /// The metric.
        metric: String,
        /// The kind of error.
        class: ErrorClass,
        /// What the source said.
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
        /// How many requests there were.
        found: f64,
        /// How many it needs.
        wanted: f64,
    },
    /// No metric has answered yet.
    Nothing,
    /// The deadline of the step is over.
    Deadline,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { metric, class, message } => write!(f, "metric {metric}: {class}: {message}"),
            Self::NoData { metric } => write!(f, "metric {metric}: no data"),
            Self::NonFinite { metric } => write!(f, "metric {metric}: not a finite number"),
            Self::TooFew { metric, found, wanted } => {
                write!(f, "metric {metric}: {found} requests are too few, {wanted} are wanted")
            }
            Self::Nothing => f.write_str("metrics have no verdict"),
            Self::Deadline => f.write_str("the step reached its deadline without a verdict"),
        }
    }
}

/// What keeps canary pods from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A container does not run.
    Trouble {
        /// The pod.
        pod: String,
        /// The reason of the container's state, such as `ImagePullBackOff`.
        reason: String,
        /// Its message.
        message: String,
    },
    /// Pods can't be created: the message of condition `ReplicaFailure`.
    NotCreated {
        /// What the API server said.
        message: String,
    },
    /// A pod runs and is not ready.
    NotReady {
        /// The pod.
        pod: String,
        /// What its condition says.
        message: String,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble { pod, reason, message } => write!(f, "{pod}: {reason} {message}"),
            Self::NotCreated { message } => write!(f, "pods can't be created: {message}"),
            Self::NotReady { pod, message } => write!(f, "{pod}: NotReady {message}"),
        }
    }
}

/// An obstacle behind a sentence; nothing where none is known.
pub(super) struct Because<'a>(pub(super) Option<&'a Obstacle>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |obstacle| write!(f, "; {obstacle}"))
    }
}
