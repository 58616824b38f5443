//! What must fit around a Deployment: its own fields, its Services, the route. All that is wrong, not the
//! first.

use serde_json::Value;

use super::{refusals::Refusals, route, service};
use crate::{
    api::RolloutPolicySpec,
    engine::{
        reasons::{NameTooLong, Refusal},
        snapshot::{Deployment, Route, Service, Snapshot},
    },
    policy::Valid,
    traffic::gateway::{self, Original, Pair},
};

/// What a rollout works on.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Setup {
    /// The Service whose traffic is routed.
    pub(in crate::engine) service: String,
    /// Its canary Service.
    pub(in crate::engine) canary_service: String,
    /// The route's name, and how it was; none where the Services alone move the traffic.
    pub(in crate::engine) route: Option<(String, Original)>,
}

/// Finds the Service, its canary and the route, or says why they don't fit.
pub(super) fn fit(
    s: &Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
    valid: &Valid,
) -> Result<Setup, Refusals> {
    let mut refusals = deployment(s, d);
    refusals.extend(service::shared(s));
    match found(s, d, spec) {
        Ok(found) => {
            refusals.extend(found.unweighable(s, valid));
            Refusals::of(refusals).map_or_else(|| Ok(found.setup(s)), Err)
        }
        Err(refusal) => Err(Refusals::from(refusal).after(refusals)),
    }
}

/// What was found of a set-up.
struct Found<'a> {
    service: &'a Service,
    canary_service: String,
    route: Option<&'a Route>,
}

fn found<'a>(s: &'a Snapshot, d: &Deployment, spec: &RolloutPolicySpec) -> Result<Found<'a>, Refusal> {
    let (service, route) = if let Some(plain) = &spec.traffic.service {
        (service::switched(s, d, plain)?, None)
    } else {
        let (service, route) = route::routed(s, d, spec)?;
        (service, Some(route))
    };
    Ok(Found { service, canary_service: service::canary(s, service)?, route })
}

impl Found<'_> {
    fn pair<'b>(&'b self, s: &'b Snapshot) -> Pair<'b> {
        Pair { namespace: &s.namespace, stable: &self.service.meta.name, canary: &self.canary_service }
    }

    /// Why the route can't carry one or the other weight of the policy.
    fn unweighable(&self, s: &Snapshot, valid: &Valid) -> Option<Refusal> {
        route::unweighable(self.route?, &self.pair(s), valid)
    }

    fn setup(&self, s: &Snapshot) -> Setup {
        let original =
            |route: &Route| (route.meta.name.clone(), gateway::original(&route.spec, &self.pair(s)));
        Setup {
            service: self.service.meta.name.clone(),
            canary_service: self.canary_service.clone(),
            route: self.route.map(original),
        }
    }
}

/// What the Deployment itself must be like.
fn deployment(s: &Snapshot, d: &Deployment) -> Vec<Refusal> {
    let name = || s.name.clone();
    let gates = d.template.pointer("/spec/readinessGates").and_then(Value::as_array);
    let checks = [
        (d.recreate, Refusal::StrategyRecreate { deployment: name() }),
        (d.history_limit == 0, Refusal::RevisionHistoryLimit { deployment: name() }),
        (gates.is_some_and(|gates| !gates.is_empty()), Refusal::ReadinessGates { deployment: name() }),
        (s.name.len() > service::LABEL, Refusal::NameTooLong(NameTooLong::Deployment { deployment: name() })),
    ];
    checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, refusal)| refusal).collect()
}
