//! Which Services carry a Deployment's traffic.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::holder;
use crate::{
    api,
    engine::snapshot::{Service, Snapshot},
};

/// Whether a Service's selector, less the hash, is not empty and matches these labels.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    let mut wanted = selector.iter().filter(|(key, _)| *key != api::HASH).peekable();
    wanted.peek().is_some() && wanted.all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether the decisions on a Rollout need a Service: it selects the pods of the template, is a canary
/// Service, or is named by the rollout in progress.
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

/// The Services that carry the Deployment's traffic, less canary Services.
pub(in crate::engine) fn carrying(s: &Snapshot) -> impl Iterator<Item = &Service> {
    s.services.iter().filter(|service| {
        !service.meta.labels.contains_key(api::CANARY_OF) && !service.meta.labels.contains_key(api::ROLLOUT)
    })
}

/// Those of them that are the Deployment's to pin.
pub(in crate::engine) fn services(s: &Snapshot) -> impl Iterator<Item = &Service> {
    carrying(s).filter(|service| holder(s, service).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HASH;

    #[test]
    fn a_service_selects_by_all_keys_but_the_hash() {
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
