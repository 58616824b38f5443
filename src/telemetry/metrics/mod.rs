//! The Prometheus metrics of the controller.

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use crate::{
    api::RolloutStatus,
    cluster::{ObjectKey, locked},
    traffic::Weight,
};

type Labels = Vec<(&'static str, &'static str)>;
type Names = Vec<(&'static str, String)>;

/// Events whose counters start at 0: otherwise `increase()` would miss the first one.
const ENDS: [&str; 3] = ["Complete", "RolledBack", "Withdrawing"];

/// All metrics of the controller.
pub struct Metrics {
    registry: Registry,
    reconciles: Histogram,
    writes: Family<Labels, Counter>,
    conflicts: Counter,
    query: Histogram,
    queries: Family<Labels, Counter>,
    webhook: Histogram,
    calls: Family<Labels, Counter>,
    rollback: Histogram,
    leader: Gauge,
    epoch: Gauge<u64, AtomicU64>,
    events: Family<Labels, Counter>,
    failed: Family<Labels, Counter>,
    phases: Family<Names, Gauge>,
    waiting: Family<Names, Gauge>,
    weights: Family<Names, Gauge<f64, AtomicU64>>,
    known: Mutex<HashMap<ObjectKey, Known>>,
}

/// The last known state of one Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    phase: String,
    waits: Option<String>,
    weight: Option<Weight>,
}

impl Default for Metrics {
    fn default() -> Self {
        let fine = || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let mut registry = Registry::with_prefix("steelyard");
        let (reconciles, query, webhook, rollback) = (fine(), fine(), fine(), fine());
        let (writes, queries, calls) = (Family::default(), Family::default(), Family::default());
        let (conflicts, leader, epoch) = (Counter::default(), Gauge::default(), Gauge::default());
        let r = &mut registry;
        r.register_with_unit(
            "reconcile_duration",
            "Duration of one reconcile of one Deployment",
            Unit::Seconds,
            reconciles.clone(),
        );
        r.register(
            "writes",
            "Writes by kind, verb and result: ok, stale (409 conflict), forbidden, refused, server, unreachable",
            Family::clone(&writes),
        );
        r.register(
            "conflicts",
            "Writes that failed with a 409 conflict because the object changed meanwhile",
            Counter::clone(&conflicts),
        );
        r.register_with_unit(
            "prometheus_query_duration",
            "Duration of one query to Prometheus",
            Unit::Seconds,
            query.clone(),
        );
        r.register(
            "prometheus_queries",
            "Queries to Prometheus by outcome: value, no_data, non_finite, too_few, error",
            Family::clone(&queries),
        );
        r.register_with_unit(
            "webhook_call_duration",
            "Duration of one call of a gate's webhook",
            Unit::Seconds,
            webhook.clone(),
        );
        r.register(
            "webhook_calls",
            "Calls of gates' webhooks by outcome: approved, refused, not_called (the webhook is not configured, or its key can't be read)",
            Family::clone(&calls),
        );
        r.register_with_unit(
            "rollback_latency",
            "Time from the arrival of a failing result to the write that returns the traffic to stable",
            Unit::Seconds,
            rollback.clone(),
        );
        r.register("is_leader", "1 while this process is the leader", Gauge::clone(&leader));
        r.register("leader_epoch", "The leadership epoch", Gauge::clone(&epoch));
        let (events, failed): (Family<Labels, Counter>, Family<Labels, Counter>) = Default::default();
        for reason in ENDS {
            drop(events.get_or_create(&vec![("reason", reason)]));
        }
        let (phases, waiting): (Family<Names, Gauge>, Family<Names, Gauge>) = Default::default();
        let weights = Family::<Names, Gauge<f64, AtomicU64>>::default();
        r.register("events", "Events by reason", events.clone());
        r.register(
            "reconcile_errors",
            "Failed reconciles by cause: observe, apply, newer_epoch (a newer leader exists), refused (by the API server), unsettled, panic",
            failed.clone(),
        );
        r.register("rollouts", "Rollouts by phase", phases.clone());
        r.register("rollouts_waiting", "Waiting rollouts by reason", waiting.clone());
        r.register(
            "rollout_weight_ratio",
            "The canary's desired weight in a rollout in progress, 0 to 1",
            weights.clone(),
        );
        r.register(
            "build",
            "The version of the program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        let known = Mutex::default();
        Self {
            registry,
            reconciles,
            writes,
            conflicts,
            query,
            queries,
            webhook,
            calls,
            rollback,
            leader,
            epoch,
            events,
            failed,
            phases,
            waiting,
            weights,
            known,
        }
    }
}

impl Metrics {
    /// Records the duration of one reconcile.
    pub fn reconcile_finished(&self, took: Duration) {
        self.reconciles.observe(took.as_secs_f64());
    }

    /// Counts a failed reconcile.
    pub fn reconcile_failed(&self, cause: &'static str) {
        self.failed.get_or_create(&vec![("cause", cause)]).inc();
    }

    /// Counts an Event.
    pub fn event_published(&self, reason: &'static str) {
        self.events.get_or_create(&vec![("reason", reason)]).inc();
    }

    /// Records the state of a Rollout; `None` if it was deleted.
    pub fn rollout_seen(&self, key: &ObjectKey, status: Option<&RolloutStatus>) {
        let now = status.map(|status| Known {
            phase: status.phase.to_string(),
            waits: status.waiting.as_ref().map(|waiting| waiting.reason.clone()),
            weight: status.trial.as_ref().and(status.weight),
        });
        let mut known = locked(&self.known);
        let before = match &now {
            Some(now) => known.insert(key.clone(), now.clone()),
            None => known.remove(key),
        };
        if before == now {
            return;
        }
        for (seen, step) in before.iter().map(|b| (b, -1)).chain(now.iter().map(|n| (n, 1))) {
            self.phases.get_or_create(&vec![("phase", seen.phase.clone())]).inc_by(step);
            if let Some(reason) = &seen.waits {
                self.waiting.get_or_create(&vec![("reason", reason.clone())]).inc_by(step);
            }
        }
        let names = vec![("namespace", key.namespace.clone()), ("name", key.name.clone())];
        match now.and_then(|now| now.weight) {
            Some(weight) => drop(self.weights.get_or_create(&names).set(weight.ratio())),
            None => drop(self.weights.remove(&names)),
        }
    }

    /// Counts a write.
    pub fn wrote(&self, kind: &'static str, verb: &'static str, result: &'static str) {
        self.writes.get_or_create(&vec![("kind", kind), ("verb", verb), ("result", result)]).inc();
    }

    /// Counts a 409 conflict.
    pub fn conflict(&self) {
        self.conflicts.inc();
    }

    /// Records a query to Prometheus.
    pub fn query_finished(&self, outcome: &'static str, took: Duration) {
        self.query.observe(took.as_secs_f64());
        self.queries.get_or_create(&vec![("outcome", outcome)]).inc();
    }

    /// Records a call of a gate's webhook.
    pub fn webhook_finished(&self, outcome: &'static str, took: Duration) {
        self.webhook.observe(took.as_secs_f64());
        self.calls.get_or_create(&vec![("outcome", outcome)]).inc();
    }

    /// Records a rollback, and the time since the failing result arrived.
    pub fn traffic_returned(&self, after: Duration) {
        self.rollback.observe(after.as_secs_f64());
    }

    /// Records that this process leads, with this epoch.
    pub fn leads(&self, epoch: u64) {
        self.leader.set(1);
        self.epoch.set(epoch);
    }

    /// Records that this process no longer leads.
    pub fn stands(&self) {
        self.leader.set(0);
    }

    /// Returns all metrics as `OpenMetrics` text.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
