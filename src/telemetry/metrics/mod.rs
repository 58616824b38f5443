//! What is counted.

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
    cluster::{Key, locked},
};

type Labels = Vec<(&'static str, &'static str)>;
type Names = Vec<(&'static str, String)>;

/// Events whose counters stand at 0 from the start: the first of a kind would else be no increase.
const ENDS: [&str; 3] = ["Complete", "RolledBack", "Withdrawing"];

/// All metrics of the controller.
pub struct Metrics {
    registry: Registry,
    passes: Histogram,
    writes: Family<Labels, Counter>,
    conflicts: Counter,
    query: Histogram,
    queries: Family<Labels, Counter>,
    webhook: Histogram,
    calls: Family<Labels, Counter>,
    breach: Histogram,
    leader: Gauge,
    epoch: Gauge<u64, AtomicU64>,
    events: Family<Labels, Counter>,
    failed: Family<Labels, Counter>,
    phases: Family<Names, Gauge>,
    waiting: Family<Names, Gauge>,
    weights: Family<Names, Gauge>,
    known: Mutex<HashMap<Key, Known>>,
}

/// What was last seen of one Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    phase: String,
    waits: Option<String>,
    weight: Option<u8>,
}

impl Default for Metrics {
    fn default() -> Self {
        let fine = || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let mut registry = Registry::with_prefix("steelyard");
        let (passes, query, webhook, breach) = (fine(), fine(), fine(), fine());
        let (writes, queries, calls) = (Family::default(), Family::default(), Family::default());
        let (conflicts, leader, epoch) = (Counter::default(), Gauge::default(), Gauge::default());
        let r = &mut registry;
        r.register_with_unit(
            "reconcile_duration",
            "Time of one look at one Deployment",
            Unit::Seconds,
            passes.clone(),
        );
        r.register(
            "writes",
            "Writes by kind, verb and result: ok, stale (the world moved), forbidden, refused, server, unreachable",
            Family::clone(&writes),
        );
        r.register("conflicts", "Writes that found the world moved", Counter::clone(&conflicts));
        r.register_with_unit("query", "Time of one question to Prometheus", Unit::Seconds, query.clone());
        r.register(
            "queries",
            "Questions to Prometheus by outcome: value, no_data, non_finite, too_few, error",
            Family::clone(&queries),
        );
        r.register_with_unit(
            "webhook",
            "Time of one call of a gate's webhook",
            Unit::Seconds,
            webhook.clone(),
        );
        r.register(
            "webhook_calls",
            "Calls of gates' webhooks by outcome: yes, no, unasked (none is configured, or its key is gone)",
            Family::clone(&calls),
        );
        r.register_with_unit(
            "breach_to_write",
            "From the arrival of a failing answer to the write that took traffic back",
            Unit::Seconds,
            breach.clone(),
        );
        r.register("is_leader", "1 while this process leads", Gauge::clone(&leader));
        r.register("epoch", "The term of leadership", Gauge::clone(&epoch));
        let (events, failed): (Family<Labels, Counter>, Family<Labels, Counter>) = Default::default();
        for reason in ENDS {
            drop(events.get_or_create(&vec![("reason", reason)]));
        }
        let (phases, waiting, weights): (Family<Names, Gauge>, Family<Names, Gauge>, Family<Names, Gauge>) =
            Default::default();
        r.register("events", "Events told, by reason", events.clone());
        r.register(
            "failed_looks",
            "Looks at a Deployment that failed, by cause: observe, apply, later (another process leads), unsettled, panic",
            failed.clone(),
        );
        r.register("rollouts", "Rollouts by phase", phases.clone());
        r.register("rollouts_waiting", "Rollouts that wait, by what for", waiting.clone());
        r.register("rollout_weight_percent", "The canary's weight of a rollout in flight", weights.clone());
        r.register("build", "The program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let known = Mutex::default();
        Self {
            registry,
            passes,
            writes,
            conflicts,
            query,
            queries,
            webhook,
            calls,
            breach,
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
    /// One look at one Deployment took this long.
    pub fn passed(&self, took: Duration) {
        self.passes.observe(took.as_secs_f64());
    }

    /// A look failed.
    pub fn failed(&self, cause: &'static str) {
        self.failed.get_or_create(&vec![("cause", cause)]).inc();
    }

    /// An Event of this reason is told.
    pub fn told(&self, reason: &'static str) {
        self.events.get_or_create(&vec![("reason", reason)]).inc();
    }

    /// What a Rollout is now; nothing if there is none any more.
    pub fn saw(&self, key: &Key, status: Option<&RolloutStatus>) {
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
            Some(weight) => drop(self.weights.get_or_create(&names).set(weight.into())),
            None => drop(self.weights.remove(&names)),
        }
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

    /// One call of a gate's webhook.
    pub fn called(&self, outcome: &'static str, took: Duration) {
        self.webhook.observe(took.as_secs_f64());
        self.calls.get_or_create(&vec![("outcome", outcome)]).inc();
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
mod tests;
