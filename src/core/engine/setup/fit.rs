//! Checks of the Deployment, its Services and its routes. They report all problems, not only the
//! first.

use serde_json::Value;

use super::{refusals::Refusals, routes, service};
use crate::{
    api::{self, RolloutPolicySpec, ShiftedRoute},
    engine::{
        reasons::{NameTooLong, Refusal},
        snapshot::{Deployment, Service, Snapshot},
    },
    policy::Policy,
    traffic::{Pair, Route},
};

/// The Service and the routes of a rollout.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Setup {
    /// The Service whose traffic is routed.
    pub(in crate::engine) service: String,
    /// Its canary Service.
    pub(in crate::engine) canary_service: String,
    /// The routes; empty if the Services alone move the traffic.
    pub(in crate::engine) routes: Vec<ShiftedRoute>,
}

/// Finds the Service, its canary Service and the routes, or returns why they do not fit.
pub(super) fn fit(
    s: &Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
    policy: &Policy,
) -> Result<Setup, Refusals> {
    let mut refusals = deployment(s, d);
    refusals.extend(service::shared(s));
    refusals.extend(service::unserved(s, d));
    let Found { service, canary_service, routes } = match found(s, d, spec, policy) {
        Ok(found) => found,
        Err(refusal) => return Err(Refusals::from(refusal).after(refusals)),
    };
    let service = &service.meta.name;
    let pair = Pair { namespace: &s.namespace, stable: service, canary: &canary_service, ..Pair::default() };
    let mut checked = Vec::new();
    for route in &routes {
        match routes::checked(route, &pair, policy) {
            Ok(original) => checked.push(ShiftedRoute::of(route.main, original)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let service = service.clone();
    Refusals::of(refusals).map_or_else(|| Ok(Setup { service, canary_service, routes: checked }), Err)
}

/// The objects that were found, before the routes are checked.
struct Found<'a> {
    service: &'a Service,
    canary_service: String,
    routes: Vec<Route<'a>>,
}

fn found<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
    policy: &Policy,
) -> Result<Found<'a>, Refusal> {
    let (service, routes) = if let Some(plain) = &spec.traffic.service_selector {
        (service::switched(s, d, plain)?, Vec::new())
    } else {
        routes::routed(s, d, policy)?
    };
    Ok(Found { service, canary_service: service::canary(s, service)?, routes })
}

/// Returns the problems of the Deployment itself.
fn deployment(s: &Snapshot, d: &Deployment) -> Vec<Refusal> {
    let name = || s.name.clone();
    let gates = d.template.pointer("/spec/readinessGates").and_then(Value::as_array);
    let hash = d.template["metadata"]["labels"].get(api::HASH);
    let checks = [
        (hash.is_some(), Refusal::HashInTemplate { deployment: name() }),
        (d.recreate, Refusal::StrategyRecreate { deployment: name() }),
        (d.history_limit == 0, Refusal::RevisionHistoryLimit { deployment: name() }),
        (gates.is_some_and(|gates| !gates.is_empty()), Refusal::ReadinessGates { deployment: name() }),
        (s.name.len() > service::LABEL, Refusal::NameTooLong(NameTooLong::Deployment { deployment: name() })),
    ];
    checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, refusal)| refusal).collect()
}
