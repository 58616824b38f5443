//! The routes whose weights move the traffic.

use std::collections::BTreeSet;

use super::service::{eligible, none};
use crate::{
    engine::{
        ownership::carrying,
        reasons::{NoRoute, NotYetSupported, Refusal, Unweighable},
        snapshot::{Deployment, Service, Snapshot},
    },
    policy::{Policy, Stage},
    traffic::{Original, Pair, Route, RouteError, RouteRef, Wants, Weight, router},
};

/// Returns the routed Service and all routes that refer to it; if the policy lists routes, only
/// those.
pub(super) fn routed<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    policy: &Policy,
) -> Result<(&'a Service, Vec<Route<'a>>), Refusal> {
    let listed = &policy.listed;
    let there = |listed: &&RouteRef| s.routes.iter().any(|object| listed.names(object, &s.namespace));
    if let Some(missing) = listed.iter().find(|listed| !there(listed)) {
        return Err(Refusal::NoRoute(NoRoute::Listed { route: missing.title() }));
    }
    let canaries: BTreeSet<_> = carrying(s).map(|service| format!("{}-canary", service.meta.name)).collect();
    let mut found = Vec::new();
    for service in eligible(s, d)?.into_iter().filter(|service| !canaries.contains(&service.meta.name)) {
        let pair = Pair { namespace: &s.namespace, stable: &service.meta.name, ..Pair::default() };
        let routes = router(policy.router).find(&s.routes, &pair, listed);
        if !routes.is_empty() {
            found.push((service, routes));
        }
    }
    let not_named = |listed: Vec<String>| {
        Refusal::NoRoute(NoRoute::NotNamed {
            deployment: s.name.clone(),
            services: carrying(s).map(|service| service.meta.name.clone()).collect(),
            listed,
        })
    };
    match found.len() {
        0 if carrying(s).next().is_none() => Err(none(s)),
        0 => Err(not_named(listed.iter().map(RouteRef::title).collect())),
        1 => {
            let (service, routes) = found.remove(0);
            let named =
                |listed: &&RouteRef| routes.iter().any(|route| listed.names(route.main, &s.namespace));
            match listed.iter().find(|listed| !named(listed)) {
                Some(other) => Err(not_named(vec![other.title()])),
                None => Ok((service, routes)),
            }
        }
        _ => {
            let each = found.iter().flat_map(|(service, routes)| {
                let title = |route: &Route| (service.meta.name.clone(), route.main.title(&s.namespace));
                routes.iter().map(title).collect::<Vec<_>>()
            });
            Err(Refusal::NotYetSupported(NotYetSupported::SeveralRoutedServices(each.collect())))
        }
    }
}

/// Checks that a route can carry each weight of the policy. Returns what is needed to restore it.
pub(super) fn checked(route: &Route, pair: &Pair, policy: &Policy) -> Result<Original, Refusal> {
    let asked = policy.stages.iter().filter_map(|stage| match stage {
        Stage::Shift(shift) => Some(shift.weight),
        Stage::Gate(_) => None,
    });
    let weights: Vec<Weight> = asked.chain([Weight::ZERO, Weight::ALL]).collect();
    let wants = Wants { weights: weights.clone(), ..Wants::default() };
    router(policy.router).check(route, pair, &wants).map_err(|error| {
        let route = route.main.title(pair.namespace);
        let RouteError::WeightNotExpressible { share, .. } = &error else {
            return Refusal::RouteInvalid { route, error };
        };
        let whole = |factor: &i64| weights.iter().all(|w| w.share_of(share * factor).is_some());
        let factor = (1..=1000).find(whole).unwrap_or(1000);
        Refusal::WeightNotExpressible(Unweighable { route, error, factor })
    })
}
