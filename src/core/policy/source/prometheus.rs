//! A Prometheus query with the options for its result.

use std::time::Duration;

use crate::{
    analysis::Criterion,
    api::{OnWarnings, Series},
    policy::query::{Query, QueryError, Variables},
};

/// The default of `samples.min`.
pub const LEAST: f64 = 100.0;

/// The default of the setting `maxSampleAge` of a source.
pub const DEFAULT_LOOKBACK: Duration = Duration::from_mins(2);

/// A compiled Prometheus query.
#[derive(Clone, Debug, PartialEq)]
pub struct Prometheus {
    /// The name of the source in the configuration of the controller.
    pub source: String,
    /// The query.
    pub query: Query,
    /// The minimum number of requests.
    pub samples: Option<Samples>,
    /// The options for the result.
    pub terms: Terms,
}

/// The minimum number of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The query that counts them.
    pub query: Query,
    /// The minimum.
    pub least: f64,
}

/// A query that is ready to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The name of the source in the configuration of the controller.
    pub source: String,
    /// The query.
    pub query: String,
    /// The minimum number of requests.
    pub samples: Option<Count>,
    /// The options for the result.
    pub terms: Terms,
}

/// The minimum number of requests, ready to be queried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// The query that counts them.
    pub query: String,
    /// The minimum.
    pub least: f64,
}

/// Options for the result. The defaults are those of the source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The maximum age of a sample; by default that of the source.
    pub max_sample_age: Option<Duration>,
    /// The timeout, at most that of the source.
    pub timeout: Option<Duration>,
    /// How several series become one value.
    pub series: Series,
    /// The criterion that each series, or one of them, must meet.
    pub criterion: Option<Criterion>,
    /// How a result with a warning is treated.
    pub warnings: OnWarnings,
}

impl Prometheus {
    /// Returns a query with the options of the source, sent once per `interval`.
    ///
    /// # Errors
    /// Returns the error of the query.
    pub fn plain(source: &str, query: &str, interval: Duration) -> Result<Self, QueryError> {
        let (source, query) = (source.to_owned(), Query::compile(query, interval)?);
        Ok(Self { source, query, samples: None, terms: Terms::default() })
    }

    /// Returns the query, ready to be sent.
    pub(super) fn request(&self, variables: &Variables) -> Request {
        let count =
            |samples: &Samples| Count { query: samples.query.render(variables), least: samples.least };
        Request {
            source: self.source.clone(),
            query: self.query.render(variables),
            samples: self.samples.as_ref().map(count),
            terms: self.terms.clone(),
        }
    }

    /// Returns how far back a measurement reads, including the count of requests.
    pub(super) fn reach(&self, lookback: Duration) -> Duration {
        let of = |query: &Query| query.reach().within(lookback);
        let counted = self.samples.as_ref().map_or(Duration::ZERO, |samples| of(&samples.query));
        of(&self.query).max(counted)
    }
}
