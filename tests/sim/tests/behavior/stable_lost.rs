//! A stable that carries nothing: it has no ready pod, it is gone, or the Service no longer selects
//! it. It blocks no fix, and the first ready version serves.

use super::*;
use steelyard_core::api::{HASH, Intent, RolloutOutcome, condition_with};

fn complete(world: &World) -> bool {
    condition_with(&world.status().conditions, "Complete", "True").is_some()
}

fn waiting(world: &World) -> &str {
    world.status().waiting.as_ref().map(|wait| wait.reason.as_str()).unwrap_or_default()
}

/// v2 serves alone, with all its pods, and nothing is left of its rollout.
fn v2_serves(world: &World) {
    let active: Vec<_> = world.snapshot.replica_sets.iter().filter(|set| set.replicas > 0).collect();
    assert_eq!(active.iter().map(|set| set.available).collect::<Vec<_>>(), [4]);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!((world.status().phase, complete(world)), (Phase::Stable, true), "{:?}", world.status());
    assert!(!world.snapshot.services[0].selector.contains_key(HASH));
    assert_eq!(world.snapshot.services[0].ready.len(), 4);
}

/// A world whose first version never gets ready.
fn never_ready() -> World {
    let mut world = World::stable();
    world.broken.insert("demo:v1".into());
    world.settle();
    world.until_idle();
    world
}

#[test]
fn a_deployment_is_not_complete_before_a_pod_was_ready() {
    let mut world = never_ready();
    assert!(!complete(&world), "{:?}", world.status());
    assert_eq!(waiting(&world), "StableUnavailable");
    world.broken.clear();
    world.snapshot.pods.clear();
    world.settle();
    world.until_idle();
    assert!(complete(&world), "{:?}", world.status());
    world.broken.insert("demo:v1".into());
    world.settle();
    world.until_idle();
    assert!(complete(&world), "later, pods that are not ready do not change it");
}

#[test]
fn a_stable_that_was_never_ready_does_not_block_its_fix() {
    let mut world = never_ready();
    world.push("demo:v2");
    world.until(|world| world.snapshot.services[0].ready.len() == 4);
    assert!(world.weights.len() <= 1, "v2 serves as soon as it is ready: {:?}", world.weights);
    world.until_idle();
    v2_serves(&world);
}

#[test]
fn a_fix_of_a_fix_is_rolled_out_over_a_stable_that_was_never_ready() {
    let mut world = never_ready();
    world.broken.insert("demo:v2".into());
    world.push("demo:v2");
    for _ in 0..20 {
        world.proceed();
    }
    world.push("demo:v3");
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert!(complete(&world));
}

#[test]
fn a_canary_is_handed_over_if_stables_replica_set_is_deleted() {
    for weight in [25, 50, 100] {
        let mut world = World::stable();
        world.until_idle();
        world.push("demo:v2");
        world.until(|world| world.status().weight == percent(weight));
        world.snapshot.replica_sets.retain(|set| set.hash != "s1");
        world.settle();
        world.until_idle();
        v2_serves(&world);
    }
}

#[test]
fn an_abort_after_stables_replica_set_was_deleted_leaves_the_canary_serving() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    world.snapshot.replica_sets.retain(|set| set.hash != "s1");
    world.settle();
    world.want(|spec, revision| spec.abort = Some(Intent { revision: revision.into(), by: None }));
    world.until_idle();
    v2_serves(&world);
}

/// Pushes v2, which fails its metric at the first step while no pod of stable is ready.
fn fail_alone(world: &mut World) {
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    world.broken.insert("demo:v1".into());
    world.settle();
    world.measurement = Measurement::Bad;
    world.until_idle();
}

/// Pushes v3, which passes.
fn fix(world: &mut World) {
    world.measurement = Measurement::Good;
    // Nothing else serves, so that the failed revision may.
    world.failed.clear();
    world.push("demo:v3");
    world.until_idle();
}

#[test]
fn a_failed_canary_keeps_its_pods_while_stable_has_none() {
    let mut world = World::stable();
    fail_alone(&mut world);
    assert_eq!((world.status().phase, waiting(&world)), (Phase::RollingBack, "StableUnavailable"));
    assert!(!world.snapshot.services[0].ready.is_empty(), "the canary serves");
    fix(&mut world);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3", "a push ends the wait");
}

#[test]
fn a_version_that_served_only_because_no_other_could_is_measured_when_it_returns() {
    let mut world = World::stable();
    world.policy().rollback_window = Some(serde_json::from_value(json!({"revisions": 3})).unwrap());
    fail_alone(&mut world);
    fix(&mut world);
    let outcomes: Vec<_> = world.status().history.iter().map(|past| past.outcome).collect();
    assert_eq!(outcomes, [RolloutOutcome::ServesAlone, RolloutOutcome::Complete]);
    world.weights = Vec::new();
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100], "in steps");
}

#[test]
fn a_service_that_changes_with_the_template_selects_the_canary_as_soon_as_it_is_ready() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    let template = &mut world.snapshot.deployment.as_mut().unwrap().template;
    template["metadata"]["labels"]["track"] = json!("two");
    world.snapshot.services[0].selector.insert("track".into(), "two".into());
    world.settle();
    assert!(world.snapshot.services[0].ready.is_empty(), "as natively, nothing serves at first");
    world.until(|world| !world.snapshot.services[0].ready.is_empty());
    assert!(world.weights.is_empty(), "before any step: {:?}", world.weights);
    world.until_idle();
    v2_serves(&world);
}
