//! Behavioral tests: whole rollouts in the simulated world, in virtual time.

// Clippy takes only functions with #[test] for tests, not their helpers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "every function here is a part of a test")]

mod chance;
mod claims;
mod gates;
mod handover;
mod input;
mod intents;
mod queue;
mod simulator;
mod switch;
mod turns;
mod unclear;
mod whole;

use jiff::{SignedDuration, ToSpan as _};
use serde_json::json;
use sim::{
    Actor, Measurement, Share, World,
    writes::{status_in, touches},
};
use steelyard_core::{
    api::{self, Phase},
    engine::*,
};

/// Proceeds to the reconcile that begins the rollback and lets it die after its first write;
/// another leader takes over. Returns that write.
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
