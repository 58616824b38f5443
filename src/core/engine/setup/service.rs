//! The Service whose traffic is moved, and its canary Service.

use std::collections::BTreeSet;

use crate::{
    api::{self, ServiceSelector, condition_with},
    engine::{
        ownership::{self, carrying, first, own_pin},
        reasons::{Conflict, NameTooLong, NoService, Refusal},
        snapshot::{Deployment, Exposure, ReplicaSet, Service, Snapshot},
    },
};

/// The longest value of a label, and the longest name of a Service, in bytes.
pub(super) const LABEL: usize = 63;

/// Returns the refusals of Services that other workloads share: a pin to one version of this one
/// would leave the others without traffic.
pub(super) fn shared(s: &Snapshot) -> Vec<Refusal> {
    carrying(s).filter_map(|service| claimed(s, service).or_else(|| mixed(s, service))).collect()
}

/// Returns the refusal of a Service that another managed Deployment claimed first.
fn claimed(s: &Snapshot, service: &Service) -> Option<Refusal> {
    let first = first(s, service)?;
    Some(Refusal::Conflict(Conflict::Claimed {
        service: service.meta.name.clone(),
        first: first.deployment.clone(),
        deployment: s.name.clone(),
        selector: selector(service),
    }))
}

/// Returns the refusal of a Service that selects other pods too. Once this Deployment is accepted,
/// pods of a Deployment that was adopted later do not count: a new Deployment must not stop the
/// rollouts of another one.
fn mixed(s: &Snapshot, service: &Service) -> Option<Refusal> {
    let conditions = s.rollout.as_ref().map(|rollout| rollout.status.conditions.as_slice());
    let accepted = condition_with(conditions.unwrap_or_default(), "Accepted", "True").is_some();
    let newcomers = service.claimants.iter().flat_map(|claimant| &claimant.pods).filter(|_| !accepted);
    let others: BTreeSet<&String> = service.unrelated_pods.iter().chain(newcomers).collect();
    (!others.is_empty()).then(|| Refusal::ServiceShared {
        service: service.meta.name.clone(),
        pods: others.into_iter().cloned().collect(),
        selector: selector(service),
        deployment: s.name.clone(),
    })
}

/// Returns the refusals of ports that stable serves, and pods of the new template can't: clients
/// would lose them.
pub(super) fn unserved(s: &Snapshot, d: &Deployment) -> Vec<Refusal> {
    let serving = |set: &&ReplicaSet| d.owns(set) && set.replicas > 0;
    let stable: Vec<&ReplicaSet> = s.replica_sets.iter().filter(serving).collect();
    let refusals = carrying(s).flat_map(|service| {
        let missing = ownership::unserved(&service.ports, &d.template);
        let missing = missing.filter(|port| stable.iter().any(|set| ownership::serves(&set.template, *port)));
        missing.map(|port| Refusal::PortNotServed {
            service: service.meta.name.clone(),
            port: port.port,
            target: port.target.to_owned(),
            deployment: s.name.clone(),
        })
    });
    refusals.collect()
}

/// Returns a Service's selector as `key=value` pairs, without a pin.
fn selector(service: &Service) -> String {
    let terms = service.selector.iter().filter(|(key, _)| *key != api::HASH);
    terms.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Returns the Services that may carry routed traffic: those that the Deployment's annotation
/// names, or all.
pub(super) fn eligible<'a>(s: &'a Snapshot, d: &Deployment) -> Result<Vec<&'a Service>, Refusal> {
    let Some(listed) = d.meta.annotations.get(api::SERVICES) else { return Ok(carrying(s).collect()) };
    let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
    let find = |name: &str| {
        carrying(s).find(|service| service.meta.name == name).ok_or_else(|| {
            let annotated = || NoService::Annotated { service: name.to_owned(), deployment: s.name.clone() };
            Refusal::NoService(lacking(s, Some(name)).unwrap_or_else(annotated))
        })
    };
    names.map(find).collect()
}

/// Returns the Service that is switched without a router.
pub(super) fn switched<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    policy: &ServiceSelector,
) -> Result<&'a Service, Refusal> {
    if let Some(local) = carrying(s).find(|service| service.exposure == Exposure::Local) {
        return Err(Refusal::ServiceNotSwitchable { service: local.meta.name.clone() });
    }
    if let Some(name) = &policy.name {
        return carrying(s).find(|service| service.meta.name == *name).ok_or_else(|| {
            let listed = || NoService::Listed { service: name.clone(), deployment: s.name.clone() };
            Refusal::NoService(lacking(s, Some(name)).unwrap_or_else(listed))
        });
    }
    match eligible(s, d)?.as_slice() {
        [one] => Ok(one),
        [] => Err(none(s)),
        several => Err(Refusal::SeveralServices {
            deployment: s.name.clone(),
            services: several.iter().map(|service| service.meta.name.clone()).collect(),
        }),
    }
}

/// Returns the refusal of a Deployment without a Service.
pub(super) fn none(s: &Snapshot) -> Refusal {
    let deployment = s.name.clone();
    Refusal::NoService(match own_pin(s) {
        Some(service) => NoService::Pinned { service: service.meta.name.clone(), deployment },
        None => lacking(s, None).unwrap_or(NoService::Any { deployment }),
    })
}

/// Returns the refusal of a Service that no longer selects the pods, because the new template lacks
/// a label; of the Service with this name, or of any.
fn lacking(s: &Snapshot, name: Option<&str>) -> Option<NoService> {
    let named = |service: &str| name.is_none_or(|name| name == service);
    let left = s.left_behind.iter().find(|left| named(&left.service))?;
    let (service, deployment) = (left.service.clone(), s.name.clone());
    Some(NoService::Lacking { service, labels: left.labels.clone(), deployment })
}

/// Returns the name of the canary Service: the user's own, or one to create.
pub(super) fn canary(s: &Snapshot, service: &Service) -> Result<String, Refusal> {
    let stable = &service.meta.name;
    let of = |other: &&Service| other.meta.labels.get(api::CANARY_OF) == Some(stable);
    if let Some(own) = s.services.iter().find(of) {
        return Ok(own.meta.name.clone());
    }
    let name = format!("{stable}-canary");
    let stable = stable.clone();
    if name.len() > LABEL {
        return Err(Refusal::NameTooLong(NameTooLong::CanaryService { stable, name }));
    }
    if s.taken.contains(&name) || s.services.iter().any(|other| other.meta.name == name) {
        return Err(Refusal::Conflict(Conflict::NameTaken { service: name, stable }));
    }
    Ok(name)
}
