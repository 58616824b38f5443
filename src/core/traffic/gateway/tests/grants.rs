//! Routes of other namespaces and other kinds.

use super::{
    super::{GRPC_ROUTE, REFERENCE_GRANT},
    *,
};
use crate::traffic::{RouteRef, Wants};

fn grant(kind: &str, to: &Value) -> Object {
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "edge"}]);
    object(REFERENCE_GRANT, "shop", "routes", json!({"from": from, "to": to}))
}

fn all() -> Value {
    json!([{"group": "", "kind": "Service"}])
}

fn edge(resource: &'static Resource) -> Object {
    let spec = json!({"rules": [{"backendRefs": [{"name": "web", "namespace": "shop", "port": 80}]}]});
    object(resource, "edge", "web", spec)
}

fn found(world: &[Object], listed: &[RouteRef]) -> Vec<String> {
    GatewayApi.find(world, &PAIR, listed).iter().map(|route| route.main.title("shop")).collect()
}

fn named(kind: &str, namespace: Option<&str>, name: &str) -> RouteRef {
    RouteRef { kind: kind.into(), namespace: namespace.map(str::to_owned), name: name.into() }
}

#[test]
fn http_and_grpc_routes_that_refer_to_the_service_are_found() {
    let refs = json!([{"name": "web"}]);
    let grpc = Object { resource: GRPC_ROUTE, ..route(&refs) };
    let world = [route(&refs), grpc, route(&json!([{"name": "other"}])), edge(HTTP_ROUTE)];
    assert_eq!(found(&world, &[]), ["HTTPRoute web", "GRPCRoute web"]);
    assert_eq!(found(&world, &[named("GRPCRoute", None, "web")]), ["GRPCRoute web"]);
    assert_eq!(found(&world, &[named("GRPCRoute", Some("edge"), "web")]), [""; 0]);
}

#[test]
fn a_grant_lets_routes_of_its_kind_and_namespace_refer_to_a_service() {
    for (grant, allowed) in [
        (grant("HTTPRoute", &all()), true),
        (grant("HTTPRoute", &json!([{"group": "", "kind": "Service", "name": "web"}])), true),
        (grant("HTTPRoute", &json!([{"group": "", "kind": "Service", "name": "api"}])), false),
        (grant("HTTPRoute", &json!([{"group": "", "kind": "Secret"}])), false),
        (grant("GRPCRoute", &all()), false),
    ] {
        let world = [edge(HTTP_ROUTE), grant];
        assert_eq!(found(&world, &[]) == ["HTTPRoute edge/web"], allowed, "{:?}", world[1].spec);
    }
    let mut elsewhere = grant("HTTPRoute", &all());
    elsewhere.meta.namespace = "edge".into();
    assert_eq!(found(&[edge(HTTP_ROUTE), elsewhere], &[]), [""; 0], "only the Services' namespace grants");
}

#[test]
fn grants_and_listed_routes_name_other_namespaces() {
    let world = [grant("GRPCRoute", &all()), grant("Gateway", &all())];
    let listed = [named("HTTPRoute", Some("front"), "web"), named("HTTPRoute", Some("shop"), "web")];
    let elsewhere: Vec<_> = GatewayApi.elsewhere(&world, "shop", &listed).into_iter().collect();
    assert_eq!(elsewhere, [(GRPC_ROUTE, "edge".to_owned()), (HTTP_ROUTE, "front".to_owned())]);
}

#[test]
fn a_grant_for_stable_only_is_refused_by_the_check() {
    let check = |grant: Object| {
        let world = [edge(HTTP_ROUTE), grant];
        let route = GatewayApi.find(&world, &PAIR, &[]).remove(0);
        GatewayApi.check(&route, &PAIR, &Wants::default()).map(drop)
    };
    assert_eq!(check(grant("HTTPRoute", &all())), Ok(()));
    let (namespace, service) = ("shop".to_owned(), "web-canary".to_owned());
    let only = grant("HTTPRoute", &json!([{"group": "", "kind": "Service", "name": "web"}]));
    assert_eq!(check(only), Err(RouteError::NotGranted { namespace, service }));
}

#[test]
fn in_another_namespace_the_canary_ref_names_the_namespace_too() {
    let before = edge(GRPC_ROUTE);
    let shifted = at_percent(&before, 10);
    let wanted = json!([
        {"name": "web", "namespace": "shop", "port": 80, "weight": 90},
        {"name": "web-canary", "namespace": "shop", "port": 80, "weight": 10},
    ]);
    assert_eq!(*refs(&shifted), wanted);
    assert_eq!(restored(&shifted), before);
}
