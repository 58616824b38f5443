//! What gateways report against a route: before a rollout, and during one.

use super::*;

/// Lets the parents of the route report these conditions about its current generation: pairs of
/// `Accepted` and `ResolvedRefs`.
fn report(world: &mut World, parents: &[(&str, &str)]) {
    let route = &mut world.snapshot.routes[0];
    let seen = route.meta.generation;
    let is = |kind: &str, status: &str| {
        let reason = format!("{kind}Is{status}");
        json!({"type": kind, "status": status, "reason": reason, "message": "M", "observedGeneration": seen})
    };
    let parent = |(listener, (accepted, resolved)): (usize, &(&str, &str))| {
        json!({
            "parentRef": {"name": "gw", "port": 80 + listener},
            "conditions": [is("Accepted", accepted), is("ResolvedRefs", resolved)],
        })
    };
    route.status = json!({"parents": parents.iter().enumerate().map(parent).collect::<Vec<_>>()});
}

/// A rollout whose gateway reports these conditions, before it and then after the weight is
/// written.
fn reported(before: &[(&str, &str)], change: impl FnOnce(&mut World)) -> World {
    let mut world = World::stable();
    world.stop(Actor::Router);
    report(&mut world, before);
    world.policy().deadline = std::time::Duration::from_secs(10).into();
    change(&mut world);
    world.until_idle();
    world.push("demo:v2");
    world
}

/// Proceeds while the gateway keeps reporting these conditions, until the rollout has ended.
fn ends(world: &mut World, during: &[(&str, &str)]) {
    for _ in 0..300 {
        if !world.status().history.is_empty() {
            return;
        }
        report(world, during);
        world.proceed();
    }
    panic!("it has not ended: {:?}", world.status());
}

fn failure(world: &World) -> &str {
    world.status().failure.as_ref().map(|failure| failure.reason.as_str()).unwrap_or_default()
}

#[test]
fn one_parent_that_accepts_a_route_is_enough_whatever_another_one_reports() {
    let good = ("True", "True");
    for other in [("False", "True"), ("True", "False"), ("Unknown", "True")] {
        for before in [other, good] {
            let mut world = reported(&[good, before], |_| {});
            ends(&mut world, &[good, other]);
            assert_eq!(world.weights, [25, 50, 100], "{before:?}, then {other:?}: {:?}", world.status());
        }
    }
}

#[test]
fn a_reference_that_was_unresolved_before_the_rollout_does_not_count_but_metrics_do() {
    let unresolved = [("True", "False")];
    let mut world = reported(&unresolved, |_| {});
    ends(&mut world, &unresolved);
    assert_eq!(world.weights, [25, 50, 100]);
    let mut world = reported(&unresolved, |world| world.measurement = Measurement::Bad);
    ends(&mut world, &unresolved);
    assert_eq!((&world.weights[..], failure(&world)), (&[25, 0][..], "MetricFailed"));
}

#[test]
fn metrics_guard_the_canary_from_the_write_of_its_weight_while_a_gateway_rejects_the_route() {
    let mut world = reported(&[("True", "True")], |world| world.measurement = Measurement::Bad);
    world.until(|world| world.weight() == 25);
    let written = world.snapshot.now;
    assert_eq!(world.status().trial.as_ref().unwrap().traffic_since, Some(written));
    while world.status().phase == Phase::Stepping {
        report(&mut world, &[("True", "False")]);
        world.proceed();
    }
    assert_eq!((&world.weights[..], failure(&world)), (&[25, 0][..], "MetricFailed"));
    assert!(world.snapshot.now <= written + 3.seconds(), "the query's two seconds after the write");
}

#[test]
fn metrics_guard_the_canary_while_the_router_is_silent() {
    let mut world = reported(&[("True", "True")], |world| world.measurement = Measurement::Bad);
    world.until(|world| world.weight() == 25);
    let written = world.snapshot.now;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert_eq!(failure(&world), "MetricFailed");
    assert!(world.snapshot.now <= written + 3.seconds(), "not at the router's deadline of 10 s");
}

#[test]
fn a_new_rejection_rolls_back_at_the_deadline_with_the_gateways_words() {
    let mut world = reported(&[("True", "True")], |_| {});
    world.until(|world| world.weight() == 25);
    let written = world.snapshot.now;
    report(&mut world, &[("True", "False")]);
    world.reconcile();
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!((waiting.reason.as_str(), waiting.until), ("RouteRejected", Some(written + 10.seconds())));
    while world.status().phase == Phase::Stepping {
        report(&mut world, &[("True", "False")]);
        world.proceed();
    }
    assert_eq!((failure(&world), world.snapshot.now), ("RouteRejected", written + 10.seconds()));
    let message = &world.status().failure.as_ref().unwrap().message;
    assert_eq!(message, "the gateway rejects HTTPRoute web: ResolvedRefsIsFalse: M");
    assert_eq!(world.weights, [25, 0]);
}

#[test]
fn a_gateway_that_accepts_the_route_before_the_deadline_lets_the_rollout_continue() {
    let mut world = reported(&[("True", "True")], |_| {});
    world.until(|world| world.weight() == 25);
    report(&mut world, &[("True", "False")]);
    world.reconcile();
    world.snapshot.now += 8.seconds();
    ends(&mut world, &[("True", "True")]);
    assert_eq!(world.weights, [25, 50, 100]);
}
