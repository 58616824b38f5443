//! After the canary has become the Deployment's, and what replaces a handover.

use super::*;
use sim::Rejection;
use steelyard_core::api::{Handover, RolloutOutcome};

/// A rollout right after the transfer, before the Deployment controller has run.
fn transferred() -> World {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| {
        world.status().trial.as_ref().is_some_and(|trial| trial.handover == Some(Handover::Transferring))
    });
    world.stop(Actor::DeploymentController);
    assert!(world.proceed());
    assert_eq!(world.canary().controller.as_deref(), Some("uid-web"));
    world
}

#[test]
fn a_canary_that_the_deployment_does_not_adopt_is_taken_back_and_handed_over_again() {
    let mut world = transferred();
    let until = world.snapshot.now + 10.seconds();
    world.until(|world| {
        world
            .snapshot
            .replica_sets
            .iter()
            .all(|set| set.hash == "s1" || set.controller.as_deref() == Some("uid-web-rollout"))
    });
    assert!(world.snapshot.now >= until, "not before ten seconds are over");
    assert!(!world.canary().meta.labels.contains_key("app"), "not matched by the Deployment's selector");
    assert_eq!(world.weight(), 100);
    world.start(Actor::DeploymentController);
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.started, 4);
}

#[test]
fn a_canary_that_fails_before_the_deployment_adopts_it_is_rolled_back() {
    let mut world = transferred();
    world.until(|world| {
        world
            .snapshot
            .replica_sets
            .iter()
            .all(|set| set.hash == "s1" || set.controller.as_deref() == Some("uid-web-rollout"))
    });
    world.measurement = Measurement::Bad;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert_eq!(world.weight(), 0);
}

#[test]
fn an_emptied_canary_gives_its_traffic_to_stable_and_starts_over() {
    let mut world = transferred();
    world.canary().replicas = 3;
    world.snapshot.deployment.as_mut().unwrap().meta.generation += 1;
    world.proceed();
    assert_eq!(world.weight(), 0, "traffic first");
    let hash = world.snapshot.services[0].selector.get(steelyard_core::api::HASH).cloned();
    assert_eq!(hash.as_deref(), Some("s1"));
    world.until(|world| {
        world.status().trial.as_ref().is_some_and(|trial| trial.handover == Some(Handover::ScalingUp))
    });
    world.start(Actor::DeploymentController);
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_stamped_canary_continues_although_some_stable_pods_are_kept() {
    let mut world = transferred();
    world.canary().meta.annotations.insert("deployment.kubernetes.io/revision".into(), "2".into());
    world.until(|world| !world.snapshot.deployment.as_ref().unwrap().paused);
    world.start(Actor::DeploymentController);
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_template_that_admission_alters_is_measured_and_then_rolled_out_natively() {
    let mut world = World::stable();
    world.until_idle();
    let before = world.snapshot.routes[0].spec.clone();
    world.altering = true;
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100], "{:?} {:?}", world.status().phase, world.status().failure);
    let stable = world.status().stable.clone().unwrap();
    assert_eq!((stable.tag.as_str(), stable.revision.as_str()), ("v2", "native"));
    assert_eq!(world.status().history.last().unwrap().outcome, RolloutOutcome::Complete);
    assert_eq!(world.snapshot.routes[0].spec, before);
    assert!(!world.snapshot.deployment.as_ref().unwrap().paused);
    assert!(
        world.snapshot.replica_sets.iter().all(|set| set.controller.as_deref() == Some("uid-web")),
        "no canary is left"
    );
}

#[test]
fn an_altered_template_that_fails_is_rolled_back_like_any_other() {
    let mut world = World::stable();
    world.until_idle();
    world.altering = true;
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::RolledBack);
    assert!(world.snapshot.deployment.as_ref().unwrap().paused);
}

#[test]
fn a_deployment_that_grows_during_the_handover_is_not_mistaken_for_an_emptied_canary() {
    let mut world = transferred();
    let d = world.snapshot.deployment.as_mut().unwrap();
    d.replicas = 6;
    d.meta.generation += 1;
    world.snapshot.replica_sets[0].replicas = 6;
    for _ in 0..5 {
        world.proceed();
    }
    assert_eq!(world.weight(), 100, "the Deployment controller finishes by itself");
    world.start(Actor::DeploymentController);
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_push_right_before_the_transfer_stops_it() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| {
        world.status().trial.as_ref().is_some_and(|trial| trial.handover == Some(Handover::Transferring))
    });
    world.die_after(0);
    world.push("demo:v1");
    assert_eq!(world.late(), Some(Err(Rejection::Conflict)));
    assert_eq!(world.canary().controller.as_deref(), Some("uid-web-rollout"));
    world.until_idle();
    assert_eq!(world.status().history.last().unwrap().outcome, RolloutOutcome::Withdrawn);
    assert_eq!(world.weight(), 0);
}

#[test]
fn stables_template_pushed_during_the_handover_is_served_by_the_pods_that_run_it() {
    let mut world = transferred();
    world.push("demo:v1");
    world.proceed();
    assert_eq!(world.weight(), 0);
    assert_eq!(world.snapshot.services[0].selector[steelyard_core::api::HASH], "s1");
    assert_eq!(
        world.canary().controller.as_deref(),
        Some("uid-web-rollout"),
        "otherwise it would end under traffic"
    );
    world.start(Actor::DeploymentController);
    for _ in 0..200 {
        let more = world.proceed();
        assert_eq!(world.snapshot.replica_sets[0].replicas, 4, "{:?}", world.status());
        if !more {
            break;
        }
    }
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v1");
    assert_eq!(world.status().history.last().unwrap().outcome, RolloutOutcome::Withdrawn);
    assert!(!world.snapshot.deployment.as_ref().unwrap().paused);
    assert_eq!(world.snapshot.replica_sets.len(), 1);
}
