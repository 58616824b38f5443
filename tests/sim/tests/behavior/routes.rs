//! Several routes that name one Service, of both kinds and in two namespaces.

use steelyard_core::traffic::{
    Meta, Object, Resource,
    gateway::{GRPC_ROUTE, HTTP_ROUTE, ORIGINAL, REFERENCE_GRANT},
};

use super::*;

fn object(resource: &'static Resource, namespace: &str, name: &str, spec: serde_json::Value) -> Object {
    let meta = Meta {
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-{}-{name}", resource.plural),
        generation: 1,
        ..Meta::default()
    };
    Object { resource, meta, spec, status: json!(null) }
}

/// In addition to the route `web`: a `GRPCRoute`, and an `HTTPRoute` in another namespace with a
/// grant that lets it name the Services.
fn three_routes() -> World {
    let mut world = World::stable();
    let grpc = json!({"rules": [{"backendRefs": [{"name": "web", "port": 81}]}]});
    let edge = json!({"rules": [{"backendRefs": [{"name": "web", "namespace": "ns", "port": 80}]}]});
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge"}]);
    let grant = json!({"from": from, "to": [{"group": "", "kind": "Service"}]});
    world.snapshot.routes.extend([
        object(GRPC_ROUTE, "ns", "calls", grpc),
        object(HTTP_ROUTE, "edge", "front", edge),
        object(REFERENCE_GRANT, "ns", "routes", grant),
    ]);
    world.step(Actor::Router);
    world
}

/// The canary's weight in each route; `None` if the route does not name it.
fn weights(world: &World) -> Vec<Option<i64>> {
    let routes = world.snapshot.routes.iter().filter(|object| object.resource != REFERENCE_GRANT);
    routes.map(|route| route.spec["rules"][0]["backendRefs"][1]["weight"].as_i64()).collect()
}

/// Proceeds until the rollout is Complete, and calls `before_each` before each reconcile.
fn completes(world: &mut World, before_each: impl Fn(&mut World)) {
    for _ in 0..300 {
        before_each(world);
        if world.status().phase == Phase::Stable && world.status().history.len() == 1 {
            return;
        }
        world.proceed();
    }
    panic!("not Complete: {:?}", world.status());
}

fn specs(world: &World) -> Vec<serde_json::Value> {
    world.snapshot.routes.iter().map(|route| route.spec.clone()).collect()
}

#[test]
fn all_routes_that_name_the_service_shift_together_and_are_restored() {
    let mut world = three_routes();
    let before = specs(&world);
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    assert_eq!(weights(&world), [Some(25); 3]);
    let shifted: Vec<_> = world.status().trial.as_ref().unwrap().routes.iter().map(|r| &r.name).collect();
    assert_eq!(shifted, ["web", "calls", "front"]);
    world.until(|world| world.status().weight == percent(50));
    assert_eq!(weights(&world), [Some(50); 3]);
    world.until_idle();
    assert_eq!(world.status().phase, Phase::Stable);
    assert_eq!(specs(&world), before);
    assert!(world.snapshot.routes.iter().all(|route| route.meta.annotations.is_empty()));
}

#[test]
fn a_failure_returns_the_traffic_of_all_routes_in_one_reconcile() {
    let mut world = three_routes();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert_eq!(weights(&world), [Some(0); 3]);
    let revision = world.status().canary.as_ref().unwrap().revision.clone();
    for route in world.snapshot.routes.iter().filter(|object| object.resource != REFERENCE_GRANT) {
        assert_eq!(route.meta.annotations[api::FAILED], revision);
    }
}

#[test]
fn a_withdrawal_that_fails_stops_no_other_and_loses_no_evidence() {
    let mut world = three_routes();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    world.measurement = Measurement::Bad;
    // The first route's patch is refused, for example by an admission policy.
    while !world
        .decide()
        .writes
        .iter()
        .any(|write| touches(write, "/metadata/annotations/steelyard.io~1failed"))
    {
        world.proceed();
    }
    assert_eq!(world.decide().withdrawals, 3);
    world.refuse(Kind::Route(GRPC_ROUTE), 403, "not this one");
    let done = world.reconcile();
    assert!(done.rejection.is_some());
    assert_eq!(weights(&world), [Some(0), Some(25), Some(0)], "the others have weight 0");
    let failure = world.status().failure.clone().expect("the status was written anyway");
    assert_eq!((failure.reason.as_str(), failure.value), ("MetricFailed", Some(0.2)));
    world.accept();
    world.until(|world| world.status().phase == Phase::RolledBack);
    assert_eq!(weights(&world), [None; 3]);
    assert_eq!(world.status().failure.as_ref().map(|failure| failure.reason.as_str()), Some("MetricFailed"));
}

#[test]
fn a_route_that_appears_during_a_rollout_shifts_with_the_others_and_is_recorded() {
    let mut world = World::stable();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    let late = json!({"rules": [{"backendRefs": [{"name": "web", "port": 81, "weight": 7}]}]});
    world.snapshot.routes.push(object(GRPC_ROUTE, "ns", "late", late.clone()));
    world.step(Actor::Router);
    world.until(|world| weights(world) == [Some(25), Some(25)]);
    let shifted: Vec<_> = world.status().trial.as_ref().unwrap().routes.iter().map(|r| &r.name).collect();
    assert_eq!(shifted, ["web", "late"]);
    world.until_idle();
    assert_eq!(world.snapshot.routes[1].spec, late);
}

#[test]
fn only_the_routes_that_a_policy_lists_are_shifted() {
    let mut world = three_routes();
    let routes = json!([{"name": "web"}, {"kind": "HTTPRoute", "namespace": "edge", "name": "front"}]);
    world.policy().traffic = serde_json::from_value(json!({"gatewayAPI": {"routes": routes}})).unwrap();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    assert_eq!(weights(&world), [Some(25), None, Some(25)]);
}

#[test]
fn a_listed_route_of_another_namespace_without_a_grant_is_refused() {
    let mut world = three_routes();
    world.snapshot.routes.retain(|object| object.resource != REFERENCE_GRANT);
    let routes = json!([{"namespace": "edge", "name": "front"}]);
    world.policy().traffic = serde_json::from_value(json!({"gatewayAPI": {"routes": routes}})).unwrap();
    world.push("demo:v2");
    world.until_idle();
    let conditions = &world.status().conditions;
    let accepted = conditions.iter().find(|condition| condition.type_ == "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "NoRoute"));
    assert!(accepted.message.contains("HTTPRoute edge/front"), "{}", accepted.message);
}

#[test]
fn a_route_that_no_gateway_serves_delays_no_rollout_of_the_others() {
    let mut world = World::stable();
    let idle = json!({"rules": [{"backendRefs": [{"name": "web"}]}]});
    world.snapshot.routes.push(object(HTTP_ROUTE, "ns", "idle", idle));
    world.push("demo:v2");
    // No controller ever reports about it.
    completes(&mut world, |world| world.snapshot.routes[1].status = json!(null));
}

#[test]
fn a_rejection_that_a_gateway_reported_before_the_rollout_is_ignored() {
    let mut world = World::stable();
    world.stop(Actor::Router);
    let report = |route: &mut Object| {
        let seen = route.meta.generation;
        let is = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "observedGeneration": seen});
        route.status = json!({"parents": [{"parentRef": {"name": "gw"}, "conditions": [
            is("Accepted", "True", "Accepted"), is("ResolvedRefs", "False", "BackendNotFound"),
        ]}]});
    };
    report(&mut world.snapshot.routes[0]);
    world.push("demo:v2");
    completes(&mut world, |world| report(&mut world.snapshot.routes[0]));
}

#[test]
fn routes_restore_their_weights_after_the_rollout_was_deleted_by_force() {
    let mut world = three_routes();
    world.snapshot.routes[0].spec["rules"][0]["backendRefs"][0]["weight"] = json!(7);
    let before = specs(&world);
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    assert!(world.snapshot.routes[0].meta.annotations.contains_key(ORIGINAL));
    world.snapshot.rollout = None;
    world.until(|world| world.snapshot.rollout.is_some());
    // Nothing pushes the template again: the earlier canary is an orphan.
    world.until(|world| specs(world) == before);
}

#[test]
fn tenths_of_a_percent_are_a_step() {
    let mut world = World::stable();
    world.policy().strategy = serde_json::from_value(
        json!({"canary": {"steps": [{"weight": "0.5%", "duration": "5s"}, {"weight": 50, "duration": "5s"}]}}),
    )
    .unwrap();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Weight::from_tenths(5));
    let refs = &world.snapshot.routes[0].spec["rules"][0]["backendRefs"];
    assert_eq!((&refs[0]["weight"], &refs[1]["weight"]), (&json!(995), &json!(5)));
    world.until(|world| world.status().weight == percent(50));
}
