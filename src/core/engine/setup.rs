//! What must fit around a Deployment: its own fields, its Services, the route. All that is wrong, not the first.

use std::collections::BTreeSet;

use serde_json::Value;

use super::refusal::Refusal;
use crate::{
    api::{self, PlainService, RolloutPolicySpec},
    engine::{Deployment, Exposure, Route, Service, Snapshot, claims},
    policy::{Stage, Valid},
    traffic::gateway::{self, Original, Pair, RouteError},
};

/// The longest value of a label, and the longest name of a Service, in bytes.
const LABEL: usize = 63;

/// What a rollout works on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setup {
    /// The Service whose traffic is routed.
    pub service: String,
    /// Its canary Service.
    pub canary_service: String,
    /// The route's name, and how it was; none where the Services alone move the traffic.
    pub route: Option<(String, Original)>,
}

/// Finds the Service, its canary and the route, or says why they don't fit.
///
/// # Errors
/// The first fault's reason, with the messages of all that could be found at once.
pub(super) fn setup(
    s: &Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
    valid: &Valid,
) -> Result<Setup, Refusal> {
    let mut refusals = deployment(s, d);
    refusals.extend(shared(s));
    let found = match &spec.traffic.service {
        Some(plain) => switched(s, d, plain).map(|service| (service, None)),
        None => routed(s, d, spec).map(|(service, route)| (service, Some(route))),
    };
    let found =
        found.and_then(|(service, route)| canary_service(s, service).map(|canary| (service, route, canary)));
    match found {
        Ok((service, route, canary_service)) => {
            let pair = Pair { namespace: &s.namespace, stable: &service.meta.name, canary: &canary_service };
            let route = route.map(|route| (route, gateway::original(&route.spec, &pair)));
            if let Some((route, original)) = &route {
                refusals.extend(weighable(route, &pair, original, valid));
            }
            if refusals.is_empty() {
                let route = route.map(|(route, original)| (route.meta.name.clone(), original));
                return Ok(Setup { service: service.meta.name.clone(), canary_service, route });
            }
        }
        Err(refusal) => refusals.push(refusal),
    }
    Err(joined(&refusals))
}

/// One refusal of all: the first reason, and as many messages as fit into a condition.
fn joined(refusals: &[Refusal]) -> Refusal {
    const LIMIT: usize = 1024;
    let mut message = String::new();
    for refusal in refusals {
        let between = if message.is_empty() { "" } else { "; " };
        if message.len() + between.len() + refusal.message.len() <= LIMIT {
            message.push_str(between);
            message.push_str(&refusal.message);
        }
    }
    if message.is_empty() {
        message = refusals.iter().flat_map(|refusal| refusal.message.chars()).take(LIMIT / 4).collect();
    }
    Refusal::new(refusals.first().map_or("NotAccepted", |first| first.reason), message)
}

/// What the Deployment itself must be like.
fn deployment(s: &Snapshot, d: &Deployment) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |reason, field: &str, why: &str| {
        refusals.push(Refusal::new(reason, format!("Deployment {}: {field} {why}", s.name)));
    };
    if d.recreate {
        refuse(
            "StrategyRecreate",
            "spec.strategy.type",
            "is Recreate, which asks for one version at a time: use RollingUpdate",
        );
    }
    if d.history_limit == 0 {
        refuse(
            "RevisionHistoryLimit",
            "spec.revisionHistoryLimit",
            "is 0, so that a stable ReplicaSet at 0 pods would be lost: set 1 or more",
        );
    }
    let gates = d.template.pointer("/spec/readinessGates").and_then(Value::as_array);
    if gates.is_some_and(|gates| !gates.is_empty()) {
        refuse(
            "ReadinessGates",
            "spec.template.spec.readinessGates",
            "is set: pods that wait for a word from outside are not supported yet: leave it out",
        );
    }
    if s.name.len() > LABEL {
        refuse(
            "NameTooLong",
            "metadata.name",
            "is longer than 63 characters, the most that a label can hold",
        );
    }
    refusals
}

/// Services that other workloads share: pinned to one version of this one, they would leave the others without traffic.
fn shared(s: &Snapshot) -> Vec<Refusal> {
    carrying(s).filter_map(|service| claimed(s, service).or_else(|| mixed(s, service))).collect()
}

/// A Service that another Deployment under Steelyard had first.
fn claimed(s: &Snapshot, service: &Service) -> Option<Refusal> {
    let first = claims::first(s, service)?;
    let why = format!(
        "Service {} is claimed by Deployment {} already, and selects the pods of Deployment {} too: make its selector {} match the pods of one of them alone",
        service.meta.name,
        first.deployment,
        s.name,
        selector(service),
    );
    Some(Refusal::new("Conflict", why))
}

/// A Service behind which other pods stand. Those of a Deployment that came under Steelyard later don't count once this one
/// was accepted, which had the Service for itself then: a newcomer stops nobody's releases.
fn mixed(s: &Snapshot, service: &Service) -> Option<Refusal> {
    let conditions = s.rollout.iter().flat_map(|rollout| &rollout.status.conditions);
    let accepted = conditions.clone().any(|c| c.type_ == "Accepted" && c.status == "True");
    let newcomers = service.rivals.iter().flat_map(|rival| &rival.pods).filter(|_| !accepted);
    let others: BTreeSet<&String> = service.strangers.iter().chain(newcomers).collect();
    if others.is_empty() {
        return None;
    }
    let first: Vec<_> = others.iter().take(2).map(|name| name.as_str()).collect();
    let more = if others.len() > 2 { format!(" and {} more", others.len() - 2) } else { String::new() };
    let why = format!(
        "Service {} selects pods of another workload too ({}{more}): make its selector {} match the pods of Deployment {} alone",
        service.meta.name,
        first.join(", "),
        selector(service),
        s.name,
    );
    Some(Refusal::new("ServiceShared", why))
}

/// A Service's selector as people write it, without a pin.
fn selector(service: &Service) -> String {
    let terms = service.selector.iter().filter(|(key, _)| *key != api::HASH);
    terms.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The Services that carry the Deployment's traffic and are its to pin, less canary Services.
pub(super) fn plain(s: &Snapshot) -> impl Iterator<Item = &Service> {
    carrying(s).filter(|service| claims::holder(s, service).is_none())
}

/// The Services that carry the Deployment's traffic, less canary Services.
fn carrying(s: &Snapshot) -> impl Iterator<Item = &Service> {
    s.services.iter().filter(|service| {
        !service.meta.labels.contains_key(api::CANARY_OF) && !service.meta.labels.contains_key(api::ROLLOUT)
    })
}

fn routed<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
) -> Result<(&'a Service, &'a Route), Refusal> {
    let listed = spec.traffic.gateway_api.as_ref().map(|api| api.routes.as_slice()).unwrap_or_default();
    if let Some(name) = listed.iter().find(|name| s.routes.iter().all(|route| route.meta.name != **name)) {
        let why = format!(
            "HTTPRoute {name}, which the policy's spec.traffic.gatewayAPI.routes names, isn't there: create it, or name another"
        );
        return Err(Refusal::new("NoRoute", why));
    }
    let chosen = chosen(s, d)?;
    let wanted =
        |service: &&Service| chosen.as_ref().is_none_or(|names| names.contains(&service.meta.name.as_str()));
    let canaries: BTreeSet<_> = carrying(s).map(|service| format!("{}-canary", service.meta.name)).collect();
    let mut found = Vec::new();
    for service in carrying(s).filter(wanted).filter(|service| !canaries.contains(&service.meta.name)) {
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
        [] if carrying(s).next().is_none() => Err(no_service(s)),
        [] => {
            let names: Vec<_> = carrying(s).map(|service| service.meta.name.as_str()).collect();
            let routes = if listed.is_empty() {
                "no HTTPRoute".to_owned()
            } else {
                format!("HTTPRoute {} does not", listed.join(", "))
            };
            let verb = if listed.is_empty() { "names" } else { "name" };
            let why = format!(
                "{routes} {verb} a Service of Deployment {} ({}): name one in a rule's backendRefs",
                s.name,
                names.join(", ")
            );
            Err(Refusal::new("NoRoute", why))
        }
        [_, _, ..] => {
            let names: Vec<_> =
                found.iter().map(|(s, r)| format!("{} in HTTPRoute {}", s.meta.name, r.meta.name)).collect();
            let why = format!("several routed Services are not supported yet: {}", names.join(", "));
            Err(Refusal::new("NotYetSupported", why))
        }
    }
}

/// The Services that the Deployment's annotation names, if it does.
fn chosen<'a>(s: &Snapshot, d: &'a Deployment) -> Result<Option<Vec<&'a str>>, Refusal> {
    let chosen: Option<Vec<&str>> = d
        .meta
        .annotations
        .get(api::SERVICES)
        .map(|names| names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect());
    let gone = chosen.iter().flatten().find(|name| carrying(s).all(|service| service.meta.name != **name));
    let Some(name) = gone else { return Ok(chosen) };
    let why = format!(
        "Service {name}, which annotation {} of Deployment {} names, isn't there or doesn't select its pods",
        api::SERVICES,
        s.name
    );
    Err(Refusal::new("NoService", why))
}

/// The Service that is switched without a router.
fn switched<'a>(s: &'a Snapshot, d: &Deployment, policy: &PlainService) -> Result<&'a Service, Refusal> {
    if let Some(local) = carrying(s).find(|service| service.exposure == Exposure::Local) {
        let why = format!(
            "Service {} has a Local traffic policy: nodes without a pod of the new version would refuse connections at the \
             switch: route it by an HTTPRoute (spec.traffic.gatewayAPI)",
            local.meta.name
        );
        return Err(Refusal::new("ServiceNotSwitchable", why));
    }
    if let Some(name) = &policy.name {
        return carrying(s).find(|service| service.meta.name == *name).ok_or_else(|| {
            let why = format!(
                "Service {name}, which the policy's spec.traffic.service names, isn't there or doesn't select the pods of \
                 Deployment {}",
                s.name
            );
            Refusal::new("NoService", why)
        });
    }
    let chosen = chosen(s, d)?;
    let wanted =
        |service: &&Service| chosen.as_ref().is_none_or(|names| names.contains(&service.meta.name.as_str()));
    let found: Vec<_> = carrying(s).filter(wanted).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(no_service(s)),
        several => {
            let names: Vec<_> = several.iter().map(|service| service.meta.name.as_str()).collect();
            let why = format!(
                "several Services select the pods of Deployment {}: {}: name the one that gets a preview in the policy's \
                 spec.traffic.service or in annotation {}",
                s.name,
                names.join(", "),
                api::SERVICES
            );
            Err(Refusal::new("SeveralServices", why))
        }
    }
}

fn no_service(s: &Snapshot) -> Refusal {
    let why = format!(
        "no Service of this namespace selects the pods of Deployment {}: create one that does",
        s.name
    );
    Refusal::new("NoService", why)
}

fn canary_service(s: &Snapshot, service: &Service) -> Result<String, Refusal> {
    let stable = &service.meta.name;
    let of = |other: &&Service| other.meta.labels.get(api::CANARY_OF) == Some(stable);
    if let Some(own) = s.services.iter().find(of) {
        return Ok(own.meta.name.clone());
    }
    let name = format!("{stable}-canary");
    let label = format!("{}={stable}", api::CANARY_OF);
    if name.len() > LABEL {
        let why = format!(
            "Service {stable}: {name} is too long for a name: make a canary Service yourself, with label {label}"
        );
        return Err(Refusal::new("NameTooLong", why));
    }
    if s.taken.contains(&name) || s.services.iter().any(|other| other.meta.name == name) {
        let why = format!(
            "Service {name} is there already and is not Steelyard's: rename it, or, if it is meant for the canary, give it label {label}"
        );
        return Err(Refusal::new("Conflict", why));
    }
    Ok(name)
}

/// Why the route can't carry one or the other weight of the policy.
fn weighable(route: &Route, pair: &Pair, original: &Original, valid: &Valid) -> Vec<Refusal> {
    let asked = valid.stages.iter().filter_map(|stage| match stage {
        Stage::Shift(shift) => Some(shift.weight),
        Stage::Gate(_) => None,
    });
    let weights: Vec<u8> = asked.chain([0, 100]).collect();
    let Err(error) = gateway::check(&route.spec, pair, original, &weights) else { return Vec::new() };
    let told = |reason, cure: String| {
        vec![Refusal::new(reason, format!("HTTPRoute {}: {error}{cure}", route.meta.name))]
    };
    match &error {
        RouteError::WeightNotExpressible { share, .. } => {
            let factor =
                (1..=100).find(|factor| weights.iter().all(|w| i64::from(*w) * share * factor % 100 == 0));
            let cure =
                format!(": multiply each weight of the rule's backendRefs by {}", factor.unwrap_or(100));
            told("WeightNotExpressible", cure)
        }
        _ => told("RouteInvalid", String::new()),
    }
}
