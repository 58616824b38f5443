//! The Services that carry a Deployment's traffic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{claim::holder, ports::served};
use crate::{
    api,
    engine::snapshot::{Exposure, Service, Snapshot},
};

/// Returns whether a Service's selector, without the hash, is not empty and matches these labels.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    let mut wanted = selector.iter().filter(|(key, _)| *key != api::HASH).peekable();
    wanted.peek().is_some() && wanted.all(|(key, value)| labels.get(key) == Some(value))
}

/// Returns whether decisions on a Rollout need a Service: it selects the pods of the template, is a
/// canary Service, or is named by the rollout in progress.
pub fn carries(
    name: &str,
    labels: &BTreeMap<String, String>,
    selector: &BTreeMap<String, String>,
    rollout: &str,
    template_labels: &BTreeMap<String, String>,
    named: &BTreeSet<&str>,
) -> bool {
    labels.get(api::ROLLOUT).is_some_and(|owner| owner == rollout)
        || labels.contains_key(api::CANARY_OF)
        || named.contains(name)
        || selects(selector, template_labels)
}

/// Returns the Services that carry the Deployment's traffic, without canary Services and without
/// those that a user pinned to one version.
pub(in crate::engine) fn carrying(s: &Snapshot) -> impl Iterator<Item = &Service> {
    selecting(s).filter(|service| !pinned_by_user(s, service))
}

/// Returns a Service that a user pinned to one version of the Deployment, if there is one.
pub(in crate::engine) fn own_pin(s: &Snapshot) -> Option<&Service> {
    selecting(s).find(|service| pinned_by_user(s, service))
}

/// Returns the Services that Steelyard wrote to, and that no longer carry the Deployment's traffic:
/// a user labeled one, for example. They are unpinned.
pub(in crate::engine) fn left_out(s: &Snapshot) -> impl Iterator<Item = &Service> {
    let written = |service: &&Service| service.meta.annotations.contains_key(api::EPOCH);
    users(s).filter(written).filter(|service| !carries_traffic(s, service) && holder(s, service).is_none())
}

fn selecting(s: &Snapshot) -> impl Iterator<Item = &Service> {
    users(s).filter(|service| carries_traffic(s, service))
}

/// Returns all Services but canary Services.
fn users(s: &Snapshot) -> impl Iterator<Item = &Service> {
    s.services.iter().filter(|service| {
        !service.meta.labels.contains_key(api::CANARY_OF) && !service.meta.labels.contains_key(api::ROLLOUT)
    })
}

/// Returns whether the hash in a Service's selector is a user's: Steelyard stamps each Service that
/// it pins, and records it in status.
fn pinned_by_user(s: &Snapshot, service: &Service) -> bool {
    let trial = s.rollout.as_ref().and_then(|rollout| rollout.status.trial.as_ref());
    let recorded = trial.is_some_and(|trial| trial.services.contains(&service.meta.name));
    let stamped = service.meta.annotations.contains_key(api::EPOCH);
    service.selector.contains_key(api::HASH) && !stamped && !recorded
}

/// Returns whether traffic of clients may depend on a Service: it has no label that leaves it out,
/// and it can have endpoints.
fn carries_traffic(s: &Snapshot, service: &Service) -> bool {
    !service.meta.labels.contains_key(api::IGNORE) && can_have_endpoints(s, service)
}

/// Returns whether pods of the Deployment can be endpoints of a Service: of a headless one without
/// ports always, of others if a pod serves one of its ports.
fn can_have_endpoints(s: &Snapshot, service: &Service) -> bool {
    if service.exposure == Exposure::ExternalName {
        return false;
    }
    let ports = service.ports.as_array().is_some_and(|ports| !ports.is_empty());
    let templates = templates(s);
    !ports || templates.is_empty() || !served(&service.ports, &templates).is_empty()
}

/// Returns the templates of the pods that serve or are pushed.
fn templates(s: &Snapshot) -> Vec<&Value> {
    let running = s.replica_sets.iter().filter(|set| set.replicas > 0 || set.existing > 0);
    s.deployment.iter().map(|d| &d.template).chain(running.map(|set| &set.template)).collect()
}

/// Returns those of them that this Deployment may pin.
pub(in crate::engine) fn services(s: &Snapshot) -> impl Iterator<Item = &Service> {
    carrying(s).filter(|service| holder(s, service).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HASH;

    #[test]
    fn a_service_selects_by_all_keys_except_the_hash() {
        let labels =
            BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        let of =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert!(selects(&of(&[("app", "web"), (HASH, "0abc")]), &labels));
        assert!(!selects(&of(&[("app", "web"), ("tier", "back")]), &labels));
        assert!(!selects(&of(&[(HASH, "0abc")]), &labels), "a selector of the hash alone names no workload");
        assert!(!selects(&of(&[]), &labels));
    }
}
