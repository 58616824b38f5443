//! The Gateway API, on raw objects.

mod acceptance;
mod edits;
mod grants;
mod weights;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GatewayApi, HTTP_ROUTE, ORIGINAL};
use crate::traffic::{Change, Meta, Object, Pair, Resource, Route, RouteError, Router as _, Weight};

/// The Services of namespace `shop`.
const PAIR: Pair =
    Pair { namespace: "shop", stable: "web", canary: "web-canary", stable_hash: "", canary_hash: "" };

/// Returns an object of a namespace.
fn object(resource: &'static Resource, namespace: &str, name: &str, spec: Value) -> Object {
    let meta = Meta {
        namespace: namespace.into(),
        name: name.into(),
        generation: 3,
        annotations: BTreeMap::from([("team".into(), "shop".into())]),
        ..Meta::default()
    };
    Object { resource, meta, spec, status: Value::Null }
}

/// Returns a route with one rule of these `backendRefs`.
fn route(refs: &Value) -> Object {
    with_spec(json!({"parentRefs": [{"name": "gw"}], "hostnames": ["a.b"],
        "rules": [{"matches": [{"path": {"value": "/"}}], "backendRefs": refs}]}))
}

fn with_spec(spec: Value) -> Object {
    object(HTTP_ROUTE, "shop", "web", spec)
}

/// Returns the object after a change, as the API server stores it.
fn applied(object: &Object, changes: &[Change]) -> Object {
    let mut object = object.clone();
    for change in changes {
        object.spec = change.spec.clone();
        for (key, value) in &change.annotations {
            match value {
                Some(value) => drop(object.meta.annotations.insert((*key).to_owned(), value.clone())),
                None => drop(object.meta.annotations.remove(*key)),
            }
        }
    }
    object
}

fn alone(main: &Object) -> Route<'_> {
    Route { main, companions: Vec::new() }
}

/// Returns the route once the canary has this weight.
fn at(object: &Object, weight: Weight) -> Result<Object, RouteError> {
    GatewayApi.plan(&alone(object), &PAIR, weight).map(|changes| applied(object, &changes))
}

/// Returns the same, in whole percents.
fn at_percent(object: &Object, percent: u8) -> Object {
    at(object, Weight::percent(percent)).expect("the route can carry the weight")
}

/// Returns the route once it is restored.
fn restored(object: &Object) -> Object {
    applied(object, &GatewayApi.restore(&alone(object), &PAIR))
}

/// Returns the route once traffic is withdrawn.
fn withdrawn(object: &Object) -> Object {
    applied(object, &GatewayApi.withdraw(&alone(object), &PAIR))
}

fn observed(object: &Object) -> Option<u16> {
    GatewayApi.observe(&alone(object), &PAIR).map(Weight::tenths)
}

fn check(object: &Object, percents: &[u8]) -> Result<(), RouteError> {
    let weights = percents.iter().map(|percent| Weight::percent(*percent)).collect();
    let wants = crate::traffic::Wants { weights, ..Default::default() };
    GatewayApi.check(&alone(object), &PAIR, &wants).map(drop)
}

fn refs(object: &Object) -> &Value {
    &object.spec["rules"][0]["backendRefs"]
}

#[test]
fn a_route_stores_its_original_weights_until_it_is_restored() {
    let before = route(&json!([{"name": "web", "port": 80}]));
    let shifted = at_percent(&before, 10);
    assert!(shifted.meta.annotations.contains_key(ORIGINAL));
    assert_eq!(restored(&shifted), before);
}
