//! Behavioral tests: whole rollouts in the simulated world, in virtual time.

// Clippy treats only functions with #[test] as tests, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "every function here is a part of a test")]

mod chance;
mod claims;
mod deadlines;
mod gates;
mod handover;
mod input;
mod intents;
mod metrics;
mod native;
mod pods;
mod queue;
mod refusals;
mod rejections;
mod routes;
mod services;
mod simulator;
mod stable_lost;
mod switch;
mod table;
mod turns;
mod unclear;
mod way_down;
mod whole;
mod zero_replicas;

use jiff::{SignedDuration, ToSpan as _};
use serde_json::json;
use sim::{
    Actor, Measurement, Share, World,
    writes::{status_in, touches},
};
use steelyard_core::{
    api::{self, Phase},
    engine::*,
    traffic::Weight,
};

/// Proceeds to the reconcile that begins the rollback and lets the leader die after its first
/// write; another leader takes over. Returns that write.
fn die_on_rollback(world: &mut World) -> Write {
    for _ in 0..200 {
        let writes = world.decide().writes;
        if writes.iter().filter_map(status_in).any(|status| status.phase == Phase::RollingBack) {
            world.die_after(1);
            return writes[0].clone();
        }
        world.proceed();
    }
    panic!("no rollback: {:?}", world.status());
}

/// Checks that the failure of the metric is recorded as it was measured.
fn has_its_evidence(world: &World) {
    let failure = world.status().failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.value), ("MetricFailed", Some(0.2)));
    assert_eq!(failure.metric.as_deref(), Some("success"));
    assert!(failure.query.as_ref().is_some_and(|query| query.contains("rate(ok")), "{failure:?}");
}

/// A weight as in a status.
#[allow(clippy::unnecessary_wraps, reason = "status may be without a weight")]
fn percent(percent: u8) -> Option<Weight> {
    Some(Weight::percent(percent))
}
