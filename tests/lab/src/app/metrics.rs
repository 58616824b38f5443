//! The metrics that the demo app exports to Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

/// The app's counters. They count application requests, not `/healthz` and `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Code, Counter>,
    seconds: Histogram,
}

impl Metrics {
    /// Creates the counters, with both codes at 0: a rate over an absent series is no data, not 0.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Code, Counter>::default();
        for code in ["200", "500"] {
            drop(requests.get_or_create(&Code { code }));
        }
        let seconds = Histogram::new(BUCKETS);
        registry.register("http_requests", "Requests answered, by status code", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from a request to its answer",
            seconds.clone(),
        );
        Self { registry, requests, seconds }
    }

    /// Counts an answer with `code` ("200" or "500") that took `time`.
    pub(crate) fn count(&self, code: &'static str, time: Duration) {
        self.requests.get_or_create(&Code { code }).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    /// Returns the metrics in `OpenMetrics` text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_codes_are_exported_from_the_start() {
        let text = Metrics::new().text();
        assert!(text.contains("http_requests_total{code=\"200\"} 0\n"), "{text}");
        assert!(text.contains("http_requests_total{code=\"500\"} 0\n"), "{text}");
        assert!(text.contains("http_request_duration_seconds_bucket{le=\"0.005\"} 0\n"), "{text}");
    }

    #[test]
    fn an_answer_increments_its_code_and_its_bucket() {
        let metrics = Metrics::new();
        metrics.count("500", Duration::from_millis(30));
        let text = metrics.text();
        assert!(text.contains("http_requests_total{code=\"500\"} 1\n"), "{text}");
        assert!(text.contains("http_request_duration_seconds_bucket{le=\"0.025\"} 0\n"), "{text}");
        assert!(text.contains("http_request_duration_seconds_bucket{le=\"0.05\"} 1\n"), "{text}");
    }
}
