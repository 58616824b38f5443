//! Intents, set in the Rollout's spec.

use super::*;
use steelyard_core::api::{End, Intent, Promote, Retry};

fn intent(revision: &str) -> Intent {
    Intent { revision: revision.to_owned(), by: Some("ann".into()) }
}

fn on_trial() -> World {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    world
}

#[test]
fn a_paused_rollout_stays_at_its_weight_until_it_is_resumed() {
    let mut world = on_trial();
    world.until(|world| world.status().weight == Some(25));
    world.want(|spec, revision| spec.pause = Some(intent(revision)));
    world.snapshot.now += 1.hour();
    for _ in 0..200 {
        world.proceed();
    }
    assert_eq!(world.weights, [25]);
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!(waiting.reason, "Paused");
    assert!(waiting.message.contains("ann"), "{}", waiting.message);
    world.want(|spec, _| spec.pause = None);
    world.rest();
    assert_eq!(world.weights, [25, 50, 100]);
}

#[test]
fn a_paused_rollout_is_still_rolled_back() {
    let mut world = on_trial();
    world.until(|world| world.status().weight == Some(25));
    world.want(|spec, revision| spec.pause = Some(intent(revision)));
    world.measurement = Measurement::Bad;
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
}

#[test]
fn an_intent_for_another_revision_does_nothing() {
    let mut world = on_trial();
    world.want(|spec, _| spec.abort = Some(intent("0aother")));
    world.rest();
    assert_eq!(world.weights, [25, 50, 100]);
}

#[test]
fn a_generation_names_a_revision_before_it_has_a_name() {
    let mut world = on_trial();
    let generation = world.snapshot.deployment.as_ref().unwrap().meta.generation.to_string();
    world.want(|spec, _| spec.pause = Some(intent(&generation)));
    for _ in 0..200 {
        world.proceed();
    }
    assert_eq!(world.weights, [0u8; 0], "paused before its first weight");
}

#[test]
fn a_promotion_goes_past_the_step_it_names_and_no_other() {
    let mut world = on_trial();
    world.measurement = Measurement::NoData;
    world.until(|world| world.status().weight == Some(25));
    let promote = |step| {
        move |spec: &mut steelyard_core::api::RolloutSpec, revision: &str| {
            spec.promote =
                Some(Promote { revision: revision.into(), step: Some(step), ..Promote::default() });
        }
    };
    world.want(promote(2));
    for _ in 0..50 {
        world.proceed();
    }
    assert_eq!(world.weights, [25]);
    world.want(promote(1));
    for _ in 0..100 {
        world.proceed();
    }
    assert_eq!(world.weights, [25, 50], "past step 1, but not past step 2");
}

#[test]
fn a_full_promotion_goes_past_all_steps() {
    let mut world = on_trial();
    world.measurement = Measurement::NoData;
    world.until(|world| world.status().weight == Some(25));
    world.want(|spec, revision| {
        spec.promote = Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
    });
    world.rest();
    assert_eq!(world.weights, [25, 100]);
    assert_eq!(world.status().history.last().unwrap().outcome, End::Complete);
}

#[test]
fn an_abort_beats_a_promotion() {
    let mut world = on_trial();
    world.until(|world| world.status().weight == Some(25));
    world.want(|spec, revision| {
        spec.promote = Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
        spec.abort = Some(intent(revision));
    });
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
    let past = world.status().history.last().unwrap();
    assert_eq!((past.outcome, past.reason.as_deref()), (End::RolledBack, Some("Aborted")));
    assert!(world.status().failure.as_ref().unwrap().message.contains("ann"));
}

#[test]
fn a_retry_tries_the_rejected_replica_set_once_more_and_each_attempt_once() {
    let mut world = on_trial();
    world.measurement = Measurement::Bad;
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
    let sets = world.snapshot.replica_sets.len();
    world.failed.clear();
    let retry = |spec: &mut steelyard_core::api::RolloutSpec, revision: &str| {
        spec.retry = Some(Retry { revision: revision.into(), attempt: 2, by: None });
    };
    world.want(retry);
    world.rest();
    assert_eq!(world.weights, [25, 0, 25, 0], "tried again, failed again, not a third time");
    assert_eq!(world.snapshot.replica_sets.len(), sets);
    world.measurement = Measurement::Good;
    world.failed.clear();
    world.want(|spec, revision| spec.retry = Some(Retry { revision: revision.into(), attempt: 3, by: None }));
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn skipping_returns_traffic_to_stable_and_lets_the_deployment_roll_natively() {
    let mut world = on_trial();
    world.until(|world| world.status().weight == Some(25));
    world.want(|spec, revision| spec.skip = Some(intent(revision)));
    world.rest();
    assert_eq!(world.weights, [25, 0]);
    let d = world.snapshot.deployment.as_ref().unwrap();
    assert!(!d.paused && d.meta.labels.is_empty());
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.snapshot.services.len(), 1);
}

#[test]
fn a_rejected_template_can_be_skipped() {
    let mut world = on_trial();
    world.measurement = Measurement::Bad;
    world.rest();
    world.want(|spec, revision| spec.skip = Some(intent(revision)));
    world.rest();
    assert!(!world.snapshot.deployment.as_ref().unwrap().paused);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.status().phase, Phase::Stable);
}
