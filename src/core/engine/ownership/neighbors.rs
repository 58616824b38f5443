//! Other workloads behind the Services of a Deployment.

use std::collections::{BTreeMap, BTreeSet};

use super::services::selects;
use crate::{
    api::{HASH, ROLLOUT},
    engine::snapshot::{Claim, ReplicaSet, Rival, Rollout, Service},
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
    /// The `ReplicaSet` of this uid.
    ReplicaSet(String),
    /// Something else, or nothing.
    Other,
}

/// Whether a `ReplicaSet` is the Deployment's own, or its Rollout's canary, whose labels stay off the
/// Deployment's selector until the handover.
pub fn concerns(set: &ReplicaSet, rollout: &str, deployment: &str) -> bool {
    set.controller.as_deref() == Some(deployment)
        || set.meta.labels.get(ROLLOUT).is_some_and(|name| name == rollout)
}

/// Whether another Deployment could claim one of these Services at all: its `ReplicaSets` would be
/// selected by it, or it is pinned though no rollout of this Deployment is in progress. Else the
/// namespace's Rollouts need not be read.
pub fn possible_rivals(services: &[Service], foreign: &[ReplicaSet], idle: bool) -> bool {
    services.iter().any(|service| {
        idle && service.selector.contains_key(HASH) || foreign.iter().any(|set| selected(service, set))
    })
}

/// Those of these Rollouts that claim a Service: one in progress claims what it works on; any, what
/// selects the pods of its Deployment, also of one scaled to zero.
pub fn rivals(service: &Service, rollouts: &[Rollout], foreign: &[ReplicaSet]) -> Vec<Rival> {
    let claims = |rollout: &&Rollout| {
        let trial = rollout.status.trial.as_ref();
        if trial.is_some_and(|trial| trial.services.contains(&service.meta.name)) {
            return true;
        }
        let leaving = trial.is_none() && rollout.meta.deleting;
        !leaving && foreign.iter().any(|set| serves(rollout, set) && selected(service, set))
    };
    let rival = |rollout: &Rollout| Rival {
        deployment: rollout.meta.name.clone(),
        claim: Claim::of(rollout),
        pods: BTreeSet::new(),
    };
    rollouts.iter().filter(claims).map(rival).collect()
}

/// The names of those of these pods that are of a Rollout's Deployment.
pub fn pods_of(rollout: &Rollout, pods: &[Backend], sets: &[ReplicaSet]) -> BTreeSet<String> {
    let own: BTreeSet<&str> = sets
        .iter()
        .filter(|set| concerns(set, &rollout.meta.name, &rollout.owner))
        .map(|set| set.meta.uid.as_str())
        .collect();
    let of_own = |pod: &&Backend| matches!(&pod.owner, Owner::ReplicaSet(uid) if own.contains(uid.as_str()));
    pods.iter().filter(of_own).map(|pod| pod.name.clone()).collect()
}

/// The names of those of these pods that are neither the Deployment's nor the Rollout's.
///
/// A pod whose `ReplicaSet` is in neither list was created since they were read: nothing is known of
/// it, so it counts as no stranger.
pub fn strangers(pods: &[Backend], foreign: &[ReplicaSet]) -> BTreeSet<String> {
    let strange = |pod: &&Backend| match &pod.owner {
        Owner::ReplicaSet(uid) => foreign.iter().any(|set| set.meta.uid == *uid),
        Owner::Other => true,
    };
    pods.iter().filter(strange).map(|pod| pod.name.clone()).collect()
}

/// Whether a `ReplicaSet` is one that a Deployment serves by: what it once was is no claim.
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
            strangers: BTreeSet::new(),
            rivals: Vec::new(),
        }
    }

    #[test]
    fn a_deployment_claims_what_selects_its_pods_and_what_its_rollout_works_on() {
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
            let found = rivals(&web, std::slice::from_ref(rollout), &sets);
            assert_eq!(!found.is_empty(), claims, "{:?} {sets:?}", rollout.status);
        }
    }

    #[test]
    fn the_namespace_s_rollouts_are_read_only_where_one_could_be_a_rival() {
        let alone = [service(&[("app", "web")])];
        let pinned = [service(&[("app", "web"), (HASH, "x")])];
        let others = [set("shop-1", "shop", "shop", 2)];
        assert!(!possible_rivals(&alone, &others, true));
        assert!(possible_rivals(&alone, &[set("shop-1", "shop", "web", 0)], true));
        assert!(!possible_rivals(&pinned, &others, false), "the pin is its own");
        assert!(possible_rivals(&pinned, &others, true));
    }

    #[test]
    fn strangers_are_pods_of_other_workloads_that_are_known() {
        let pod = |name: &str, owner| Backend { name: name.into(), owner };
        let pods = [
            pod("other-1-x", Owner::ReplicaSet("uid-other-1".into())),
            pod("new-1-x", Owner::ReplicaSet("uid-new-1".into())),
            pod("cron", Owner::Other),
        ];
        let found = strangers(&pods, &[set("other-1", "other", "web", 1)]);
        assert_eq!(found, ["cron".to_owned(), "other-1-x".to_owned()].into());
    }
}
