//! Intents, set in the Rollout's spec.

use super::*;
use steelyard_core::api::{Intent, Promote, Retry, RolloutOutcome, RolloutSpec};

fn intent(revision: &str) -> Intent {
    Intent { revision: revision.to_owned(), by: Some("ann".into()) }
}

fn measured() -> World {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world
}

#[test]
fn a_paused_rollout_stays_at_its_weight_until_it_is_resumed() {
    let mut world = measured();
    world.until(|world| world.status().weight == percent(25));
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
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100]);
}

#[test]
fn a_paused_rollout_is_still_rolled_back() {
    let mut world = measured();
    world.until(|world| world.status().weight == percent(25));
    world.want(|spec, revision| spec.pause = Some(intent(revision)));
    world.measurement = Measurement::Bad;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
}

#[test]
fn an_intent_for_another_revision_has_no_effect() {
    let mut world = measured();
    world.want(|spec, _| spec.abort = Some(intent("0aother")));
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100]);
}

#[test]
fn the_hash_of_the_template_names_a_revision_before_the_canary_has_one() {
    let mut world = measured();
    let hash = steelyard_core::engine::hash(&world.snapshot.deployment.as_ref().unwrap().template);
    world.want(|spec, _| spec.pause = Some(intent(&hash)));
    // A change of replicas is no other template.
    world.scale(5);
    for _ in 0..200 {
        world.proceed();
    }
    assert_eq!(world.weights, [0u8; 0], "paused before its first weight");
}

#[test]
fn a_skip_of_a_rejected_revision_never_releases_the_template_that_was_pushed_after_it() {
    let mut world = measured();
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RolledBack);
    world.measurement = Measurement::Good;
    world.push("demo:v3");
    // Before the controller has seen v3, a person skips v2.
    world.want(|spec, revision| spec.skip = Some(intent(revision)));
    world.until_idle();
    assert_eq!(world.weights, [25, 0, 25, 50, 100], "v3 takes its steps");
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
}

#[test]
fn a_promotion_ends_the_step_that_it_names_and_no_other() {
    let mut world = measured();
    world.measurement = Measurement::NoData;
    world.until(|world| world.status().weight == percent(25));
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
    assert_eq!(world.weights, [25, 50], "step 1 ended, step 2 did not");
}

#[test]
fn a_full_promotion_ends_all_steps() {
    let mut world = measured();
    world.measurement = Measurement::NoData;
    world.until(|world| world.status().weight == percent(25));
    world.want(|spec, revision| {
        spec.promote = Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
    });
    world.until_idle();
    assert_eq!(world.weights, [25, 100]);
    assert_eq!(world.status().history.last().unwrap().outcome, RolloutOutcome::Complete);
}

#[test]
fn an_abort_overrides_a_promotion() {
    let mut world = measured();
    world.until(|world| world.status().weight == percent(25));
    world.want(|spec, revision| {
        spec.promote = Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
        spec.abort = Some(intent(revision));
    });
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    let past = world.status().history.last().unwrap();
    assert_eq!((past.outcome, past.reason.as_deref()), (RolloutOutcome::RolledBack, Some("Aborted")));
    assert!(world.status().failure.as_ref().unwrap().message.contains("ann"));
}

#[test]
fn a_retry_tries_the_rejected_replica_set_once_for_each_attempt() {
    let mut world = measured();
    world.measurement = Measurement::Bad;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    let sets = world.snapshot.replica_sets.len();
    world.failed.clear();
    let retry = |spec: &mut steelyard_core::api::RolloutSpec, revision: &str| {
        spec.retry = Some(Retry { revision: revision.into(), attempt: 2, by: None });
    };
    world.want(retry);
    world.until_idle();
    assert_eq!(world.weights, [25, 0, 25, 0], "tried again, failed again, not a third time");
    assert_eq!(world.snapshot.replica_sets.len(), sets);
    world.measurement = Measurement::Good;
    world.failed.clear();
    world.want(|spec, revision| spec.retry = Some(Retry { revision: revision.into(), attempt: 3, by: None }));
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_skip_returns_traffic_to_stable_and_rolls_out_natively() {
    let mut world = measured();
    world.until(|world| world.status().weight == percent(25));
    world.want(|spec, revision| spec.skip = Some(intent(revision)));
    world.until_idle();
    assert_eq!(world.weights, [25, 0]);
    let d = world.snapshot.deployment.as_ref().unwrap();
    assert!(!d.paused && d.meta.labels.is_empty());
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.snapshot.services.len(), 1);
}

#[test]
fn a_rejected_template_can_be_skipped() {
    let mut world = measured();
    world.measurement = Measurement::Bad;
    world.until_idle();
    world.want(|spec, revision| spec.skip = Some(intent(revision)));
    world.until_idle();
    assert!(!world.snapshot.deployment.as_ref().unwrap().paused);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.status().phase, Phase::Stable);
}

/// Sets an intent that names a template.
type SetIntent = fn(&mut RolloutSpec, &str);

/// Worlds in which v2 is in each phase, and once v2 was rejected.
fn phases() -> Vec<(&'static str, World)> {
    let reach = |reached: &dyn Fn(&World) -> bool| {
        let mut world = measured();
        world.until(reached);
        world
    };
    let phase = |phase: Phase| move |world: &World| world.status().phase == phase;
    let mut gated = World::stable();
    let gate = serde_json::from_value(json!({"gate": {"person": {"message": "ok?"}}})).unwrap();
    gated.policy().strategy.canary.as_mut().unwrap().steps.insert(1, gate);
    gated.until_idle();
    gated.push("demo:v2");
    gated.until(phase(Phase::Waiting));
    let mut back = measured();
    back.measurement = Measurement::Bad;
    let mut rejected = back.clone();
    back.until(phase(Phase::RollingBack));
    rejected.until(phase(Phase::RolledBack));
    vec![
        ("Preparing", reach(&phase(Phase::Preparing))),
        ("Stepping", reach(&|world| world.status().weight == percent(25))),
        ("Waiting", gated),
        ("Promoting", reach(&phase(Phase::Promoting))),
        ("RollingBack", back),
        ("RolledBack", rejected),
    ]
}

#[test]
fn an_intent_never_acts_on_a_template_that_was_pushed_after_the_one_it_names() {
    let intents: [(&str, SetIntent); 6] = [
        ("skip", |spec, revision| spec.skip = Some(intent(revision))),
        ("abort", |spec, revision| spec.abort = Some(intent(revision))),
        ("pause", |spec, revision| spec.pause = Some(intent(revision))),
        ("retry", |spec, revision| {
            spec.retry = Some(Retry { revision: revision.into(), attempt: 2, by: None });
        }),
        ("promote full", |spec, revision| {
            spec.promote =
                Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
        }),
        ("promote step", |spec, revision| {
            spec.promote = Some(Promote { revision: revision.into(), step: Some(1), ..Promote::default() });
        }),
    ];
    for (phase, world) in phases() {
        for (name, intent) in intents {
            for by_hash in [false, true] {
                let mut world = world.clone();
                world.measurement = Measurement::Good;
                let hash = hash(&world.snapshot.deployment.as_ref().unwrap().template);
                world.push("demo:v3");
                // Before the controller has seen v3, the intent for v2 arrives.
                world.want(|spec, revision| intent(spec, if by_hash { &hash } else { revision }));
                world.weights.clear();
                while world.status().stable.as_ref().is_none_or(|stable| stable.tag != "v3") {
                    if world.status().waiting.as_ref().is_some_and(|wait| wait.reason == "Gate") {
                        let step = u32::try_from(world.status().step.unwrap()).unwrap();
                        world.want(|spec, revision| {
                            let revision = revision.to_owned();
                            spec.promote = Some(Promote { revision, step: Some(step), ..Promote::default() });
                        });
                    }
                    assert!(world.proceed(), "{phase}, {name}: {:?}", world.status());
                }
                let steps: Vec<u8> = world.weights.iter().copied().filter(|weight| *weight > 0).collect();
                assert!(steps.ends_with(&[25, 50, 100]), "{phase}, {name}: v3 takes its steps: {steps:?}");
            }
        }
    }
}

#[test]
fn a_retry_that_was_requested_before_the_failure_does_not_try_the_revision_again() {
    let mut world = measured();
    world.until(|world| world.status().weight == percent(25));
    let retry = |attempt| {
        move |spec: &mut RolloutSpec, revision: &str| {
            spec.retry = Some(Retry { revision: revision.into(), attempt, by: None });
        }
    };
    world.want(retry(2));
    world.measurement = Measurement::Bad;
    world.until_idle();
    assert_eq!((world.status().phase, world.weights.last()), (Phase::RolledBack, Some(&0)));
    world.measurement = Measurement::Good;
    world.failed.clear();
    let next = world.status().attempt.unwrap() + 1;
    world.want(retry(next));
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "one more than status.attempt");
}
