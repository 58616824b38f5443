//! A Deployment at zero replicas while a template is held: whoever scales it up again starts
//! stable.

use super::*;
use steelyard_core::api::Intent;

/// Returns the images of the pods.
fn running(world: &World) -> Vec<&str> {
    let sets = world.snapshot.replica_sets.iter().filter(|set| set.replicas > 0);
    sets.filter_map(|set| set.template["spec"]["containers"][0]["image"].as_str()).collect()
}

/// A world in which v2 serves, and the `ReplicaSet` of v1 has no pods.
fn second() -> World {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    world
}

#[test]
fn an_old_replica_set_of_the_pushed_template_does_not_start_when_the_deployment_wakes_from_zero() {
    let mut world = second();
    world.scale(0);
    world.until_idle();
    world.push("demo:v1");
    world.until_idle();
    world.scale(4);
    assert_eq!(running(&world), ["demo:v2"]);
    world.weights.clear();
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100], "v1 is measured");
    assert_eq!(running(&world), ["demo:v1"]);
}

/// A world in which v1 serves again after a native rollout, so that the `ReplicaSet` of v2 is
/// newer.
fn undone() -> World {
    let mut world = second();
    world.advance(SignedDuration::from_secs(60));
    world.push("demo:v1");
    let hash = hash(&world.snapshot.deployment.as_ref().unwrap().template);
    world.want(|spec, _| spec.skip = Some(Intent { revision: hash, by: None }));
    world.until_idle();
    assert_eq!(world.snapshot.replica_sets.len(), 2);
    assert_eq!(running(&world), ["demo:v1"]);
    world
}

#[test]
fn a_newer_replica_set_without_pods_does_not_start_instead_of_stable() {
    let mut world = undone();
    world.scale(0);
    world.until_idle();
    world.push("demo:v3");
    world.until_idle();
    world.scale(4);
    assert_eq!(running(&world), ["demo:v1"]);
    world.until_idle();
    assert_eq!(running(&world), ["demo:v3"]);
}

#[test]
fn a_deployment_with_a_rejected_template_wakes_from_zero_with_stable() {
    let mut world = undone();
    world.measurement = Measurement::Bad;
    world.push("demo:v3");
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    world.scale(0);
    world.until_idle();
    world.scale(4);
    world.until_idle();
    assert_eq!((running(&world), world.status().phase), (vec!["demo:v1"], Phase::RolledBack));
}
