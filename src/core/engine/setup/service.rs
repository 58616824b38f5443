//! The Service whose traffic is moved, and its canary Service.

use std::collections::BTreeSet;

use crate::{
    api::{self, PlainService},
    engine::{
        ownership::{carrying, first},
        reasons::{Conflict, NameTooLong, NoService, Refusal},
        snapshot::{Deployment, Exposure, Service, Snapshot},
    },
};

/// The longest value of a label, and the longest name of a Service, in bytes.
pub(super) const LABEL: usize = 63;

/// Services that other workloads share: pinned to one version of this one, they would leave the others
/// without traffic.
pub(super) fn shared(s: &Snapshot) -> Vec<Refusal> {
    carrying(s).filter_map(|service| claimed(s, service).or_else(|| mixed(s, service))).collect()
}

/// A Service that another Deployment under Steelyard had first.
fn claimed(s: &Snapshot, service: &Service) -> Option<Refusal> {
    let first = first(s, service)?;
    Some(Refusal::Conflict(Conflict::Claimed {
        service: service.meta.name.clone(),
        first: first.deployment.clone(),
        deployment: s.name.clone(),
        selector: selector(service),
    }))
}

/// A Service that selects other pods too. Those of a Deployment that came under Steelyard later don't
/// count once this one was accepted, which had the Service for itself then: a newcomer stops no other
/// Deployment's releases.
fn mixed(s: &Snapshot, service: &Service) -> Option<Refusal> {
    let conditions = s.rollout.iter().flat_map(|rollout| &rollout.status.conditions);
    let accepted = conditions.clone().any(|c| c.type_ == "Accepted" && c.status == "True");
    let newcomers = service.rivals.iter().flat_map(|rival| &rival.pods).filter(|_| !accepted);
    let others: BTreeSet<&String> = service.strangers.iter().chain(newcomers).collect();
    (!others.is_empty()).then(|| Refusal::ServiceShared {
        service: service.meta.name.clone(),
        pods: others.into_iter().cloned().collect(),
        selector: selector(service),
        deployment: s.name.clone(),
    })
}

/// A Service's selector as people write it, without a pin.
fn selector(service: &Service) -> String {
    let terms = service.selector.iter().filter(|(key, _)| *key != api::HASH);
    terms.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The Services that may carry routed traffic: those that the Deployment's annotation names, or all.
pub(super) fn eligible<'a>(s: &'a Snapshot, d: &Deployment) -> Result<Vec<&'a Service>, Refusal> {
    let Some(listed) = d.meta.annotations.get(api::SERVICES) else { return Ok(carrying(s).collect()) };
    let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
    let find = |name: &str| {
        carrying(s).find(|service| service.meta.name == name).ok_or_else(|| {
            Refusal::NoService(NoService::Annotated { service: name.to_owned(), deployment: s.name.clone() })
        })
    };
    names.map(find).collect()
}

/// The Service that is switched without a router.
pub(super) fn switched<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    policy: &PlainService,
) -> Result<&'a Service, Refusal> {
    if let Some(local) = carrying(s).find(|service| service.exposure == Exposure::Local) {
        return Err(Refusal::ServiceNotSwitchable { service: local.meta.name.clone() });
    }
    if let Some(name) = &policy.name {
        return carrying(s).find(|service| service.meta.name == *name).ok_or_else(|| {
            Refusal::NoService(NoService::Listed { service: name.clone(), deployment: s.name.clone() })
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

/// No Service selects the pods.
pub(super) fn none(s: &Snapshot) -> Refusal {
    Refusal::NoService(NoService::Any { deployment: s.name.clone() })
}

/// The name of the canary Service: the user's own, or one to create.
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
