//! Native rollouts that are in progress when a template is pushed.

use super::*;
use steelyard_core::api::{Handover, Intent};

/// A world in which a native rollout from v1 to an image that can't be pulled is stuck.
fn stuck() -> World {
    let mut world = World::stable();
    world.broken.insert("demo:typo".into());
    world.until_idle();
    natively(&mut world, "demo:typo");
    world.settle();
    let sizes: Vec<_> = world.snapshot.replica_sets.iter().map(|set| (set.replicas, set.available)).collect();
    assert_eq!(sizes, [(4, 4), (1, 0)], "the native rollout is stuck");
    world.until_idle();
    world
}

/// Changes the image without admission.
fn natively(world: &mut World, image: &str) {
    let d = world.snapshot.deployment.as_mut().unwrap();
    d.template["spec"]["containers"][0]["image"] = json!(image);
    d.meta.generation += 1;
}

/// A world in which a native rollout from v1 to v2 is half done. The push of another template
/// pauses it.
fn half() -> World {
    let mut world = World::stable();
    world.until_idle();
    let mut half = world.snapshot.replica_sets[0].clone();
    half.meta.name = "web-n2".into();
    half.meta.annotations.insert("deployment.kubernetes.io/revision".into(), "2".into());
    half.meta.created = Some(world.snapshot.now);
    (half.hash, half.replicas) = ("n2".into(), 2);
    half.template["spec"]["containers"][0]["image"] = json!("demo:v2");
    world.snapshot.replica_sets[0].replicas = 3;
    world.snapshot.replica_sets.push(half);
    world.stop(Actor::DeploymentController);
    world.settle();
    world.start(Actor::DeploymentController);
    world
}

fn image(world: &World) -> String {
    let d = world.snapshot.deployment.as_ref().unwrap();
    d.template["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

fn waiting(world: &World) -> &str {
    world.status().waiting.as_ref().map_or("", |waiting| &waiting.reason)
}

#[test]
fn a_push_during_a_native_rollout_starts_once_one_version_has_all_pods() {
    let mut world = half();
    world.push("demo:v3");
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(world.status().history.len(), 1);
    assert_eq!(world.weights, [25, 50, 100], "v3 went out in steps");
}

#[test]
fn a_version_loses_only_the_pods_that_the_other_one_has_replaced() {
    let mut world = half();
    world.push("demo:v3");
    while world.status().trial.is_none() {
        let available: i32 = world.snapshot.replica_sets.iter().map(|set| set.available).sum();
        assert!(available >= 4, "{available} pods serve");
        assert_eq!(image(&world), "demo:v3", "the Deployment keeps what was pushed");
        assert!(world.proceed());
    }
}

#[test]
fn a_stuck_native_rollout_gives_way_to_a_push_at_once() {
    let mut world = stuck();
    assert_eq!(waiting(&world), "NativeRollout");
    let before = world.snapshot.now;
    world.push("demo:v2");
    world.until(|world| world.status().trial.is_some());
    assert_eq!(world.snapshot.now, before, "nothing to wait for");
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100], "v2 takes its steps");
    assert_eq!((image(&world).as_str(), world.status().phase), ("demo:v2", Phase::Stable));
}

#[test]
fn of_two_pushes_over_a_stuck_native_rollout_the_newest_one_wins() {
    let mut world = stuck();
    world.push("demo:v2");
    world.reconcile();
    world.push("demo:v1");
    world.until_idle();
    assert_eq!((image(&world).as_str(), world.status().phase), ("demo:v1", Phase::Stable));
    assert_eq!(world.weights, [0u8; 0], "v1 serves already");
    let active = world.snapshot.replica_sets.iter().filter(|set| set.replicas > 0);
    assert_eq!(active.map(|set| set.available).collect::<Vec<_>>(), [4]);
}

#[test]
fn the_template_of_a_stuck_native_rollout_pushed_again_rolls_out_natively_again() {
    let mut world = stuck();
    world.push("demo:v2");
    world.push("demo:typo");
    world.until_idle();
    assert_eq!(waiting(&world), "NativeRollout");
    assert!(!world.snapshot.deployment.as_ref().unwrap().paused);
}

#[test]
fn a_skip_is_heard_during_a_native_rollout() {
    let mut world = half();
    world.push("demo:v3");
    world.reconcile();
    let hash = world.status().template_hash.clone();
    world.want(|spec, _| spec.skip = Some(Intent { revision: hash, by: None }));
    world.until_idle();
    assert_eq!((image(&world).as_str(), world.status().phase), ("demo:v3", Phase::Stable));
    assert_eq!(world.weights, [0u8; 0], "rolled out natively");
}

#[test]
fn a_version_that_never_gets_the_pods_of_the_other_one_gets_them_at_the_deadline() {
    let mut world = half();
    world.push("demo:v3");
    for pod in ["web-s1-0", "web-n2-1"] {
        let pod = world.snapshot.pods.iter_mut().find(|found| found.name == pod).unwrap();
        pod.trouble = Some(Trouble {
            container: Some("app".into()),
            reason: "CrashLoopBackOff".into(),
            message: "exit 1".into(),
        });
    }
    world.settle();
    world.reconcile();
    assert_eq!(waiting(&world), "Settling");
    assert!(world.status().waiting.as_ref().unwrap().until.is_some());
    let since = world.snapshot.now;
    world.until(|world| world.status().trial.is_some());
    assert!(world.snapshot.now >= since + 10.minutes());
}

/// A world in which the Deployment controller replaces the canary, whose template admission
/// altered. It has scaled stable to 0, and its own pods are not ready yet.
fn replaced() -> World {
    let mut world = World::stable();
    world.until_idle();
    world.altering = true;
    world.push("demo:v2");
    world.until(|world| {
        let trial = world.status().trial.as_ref();
        trial.is_some_and(|trial| trial.handover == Some(Handover::NativeRollout))
    });
    world.stop(Actor::Kubelet);
    world.until(|world| world.snapshot.replica_sets.iter().any(|set| set.hash.starts_with("native")));
    let sets = &mut world.snapshot.replica_sets;
    sets.iter_mut().find(|set| set.hash == "s1").unwrap().replicas = 0;
    world.settle();
    world
}

#[test]
fn a_push_during_a_native_handover_starts_from_the_canary_while_only_that_serves() {
    let mut world = replaced();
    world.altering = false;
    world.push("demo:v3");
    world.until(|world| world.status().stable.as_ref().unwrap().tag == "v2");
    assert!(world.snapshot.pods.iter().any(|pod| pod.hash.starts_with('0')), "the canary serves");
    world.start(Actor::Kubelet);
    world.settle();
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(world.status().history.len(), 2);
}

#[test]
fn min_ready_seconds_changed_during_a_rollout_reach_the_canary() {
    for weight in [25, 100] {
        let mut world = World::stable();
        world.until_idle();
        world.push("demo:v2");
        world.until(|world| world.status().weight == percent(weight));
        let d = world.snapshot.deployment.as_mut().unwrap();
        d.min_ready_seconds = 7;
        d.meta.generation += 1;
        world.snapshot.replica_sets[0].min_ready_seconds = 7;
        world.until_idle();
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
        assert!(world.snapshot.replica_sets.iter().all(|set| set.min_ready_seconds == 7));
    }
}
