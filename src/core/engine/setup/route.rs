//! The route whose weights move the traffic.

use std::collections::BTreeSet;

use super::service::{eligible, none};
use crate::{
    api::RolloutPolicySpec,
    engine::{
        ownership::carrying,
        reasons::{NoRoute, NotYetSupported, Refusal, Unweighable},
        snapshot::{Deployment, Route, Service, Snapshot},
    },
    policy::{Stage, Valid},
    traffic::gateway::{self, Pair, RouteError},
};

/// The routed Service, and the route that names it.
pub(super) fn routed<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
) -> Result<(&'a Service, &'a Route), Refusal> {
    let listed = spec.traffic.gateway_api.as_ref().map(|api| api.routes.as_slice()).unwrap_or_default();
    if let Some(route) = listed.iter().find(|name| s.routes.iter().all(|route| route.meta.name != **name)) {
        return Err(Refusal::NoRoute(NoRoute::Listed { route: route.clone() }));
    }
    let canaries: BTreeSet<_> = carrying(s).map(|service| format!("{}-canary", service.meta.name)).collect();
    let mut found = Vec::new();
    for service in eligible(s, d)?.into_iter().filter(|service| !canaries.contains(&service.meta.name)) {
        let pair = Pair { namespace: &s.namespace, stable: &service.meta.name, canary: "" };
        for route in &s.routes {
            let named = listed.is_empty() || listed.contains(&route.meta.name);
            if named && gateway::names(&route.spec, &pair) {
                found.push((service, route));
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] if carrying(s).next().is_none() => Err(none(s)),
        [] => Err(Refusal::NoRoute(NoRoute::NotNamed {
            deployment: s.name.clone(),
            services: carrying(s).map(|service| service.meta.name.clone()).collect(),
            listed: listed.to_vec(),
        })),
        several => {
            let names = several.iter().map(|(s, r)| (s.meta.name.clone(), r.meta.name.clone())).collect();
            Err(Refusal::NotYetSupported(NotYetSupported::SeveralRoutes(names)))
        }
    }
}

/// Why the route can't carry one or the other weight of the policy.
pub(super) fn unweighable(route: &Route, pair: &Pair, valid: &Valid) -> Option<Refusal> {
    let asked = valid.stages.iter().filter_map(|stage| match stage {
        Stage::Shift(shift) => Some(shift.weight),
        Stage::Gate(_) => None,
    });
    let weights: Vec<u8> = asked.chain([0, 100]).collect();
    let original = gateway::original(&route.spec, pair);
    let error = gateway::check(&route.spec, pair, &original, &weights).err()?;
    let name = route.meta.name.clone();
    let RouteError::WeightNotExpressible { share, .. } = &error else {
        return Some(Refusal::RouteInvalid { route: name, error });
    };
    let whole = |factor: &i64| weights.iter().all(|w| i64::from(*w) * share * factor % 100 == 0);
    let factor = (1..=100).find(whole).unwrap_or(100);
    Some(Refusal::WeightNotExpressible(Unweighable { route: name, error, factor }))
}
