//! Traffic without a router, by the selectors of the Services. They carry the `pod-template-hash`
//! of stable, of the canary, or of neither; then the number of ready pods divides the traffic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Acceptance, Access, Change, Object, Original, Pair, Resource, Route, RouteError, RouteRef, Router, Wants,
    Weight,
};

/// A Service.
pub const SERVICE: &Resource =
    &Resource { group: "", version: "v1", kind: "Service", plural: "services", access: Access::Write };

/// The label that distinguishes the pods of two versions.
const HASH: &str = "pod-template-hash";

/// The selectors of the Services themselves.
#[derive(Clone, Copy, Debug)]
pub struct PlainService;

/// Returns the hash that a selector carries at a weight.
fn pin<'a>(pair: &Pair<'a>, weight: Weight) -> Option<&'a str> {
    match weight {
        Weight::ZERO => stable(pair),
        Weight::ALL => Some(pair.canary_hash),
        _ => None,
    }
}

/// Returns stable's hash, unless stable can't carry the traffic: then every ready pod serves.
fn stable<'a>(pair: &Pair<'a>) -> Option<&'a str> {
    Some(pair.stable_hash).filter(|hash| !hash.is_empty())
}

fn selected(object: &Object) -> Option<&str> {
    object.spec["selector"][HASH].as_str()
}

fn pinned<'a>(object: &'a Object, hash: Option<&str>) -> Vec<Change<'a>> {
    let mut spec = object.spec.clone();
    if let Some(selector) = spec.get_mut("selector").and_then(Value::as_object_mut) {
        match hash {
            Some(hash) => drop(selector.insert(HASH.to_owned(), hash.into())),
            None => drop(selector.remove(HASH)),
        }
    }
    Change::of(object, spec, BTreeMap::new()).into_iter().collect()
}

impl Router for PlainService {
    /// Returns none: every rollout reads the Services of its namespace anyway.
    fn resources(&self) -> &'static [&'static Resource] {
        &[]
    }

    fn elsewhere(&self, _: &[Object], _: &str, _: &[RouteRef]) -> BTreeSet<(&'static Resource, String)> {
        BTreeSet::new()
    }

    /// Returns all Services: the caller knows which of them carry the Deployment's traffic.
    fn find<'a>(&self, world: &'a [Object], _: &Pair, _: &[RouteRef]) -> Vec<Route<'a>> {
        let services = world.iter().filter(|object| object.resource == SERVICE);
        services.map(|main| Route { main, companions: Vec::new() }).collect()
    }

    /// The checks of the policy find weights that the number of pods can't express.
    fn check(&self, _: &Route, _: &Pair, _: &Wants) -> Result<Original, RouteError> {
        Ok(Original::default())
    }

    /// Returns `None` if the selector carries neither hash: then the number of pods divides the
    /// traffic.
    fn observe(&self, route: &Route, pair: &Pair) -> Option<Weight> {
        match selected(route.main)? {
            hash if hash == pair.stable_hash => Some(Weight::ZERO),
            hash if hash == pair.canary_hash => Some(Weight::ALL),
            _ => None,
        }
    }

    fn plan<'a>(&self, route: &Route<'a>, pair: &Pair, want: Weight) -> Result<Vec<Change<'a>>, RouteError> {
        Ok(pinned(route.main, pin(pair, want)))
    }

    fn withdraw<'a>(&self, route: &Route<'a>, pair: &Pair) -> Vec<Change<'a>> {
        pinned(route.main, stable(pair))
    }

    fn restore<'a>(&self, route: &Route<'a>, _: &Pair) -> Vec<Change<'a>> {
        pinned(route.main, None)
    }

    /// A selector needs no acceptance; `shift` checks the endpoints.
    fn acceptance(&self, _: &Route, _: &Original) -> Acceptance {
        Acceptance::Accepted
    }
}
