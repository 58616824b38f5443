//! What has lost its traffic stays until the router has accepted that.

use super::*;

/// A rollout that fails at 25 % while the router reports nothing more.
fn failing_with_a_silent_router() -> World {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world
        .until(|world| world.status().trial.as_ref().is_some_and(|trial| trial.weight_accepted_at.is_some()));
    world.stop(Actor::Router);
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert_eq!(world.weight(), 0);
    world
}

fn canary_pods(world: &World) -> usize {
    world.snapshot.pods.iter().filter(|pod| pod.hash.starts_with('0')).count()
}

fn has_canary_service(world: &World) -> bool {
    world.snapshot.services.iter().any(|service| service.meta.name == "web-canary")
}

/// Reconciles each second.
fn pass(world: &mut World, seconds: i64) {
    for _ in 0..seconds {
        world.reconcile();
        world.reconcile();
        world.snapshot.now += 1.second();
    }
    world.reconcile();
}

#[test]
fn the_canary_keeps_its_pods_until_the_router_has_accepted_weight_0_and_then_for_the_drain() {
    let mut world = failing_with_a_silent_router();
    pass(&mut world, 20);
    assert_eq!(canary_pods(&world), 1, "the router may still send requests to it");
    assert!(
        world
            .failed
            .iter()
            .next()
            .is_some_and(|hash| { world.snapshot.routes[0].meta.annotations[api::FAILED] == *hash })
    );
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!(waiting.reason, "Router");
    assert_eq!(waiting.until, waiting.since.map(|since| since + 30.seconds()));
    world.step(Actor::Router);
    world.reconcile();
    assert_eq!(
        (world.status().waiting.as_ref().unwrap().reason.as_str(), canary_pods(&world)),
        ("Draining", 1)
    );
    pass(&mut world, 2);
    assert_eq!(canary_pods(&world), 0);
}

#[test]
fn a_router_that_stays_silent_delays_the_end_of_a_rollback_by_a_cap_only() {
    let mut world = failing_with_a_silent_router();
    let failed = world.snapshot.now;
    world.until(|world| canary_pods(world) == 0);
    let spent = world.snapshot.now.duration_since(failed);
    assert_eq!(spent, SignedDuration::from_secs(32), "30 s, and 2 s for the drain");
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert!(!has_canary_service(&world));
    assert!(world.snapshot.now.duration_since(failed) <= SignedDuration::from_secs(64));
}

#[test]
fn the_canary_service_stays_until_the_router_has_accepted_the_restored_route() {
    for measurement in [Measurement::Good, Measurement::Bad] {
        let mut world = World::stable();
        world.until_idle();
        world.push("demo:v2");
        world.until(|world| world.status().weight == percent(25));
        world.measurement = measurement;
        // The next change of the route after this one restores it.
        let restored = |world: &World| !world.snapshot.routes[0].spec.to_string().contains("web-canary");
        world.until(|world| {
            let handover = world.status().trial.as_ref().and_then(|trial| trial.handover);
            handover == Some(api::Handover::Releasing) || world.status().phase == Phase::RollingBack
        });
        world.until(|world| world.weight() == 0 || canary_pods(world) == 4);
        if measurement == Measurement::Bad {
            world.until(|world| canary_pods(world) == 0);
        }
        world.stop(Actor::Router);
        world.until(restored);
        pass(&mut world, 20);
        assert!(has_canary_service(&world), "{measurement:?}: the router may still use it");
        assert_eq!(world.status().waiting.as_ref().map(|wait| wait.reason.as_str()), Some("Router"));
        world.start(Actor::Router);
        world.until_idle();
        assert!(!has_canary_service(&world));
        assert_eq!(world.status().trial, None);
    }
}

#[test]
fn a_route_that_no_gateway_serves_delays_no_rollback() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world
        .until(|world| world.status().trial.as_ref().is_some_and(|trial| trial.weight_accepted_at.is_some()));
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    world.stop(Actor::Router);
    world.snapshot.routes[0].status = json!(null);
    let failed = world.snapshot.now;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert!(world.snapshot.now.duration_since(failed) < SignedDuration::from_secs(10));
}
