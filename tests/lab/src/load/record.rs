//! The log of a finished load.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Count, Sample, Tally};

/// Number of failures in a summary.
const SHOWN: usize = 5;

/// The complete log of a load, in the order in which requests were sent.
#[derive(Debug, Clone)]
pub struct Record {
    started: Timestamp,
    samples: Vec<Sample>,
    unlogged: Tally,
}

/// The delay with which the generator sent requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// Maximum.
    pub max: Duration,
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max } = self;
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", ms(p50), ms(p99), ms(max))
    }
}

impl Record {
    /// Orders `samples` by the time they were sent. `unlogged` counts the requests that did not fit
    /// in the log.
    pub(crate) fn new(started: Timestamp, mut samples: Vec<Sample>, unlogged: Tally) -> Self {
        samples.sort_by_key(|sample| sample.sent);
        Self { started, samples, unlogged }
    }

    /// Returns when the load began; times of samples count from here.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Returns the wall-clock time at `since` after the start.
    pub fn at(&self, since: Duration) -> Timestamp {
        self.started + since
    }

    /// Returns every logged request, in the order in which they were sent.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Returns the number of requests that ended, including those beyond the log's limit.
    pub fn requests(&self) -> u64 {
        self.samples.len() as u64 + self.unlogged.total.requests
    }

    /// Returns the number of requests that failed, including those beyond the log's limit.
    pub fn failed(&self) -> u64 {
        self.failures().count() as u64 + self.unlogged.total.failed
    }

    /// Returns the number of requests that did not fit in the log; 0 in any run of ordinary length.
    pub fn unlogged(&self) -> u64 {
        self.unlogged.total.requests
    }

    /// Returns the logged requests that failed, earliest first; each prints as a line.
    pub fn failures(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.outcome.failed())
    }

    /// Returns the number of failed requests that no version answered: a router's 502, a refused or
    /// broken connection, a timeout. These indicate an outage, not an error of the application.
    pub fn lost(&self) -> u64 {
        self.failures().filter(|sample| !sample.bad_answer()).count() as u64 + self.unlogged.lost()
    }

    /// Returns counts of all logged requests.
    pub fn tally(&self) -> Tally {
        self.samples.iter().collect()
    }

    /// Returns counts of the logged requests that ended within `window`.
    pub fn during(&self, window: Range<Timestamp>) -> Tally {
        self.samples.iter().filter(|sample| window.contains(&self.at(sample.ended()))).collect()
    }

    /// Returns counts by the version that answered.
    pub fn by_version(&self) -> BTreeMap<Arc<str>, Count> {
        self.tally().by_version
    }

    /// Returns the share (0 to 1) of `version` in the answers of `window` that have a version, or
    /// `None` if there are none.
    pub fn share(&self, version: &str, window: Range<Timestamp>) -> Option<f64> {
        self.during(window).share(version)
    }

    /// Returns the time of the first answer of `version`.
    pub fn first(&self, version: &str) -> Option<Timestamp> {
        self.ends(version, |_| true).min()
    }

    /// Returns the time of the last answer of `version`.
    pub fn last(&self, version: &str) -> Option<Timestamp> {
        self.ends(version, |_| true).max()
    }

    /// Returns the time of the first failed answer of `version`.
    pub fn first_bad(&self, version: &str) -> Option<Timestamp> {
        self.ends(version, Sample::bad_answer).min()
    }

    /// Returns the time of the last failed answer of `version`.
    pub fn last_bad(&self, version: &str) -> Option<Timestamp> {
        self.ends(version, Sample::bad_answer).max()
    }

    fn ends(&self, version: &str, which: impl Fn(&Sample) -> bool) -> impl Iterator<Item = Timestamp> {
        self.samples
            .iter()
            .filter(move |sample| sample.version.as_deref() == Some(version) && which(sample))
            .map(|sample| self.at(sample.ended()))
    }

    /// Returns how late requests were sent. A large lag means that this machine was too busy, not
    /// that the server failed.
    pub fn lag(&self) -> Lag {
        let late =
            percentiles(self.samples.iter().map(|sample| sample.sent.saturating_sub(sample.scheduled)));
        Lag { p50: late(50), p99: late(99), max: late(100) }
    }

    /// Returns the `percent`th percentile (0 to 100) of the latency of answered requests, zero
    /// without answers.
    pub fn latency(&self, percent: usize) -> Duration {
        percentiles(
            self.samples.iter().filter(|sample| !sample.outcome.failed()).map(|sample| sample.latency),
        )(percent)
    }
}

/// Returns a function for nearest-rank percentiles.
fn percentiles(times: impl Iterator<Item = Duration>) -> impl Fn(usize) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    move |percent| {
        let rank = (times.len() * percent.min(100)).div_ceil(100);
        times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.samples.last().map(|sample| sample.sent).unwrap_or_default();
        writeln!(
            f,
            "{} failed of {} requests in {:.1} s ({} answered with an error, {} lost)",
            self.failed(),
            self.requests(),
            last.as_secs_f64(),
            self.failed() - self.lost(),
            self.lost()
        )?;
        for (version, count) in self.by_version() {
            writeln!(f, "  {version}: {} answers, {} of them bad", count.requests, count.failed)?;
        }
        let ms = |percent| self.latency(percent).as_secs_f64() * 1e3;
        writeln!(
            f,
            "  latency: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms; lag of the generator: {}",
            ms(50),
            ms(99),
            ms(100),
            self.lag()
        )?;
        if self.unlogged() > 0 {
            writeln!(f, "  {} more requests did not fit in the log", self.unlogged())?;
        }
        for failure in self.failures().take(SHOWN) {
            writeln!(f, "  {failure}")?;
        }
        let more = self.failures().count().saturating_sub(SHOWN);
        if more > 0 {
            writeln!(f, "  and {more} more failures")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Connection, Outcome};

    const MS: Duration = Duration::from_millis(1);

    fn sample(ended: u32, version: Option<&str>, status: u16) -> Sample {
        Sample {
            scheduled: MS * (ended - 10),
            sent: MS * (ended - 9),
            latency: MS * 9,
            outcome: Outcome::Status(status),
            connection: Connection::New,
            version: version.map(Arc::from),
            pod: None,
        }
    }

    fn record() -> Record {
        let samples = vec![
            sample(400, Some("v2"), 500),
            sample(100, Some("v1"), 200),
            sample(200, Some("v2"), 200),
            sample(300, Some("v2"), 500),
            sample(500, None, 502),
            sample(600, Some("v1"), 200),
        ];
        Record::new(Timestamp::UNIX_EPOCH, samples, Tally::default())
    }

    fn after(ms: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH + MS * ms
    }

    #[test]
    fn bad_answers_and_lost_requests_are_counted_separately() {
        let record = record();
        assert_eq!((record.requests(), record.failed(), record.lost()), (6, 3, 1));
        assert_eq!(record.by_version()["v2"], Count { requests: 3, failed: 2 });
    }

    #[test]
    fn first_and_last_follow_the_time_not_the_order_of_logging() {
        let record = record();
        assert_eq!((record.first("v2"), record.last("v2")), (Some(after(200)), Some(after(400))));
        assert_eq!((record.first_bad("v2"), record.last_bad("v2")), (Some(after(300)), Some(after(400))));
        assert_eq!((record.first_bad("v1"), record.first("v3")), (None, None));
    }

    #[test]
    fn a_share_counts_the_answers_in_its_window_that_have_a_version() {
        let record = record();
        assert_eq!(record.share("v2", after(0)..after(1000)), Some(0.6));
        assert_eq!(record.share("v2", after(150)..after(450)), Some(1.0));
        assert_eq!(record.share("v2", after(450)..after(550)), None, "only a proxy answered");
    }

    #[test]
    fn the_lag_of_the_generator_is_not_latency() {
        let record = record();
        assert_eq!(record.lag(), Lag { p50: MS, p99: MS, max: MS });
        assert_eq!(record.latency(50), MS * 9);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let at = percentiles((1..=200).map(|ms| MS * ms));
        assert_eq!((at(50), at(99), at(100)), (MS * 100, MS * 198, MS * 200));
        assert_eq!(percentiles(std::iter::empty())(99), Duration::ZERO);
    }
}
