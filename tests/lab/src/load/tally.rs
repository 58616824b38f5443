//! Counts of answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Sample;

/// A number of requests, and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All requests.
    pub requests: u64,
    /// Failed requests.
    pub failed: u64,
}

impl Count {
    fn add(&mut self, failed: bool) {
        self.requests += 1;
        self.failed += u64::from(failed);
    }
}

/// Counts over a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that ended, whoever answered.
    pub total: Count,
    /// Failed requests that the application answered (they have a version); the other failed
    /// requests were lost.
    pub bad_answers: u64,
    /// By the version that answered.
    pub by_version: BTreeMap<Arc<str>, Count>,
    /// By the pod that answered.
    pub by_pod: BTreeMap<Arc<str>, Count>,
}

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, sample: &Sample) {
        let failed = sample.outcome.failed();
        self.total.add(failed);
        self.bad_answers += u64::from(sample.bad_answer());
        for (counts, key) in [(&mut self.by_version, &sample.version), (&mut self.by_pod, &sample.pod)] {
            if let Some(key) = key {
                counts.entry(Arc::clone(key)).or_default().add(failed);
            }
        }
    }

    /// Returns the number of failed requests that no version answered: refused, broken, timed out,
    /// or answered by a proxy.
    pub fn lost(&self) -> u64 {
        self.total.failed - self.bad_answers
    }

    /// Returns the share (0 to 1) of `version` in the answers that have a version, or `None` if
    /// there are none.
    pub fn share(&self, version: &str) -> Option<f64> {
        let all: u64 = self.by_version.values().map(|count| count.requests).sum();
        let own = self.by_version.get(version).map_or(0, |count| count.requests);
        // Counts of requests are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        (all > 0).then(|| own as f64 / all as f64)
    }
}

impl<'a> FromIterator<&'a Sample> for Tally {
    fn from_iter<T: IntoIterator<Item = &'a Sample>>(samples: T) -> Self {
        let mut tally = Self::default();
        for sample in samples {
            tally.add(sample);
        }
        tally
    }
}
