//! Deadlines count from when the awaited condition was lost, not from an earlier event.

use steelyard_core::api::WithoutVerdict;

use super::*;

/// A rollout at 25 % whose step lasts a minute, with a deadline of ten seconds.
fn in_a_long_step() -> World {
    in_a_long_step_of(World::stable())
}

fn in_a_long_step_of(mut world: World) -> World {
    let step = json!({"weight": 25, "duration": "1m"});
    world.policy().strategy = serde_json::from_value(json!({"canary": {"steps": [step]}})).unwrap();
    world.policy().deadline = std::time::Duration::from_secs(10).into();
    world.until_idle();
    world.push("demo:v2");
    world
        .until(|world| world.status().trial.as_ref().is_some_and(|trial| trial.weight_accepted_at.is_some()));
    world
}

/// Lets time pass second by second, and reconciles after each second.
fn pass(world: &mut World, seconds: i64) {
    let end = world.snapshot.now + seconds.seconds();
    while world.snapshot.now < end {
        let before = world.snapshot.now;
        world.proceed();
        world.snapshot.now = world.snapshot.now.min(before + 1.seconds());
        if world.snapshot.now == before && world.decide().writes.is_empty() && world.decide().asks.is_empty()
        {
            world.snapshot.now += 1.second();
        }
    }
}

fn waits(world: &World) -> &str {
    world.status().waiting.as_ref().map(|wait| wait.reason.as_str()).unwrap_or_default()
}

fn failure(world: &World) -> Option<&str> {
    world.status().failure.as_ref().map(|failure| failure.reason.as_str())
}

/// Adds a host name to the route, as its user would.
fn add_hostname(world: &mut World) {
    let route = &mut world.snapshot.routes[0];
    route.spec["hostnames"] = json!([format!("h{}.test", route.meta.generation)]);
    route.meta.generation += 1;
}

#[test]
fn an_edit_of_the_route_during_a_long_step_starts_a_new_deadline_for_the_router() {
    let mut world = in_a_long_step();
    pass(&mut world, 30);
    world.stop(Actor::Router);
    add_hostname(&mut world);
    world.reconcile();
    assert_eq!((world.status().phase, waits(&world)), (Phase::Stepping, "Router"));
    let until = world.status().waiting.as_ref().unwrap().until;
    assert_eq!(until, Some(world.snapshot.now + 10.seconds()));
    pass(&mut world, 8);
    world.step(Actor::Router);
    pass(&mut world, 2);
    add_hostname(&mut world);
    pass(&mut world, 8);
    world.start(Actor::Router);
    world.until_idle();
    assert_eq!((failure(&world), world.status().stable.as_ref().unwrap().tag.as_str()), (None, "v2"));
}

#[test]
fn a_router_that_stays_silent_after_an_edit_fails_at_its_own_deadline() {
    let mut world = in_a_long_step();
    pass(&mut world, 30);
    world.stop(Actor::Router);
    add_hostname(&mut world);
    let edited = world.snapshot.now;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert_eq!((failure(&world), world.snapshot.now), (Some("RouterTimeout"), edited + 10.seconds()));
}

#[test]
fn a_router_that_is_silent_while_pods_are_awaited_has_been_silent_since_then() {
    let mut world = in_a_long_step();
    world.stop(Actor::Router);
    add_hostname(&mut world);
    let edited = world.snapshot.now;
    // One of two pods is not ready for a while, which is reported first.
    let canary = world.canary().hash.clone();
    let unready = |world: &mut World, why: Option<Trouble>| {
        let pod = world.snapshot.pods.iter_mut().find(|pod| pod.hash == canary).unwrap();
        pod.trouble = why;
        world.settle();
    };
    let error = Trouble { container: None, reason: "Error".to_owned(), message: String::new() };
    unready(&mut world, Some(error));
    pass(&mut world, 5);
    let lost = world.status().trial.as_ref().unwrap().lost.clone();
    assert_eq!((waits(&world), lost.router), ("Pods", Some(edited)));
    // The gateway accepts the route, and the next edit is another loss.
    world.step(Actor::Router);
    pass(&mut world, 1);
    assert_eq!(world.status().trial.as_ref().unwrap().lost.router, None);
}

#[test]
fn what_a_person_has_to_restore_stops_the_other_clocks() {
    let mut world = World::stable();
    let analysis = &mut world.policy().analysis;
    analysis.on_inconclusive = WithoutVerdict::RollBack;
    analysis.metrics[0].min_measurements = Some(1000);
    let mut world = in_a_long_step_of(world);
    pass(&mut world, 62);
    assert_eq!(waits(&world), "Metrics");
    let services = world.snapshot.services.clone();
    world.snapshot.services.retain(|service| service.meta.name != "web");
    world.snapshot.services[0].ready.clear();
    let canary_service = world.snapshot.services.remove(0);
    assert_eq!(canary_service.meta.name, "web-canary");
    // Without the Service, the simulator's invariants do not hold: decisions are enough.
    for _ in 0..30 {
        let decision = world.decide();
        let status = decision.writes.iter().find_map(status_in);
        if let Some(status) = status {
            assert_eq!(status.failure, None);
            world.snapshot.rollout.as_mut().unwrap().status = status.clone();
        }
        world.snapshot.now += 1.second();
    }
    assert_eq!(waits(&world), "Service");
    assert!(world.status().trial.as_ref().unwrap().lost.is_empty());
    world.snapshot.services = services;
    pass(&mut world, 5);
    assert_eq!((world.status().phase, failure(&world)), (Phase::Stepping, None));
}

#[test]
fn a_verdict_that_is_lost_after_a_pass_has_its_own_deadline() {
    let mut world = in_a_long_step();
    world.want(|spec, revision| {
        spec.pause = Some(steelyard_core::api::Intent { revision: revision.into(), by: None });
    });
    pass(&mut world, 90);
    assert_eq!(waits(&world), "Paused");
    world.measurement = Measurement::ServerError;
    world.until(|world| waits(world) == "MetricsUnavailable");
    let since = world.status().waiting.as_ref().unwrap().since;
    assert_eq!(since, Some(world.snapshot.now), "not since the end of the step's duration");
}

#[test]
fn the_time_in_which_a_source_does_not_answer_is_no_part_of_a_deadline() {
    let mut world = World::stable();
    let analysis = &mut world.policy().analysis;
    analysis.on_inconclusive = WithoutVerdict::RollBack;
    analysis.metrics[0].min_measurements = Some(55);
    let mut world = in_a_long_step_of(world);
    pass(&mut world, 50);
    world.measurement = Measurement::Unreachable;
    pass(&mut world, 60);
    assert_eq!(waits(&world), "MetricsUnavailable");
    world.measurement = Measurement::Good;
    pass(&mut world, 5);
    assert_eq!((world.status().phase, waits(&world)), (Phase::Stepping, "Metrics"));
    world.until_idle();
    assert_eq!((failure(&world), world.status().stable.as_ref().unwrap().tag.as_str()), (None, "v2"));
}

#[test]
fn a_second_transfer_gives_the_deployment_controller_its_whole_time_again() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    let stage = |world: &World| world.status().trial.as_ref().and_then(|trial| trial.handover);
    world.until(|world| stage(world) == Some(api::Handover::Transferring));
    world.stop(Actor::DeploymentController);
    world.until(|world| waits(world) == "DeploymentController");
    world.snapshot.now += 9.seconds();
    // Another client takes the ReplicaSet from the Deployment.
    world.canary().controller = Some("uid-web-rollout".to_owned());
    world.reconcile();
    world.reconcile();
    let until = world.status().waiting.as_ref().and_then(|wait| wait.until);
    assert_eq!((waits(&world), until), ("DeploymentController", Some(world.snapshot.now + 10.seconds())));
}
