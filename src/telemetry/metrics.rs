//! What is counted.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

type Labels = Vec<(&'static str, &'static str)>;

/// All metrics of the controller.
pub struct Metrics {
    registry: Registry,
    passes: Histogram,
    writes: Family<Labels, Counter>,
    conflicts: Counter,
    query: Histogram,
    queries: Family<Labels, Counter>,
    breach: Histogram,
    leader: Gauge,
    epoch: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let fine = || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let mut registry = Registry::with_prefix("steelyard");
        let (passes, query, breach) = (fine(), fine(), fine());
        let (writes, queries) = (Family::default(), Family::default());
        let (conflicts, leader, epoch) = (Counter::default(), Gauge::default(), Gauge::default());
        let r = &mut registry;
        r.register_with_unit(
            "reconcile_duration",
            "Time of one look at one Deployment",
            Unit::Seconds,
            passes.clone(),
        );
        r.register("writes", "Writes by kind, verb and result", Family::clone(&writes));
        r.register("conflicts", "Writes that found the world moved", Counter::clone(&conflicts));
        r.register_with_unit("query", "Time of one question to Prometheus", Unit::Seconds, query.clone());
        r.register("queries", "Questions to Prometheus by outcome", Family::clone(&queries));
        r.register_with_unit(
            "breach_to_write",
            "From the arrival of a failing answer to the write that took traffic back",
            Unit::Seconds,
            breach.clone(),
        );
        r.register("is_leader", "1 while this process leads", Gauge::clone(&leader));
        r.register("epoch", "The term of leadership", Gauge::clone(&epoch));
        r.register("build", "The program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        Self { registry, passes, writes, conflicts, query, queries, breach, leader, epoch }
    }
}

impl Metrics {
    /// One look at one Deployment took this long.
    pub fn passed(&self, took: Duration) {
        self.passes.observe(took.as_secs_f64());
    }

    /// One write.
    pub fn wrote(&self, kind: &'static str, verb: &'static str, result: &'static str) {
        self.writes.get_or_create(&vec![("kind", kind), ("verb", verb), ("result", result)]).inc();
    }

    /// A write found the world moved.
    pub fn conflict(&self) {
        self.conflicts.inc();
    }

    /// One question to Prometheus.
    pub fn asked(&self, outcome: &'static str, took: Duration) {
        self.query.observe(took.as_secs_f64());
        self.queries.get_or_create(&vec![("outcome", outcome)]).inc();
    }

    /// Traffic was taken back, this long after the answer came that told to.
    pub fn took_back(&self, after: Duration) {
        self.breach.observe(after.as_secs_f64());
    }

    /// This process leads, in this term.
    pub fn leads(&self, epoch: u64) {
        self.leader.set(1);
        self.epoch.set(epoch);
    }

    /// This process doesn't lead any more.
    pub fn stands(&self) {
        self.leader.set(0);
    }

    /// All of it in `OpenMetrics` text.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_the_names_that_dashboards_and_alerts_use() {
        let metrics = Metrics::default();
        metrics.wrote("httproutes", "patch", "ok");
        metrics.asked("value", Duration::from_millis(3));
        metrics.leads(41);
        metrics.took_back(Duration::from_millis(7));
        let text = metrics.render().expect("text");
        for line in [
            "steelyard_writes_total{kind=\"httproutes\",verb=\"patch\",result=\"ok\"} 1",
            "steelyard_queries_total{outcome=\"value\"} 1",
            "steelyard_query_seconds_count 1",
            "steelyard_conflicts_total 0",
            "steelyard_reconcile_duration_seconds_count 0",
            "steelyard_breach_to_write_seconds_bucket{le=\"0.01\"} 1",
            "steelyard_is_leader 1",
            "steelyard_epoch 41",
            "steelyard_build_info{version=",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
