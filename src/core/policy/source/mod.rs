//! Sources of metrics: one file per kind of source.

pub mod prometheus;

use std::time::Duration;

use prometheus::Prometheus;

use super::query::{Query, Variables};

/// A compiled source with its query.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A `PromQL` query to any Prometheus-compatible API.
    Prometheus(Prometheus),
}

/// A query that is ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A request to Prometheus.
    Prometheus(prometheus::Request),
}

impl Source {
    /// Returns the query, ready to be sent.
    pub fn request(&self, variables: &Variables) -> Request {
        match self {
            Self::Prometheus(prometheus) => Request::Prometheus(prometheus.request(variables)),
        }
    }

    /// Returns how far back a measurement reads that was made with this lookback.
    pub fn reach(&self, lookback: Duration) -> Duration {
        match self {
            Self::Prometheus(prometheus) => prometheus.reach(lookback),
        }
    }

    /// Returns the query.
    pub fn query(&self) -> &Query {
        match self {
            Self::Prometheus(prometheus) => &prometheus.query,
        }
    }
}

impl Request {
    /// Returns the text of the query, as in `status.failure.query`.
    pub fn text(&self) -> &str {
        match self {
            Self::Prometheus(request) => &request.query,
        }
    }
}
