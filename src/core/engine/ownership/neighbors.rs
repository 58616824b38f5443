//! Other workloads that the Services of a Deployment select.

use std::collections::{BTreeMap, BTreeSet};

use super::services::selects;
use crate::{
    api::{HASH, ROLLOUT},
    engine::snapshot::{Claim, Claimant, ReplicaSet, Rollout, Service},
};

/// A running pod that a Service selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What controls it.
    pub owner: Owner,
}

/// What controls a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The `ReplicaSet` with this uid.
    ReplicaSet(String),
    /// Another controller, or none.
    Other,
}

/// Returns whether a `ReplicaSet` is the Deployment's own, or its Rollout's canary, whose labels do
/// not match the Deployment's selector until the handover.
pub fn concerns(set: &ReplicaSet, rollout: &str, deployment: &str) -> bool {
    set.controller.as_deref() == Some(deployment)
        || set.meta.labels.get(ROLLOUT).is_some_and(|name| name == rollout)
}

/// Returns whether another Deployment could claim one of these Services: the Service selects its
/// `ReplicaSets`, or is pinned although no rollout of this Deployment is in progress. Otherwise the
/// namespace's Rollouts need not be read.
pub fn possible_claimants(services: &[Service], foreign: &[ReplicaSet], idle: bool) -> bool {
    services.iter().any(|service| {
        idle && service.selector.contains_key(HASH) || foreign.iter().any(|set| selected(service, set))
    })
}

/// Returns the Rollouts that claim a Service. A rollout in progress claims the Services it uses;
/// every Rollout claims those that select the pods of its Deployment, even at 0 replicas.
pub fn claimants(service: &Service, rollouts: &[Rollout], foreign: &[ReplicaSet]) -> Vec<Claimant> {
    let claims = |rollout: &&Rollout| {
        let trial = rollout.status.trial.as_ref();
        if trial.is_some_and(|trial| trial.services.contains(&service.meta.name)) {
            return true;
        }
        let leaving = trial.is_none() && rollout.meta.deleting;
        !leaving && foreign.iter().any(|set| serves(rollout, set) && selected(service, set))
    };
    let claimant = |rollout: &Rollout| Claimant {
        deployment: rollout.meta.name.clone(),
        claim: Claim::of(rollout),
        pods: BTreeSet::new(),
    };
    rollouts.iter().filter(claims).map(claimant).collect()
}

/// Returns the names of the pods that belong to a Rollout's Deployment.
pub fn pods_of(rollout: &Rollout, pods: &[Backend], sets: &[ReplicaSet]) -> BTreeSet<String> {
    let own: BTreeSet<&str> = sets
        .iter()
        .filter(|set| concerns(set, &rollout.meta.name, &rollout.owner))
        .map(|set| set.meta.uid.as_str())
        .collect();
    let of_own = |pod: &&Backend| matches!(&pod.owner, Owner::ReplicaSet(uid) if own.contains(uid.as_str()));
    pods.iter().filter(of_own).map(|pod| pod.name.clone()).collect()
}

/// Returns the names of the pods that belong neither to the Deployment nor to the Rollout.
///
/// A pod whose `ReplicaSet` is in neither list was created after the lists were read. Its owner is
/// not known, so it is not returned.
pub fn unrelated_pods(pods: &[Backend], foreign: &[ReplicaSet]) -> BTreeSet<String> {
    let strange = |pod: &&Backend| match &pod.owner {
        Owner::ReplicaSet(uid) => foreign.iter().any(|set| set.meta.uid == *uid),
        Owner::Other => true,
    };
    pods.iter().filter(strange).map(|pod| pod.name.clone()).collect()
}

/// Returns whether a Deployment serves with this `ReplicaSet` now; a former one is no claim.
fn serves(rollout: &Rollout, set: &ReplicaSet) -> bool {
    let stable = rollout.status.stable.as_ref().is_some_and(|stable| stable.replica_set == set.meta.name);
    concerns(set, &rollout.meta.name, &rollout.owner) && (set.replicas > 0 || stable)
}

fn selected(service: &Service, set: &ReplicaSet) -> bool {
    let labels = set.template.pointer("/metadata/labels").and_then(serde_json::Value::as_object);
    let labels: BTreeMap<String, String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    selects(&service.selector, &labels)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::snapshot::{Exposure, Meta};

    fn set(name: &str, owner: &str, app: &str, replicas: i32) -> ReplicaSet {
        ReplicaSet {
            meta: Meta { name: name.into(), uid: format!("uid-{name}"), ..Meta::default() },
            controller: Some(owner.into()),
            hash: String::new(),
            template: json!({"metadata": {"labels": {"app": app}}}),
            replicas,
            min_ready_seconds: 0,
            available: 0,
            existing: 0,
            failure: None,
            observed_generation: 0,
        }
    }

    fn rollout(status: &Value) -> Rollout {
        Rollout {
            meta: Meta { name: "shop".into(), uid: "r".into(), ..Meta::default() },
            finalizers: Vec::new(),
            owner: "shop".into(),
            spec: crate::api::RolloutSpec::default(),
            status: serde_json::from_value(status.clone()).unwrap(),
        }
    }

    fn service(selector: &[(&str, &str)]) -> Service {
        Service {
            meta: Meta { name: "web".into(), ..Meta::default() },
            selector: selector.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ports: Value::Null,
            exposure: Exposure::Cluster,
            ready: BTreeSet::new(),
            unrelated_pods: BTreeSet::new(),
            claimants: Vec::new(),
        }
    }

    #[test]
    fn a_deployment_claims_services_that_select_its_pods_or_that_its_rollout_uses() {
        let (web, idle) = (service(&[("app", "web")]), rollout(&json!({})));
        let stable = rollout(&json!({"stable": {"replicaSet": "shop-1"}}));
        let in_progress = rollout(&json!({"trial": {"services": ["web"]}}));
        for (rollout, sets, claims) in [
            (&idle, vec![set("shop-1", "shop", "web", 2)], true),
            (&idle, vec![set("shop-1", "shop", "shop", 2)], false),
            (&idle, vec![set("shop-1", "shop", "web", 0)], false),
            (&stable, vec![set("shop-1", "shop", "web", 0)], true),
            (&idle, vec![set("other-1", "other", "web", 2)], false),
            (&in_progress, vec![], true),
        ] {
            let found = claimants(&web, std::slice::from_ref(rollout), &sets);
            assert_eq!(!found.is_empty(), claims, "{:?} {sets:?}", rollout.status);
        }
    }

    #[test]
    fn rollouts_of_the_namespace_are_read_only_if_one_could_claim_the_service() {
        let alone = [service(&[("app", "web")])];
        let pinned = [service(&[("app", "web"), (HASH, "x")])];
        let others = [set("shop-1", "shop", "shop", 2)];
        assert!(!possible_claimants(&alone, &others, true));
        assert!(possible_claimants(&alone, &[set("shop-1", "shop", "web", 0)], true));
        assert!(!possible_claimants(&pinned, &others, false), "the pin is this Deployment's");
        assert!(possible_claimants(&pinned, &others, true));
    }

    #[test]
    fn only_pods_of_known_other_workloads_count_as_foreign() {
        let pod = |name: &str, owner| Backend { name: name.into(), owner };
        let pods = [
            pod("other-1-x", Owner::ReplicaSet("uid-other-1".into())),
            pod("new-1-x", Owner::ReplicaSet("uid-new-1".into())),
            pod("cron", Owner::Other),
        ];
        let found = unrelated_pods(&pods, &[set("other-1", "other", "web", 1)]);
        assert_eq!(found, ["cron".to_owned(), "other-1-x".to_owned()].into());
    }
}
