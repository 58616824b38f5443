//! Checks that the chart's RBAC rules match what the controller reads and writes: nothing is
//! missing, and nothing is granted without a use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{lease, raw::plural};
use crate::{
    engine::Kind,
    traffic::{Access, RouterKind, router},
};

const ROLES: &str = include_str!("../../charts/steelyard/templates/rbac.yaml");

/// Resources, with the names of objects to which a rule is limited, and the verbs.
type Rules = BTreeMap<(String, Vec<String>), BTreeSet<String>>;

/// Returns what the roles of a template grant.
fn granted(template: &str) -> Rules {
    let lines = template.lines().filter(|line| !line.contains("{{"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut rules = Rules::new();
    for document in text.split("\n---") {
        let role: Value = serde_saphyr::from_str(document).unwrap();
        for rule in role["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| -> Vec<String> {
                let items = rule[field].as_array().into_iter().flatten();
                items.map(|item| item.as_str().unwrap().to_owned()).collect()
            };
            for resource in list("resources") {
                rules.entry((resource, list("resourceNames"))).or_default().extend(list("verbs"));
            }
        }
    }
    rules
}

/// Returns what the controller calls.
fn used() -> Rules {
    let mut rules = Rules::new();
    let mut uses = |resource: &str, names: &[&str], verbs: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let verbs = verbs.iter().map(|verb| (*verb).to_owned());
        rules.entry((resource.to_owned(), names)).or_default().extend(verbs);
    };
    for kind in [Kind::Deployment, Kind::ReplicaSet, Kind::Service, Kind::Rollout] {
        // The caches and `observe`; `get` after a conflict too.
        uses(plural(kind), &[], &["get", "list", "watch"]);
        // `apply`.
        uses(plural(kind), &[], &["patch"]);
        if kind != Kind::Deployment {
            uses(plural(kind), &[], &["create", "delete"]);
        }
    }
    uses("rollouts/status", &[], &["patch"]);
    // `OwnerReferencesPermissionEnforcement`: the handover sets `blockOwnerDeletion`.
    uses("deployments/finalizers", &[], &["update"]);
    for resource in ["pods", "endpointslices"] {
        uses(resource, &[], &["list", "watch"]);
    }
    for policies in ["rolloutpolicies", "clusterrolloutpolicies"] {
        uses(policies, &[], &["get", "list", "watch"]);
        uses(&format!("{policies}/status"), &[], &["patch"]);
    }
    for resource in RouterKind::ALL.iter().flat_map(|kind| router(*kind).resources()) {
        uses(resource.plural, &[], &["list", "watch"]);
        if resource.access == Access::Write {
            uses(resource.plural, &[], &["get", "patch"]);
        }
    }
    for resource in ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"] {
        uses(resource, &["steelyard-hold"], &["list", "watch"]);
    }
    uses("events", &[], &["create", "patch"]);
    uses("leases", &[], &["create"]);
    uses("leases", &[lease::NAME], &["get", "update"]);
    rules
}

#[test]
fn the_chart_grants_exactly_what_the_controller_calls() {
    assert_eq!(granted(ROLES), used());
}

#[test]
fn no_rule_has_a_wildcard() {
    assert!(!ROLES.contains("\"*\"") && !ROLES.contains("'*'") && !ROLES.contains("[*]"));
}
