//! Queries and calls that leave the cluster.

use std::fmt;

/// A query or call that leaves the cluster, about one revision. Its answer contains it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inquiry {
    /// A metric of the policy, by its name.
    Metric(String),
    /// The share of requests that the router gives to the canary.
    RouterShare,
    /// Whether the gate of a step opens.
    Webhook {
        /// The step, counted from 0.
        step: usize,
        /// The attempt within the step, counted from 1.
        attempt: u32,
    },
}

impl Inquiry {
    /// Returns the metric, if it is one.
    pub fn metric(&self) -> Option<&str> {
        match self {
            Self::Metric(name) => Some(name),
            Self::RouterShare | Self::Webhook { .. } => None,
        }
    }
}

impl fmt::Display for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(name) => write!(f, "metric {name}"),
            Self::RouterShare => f.write_str("the router's share"),
            Self::Webhook { step, attempt } => write!(f, "the webhook of step {step}, attempt {attempt}"),
        }
    }
}
