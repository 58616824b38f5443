//! Which other Deployments under Steelyard claim a Service. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;
use crate::{
    api::{HASH, ROLLOUT},
    engine::{Claim, ReplicaSet, Rival, Rollout, Service},
};

/// Whether somebody else could claim one of these Services at all: their `ReplicaSets` would be selected by it, or it is
/// pinned though this Deployment has nothing in flight. Else the namespace's Rollouts needn't be read.
pub fn possible(services: &[Service], foreign: &[ReplicaSet], idle: bool) -> bool {
    services.iter().any(|service| {
        idle && service.selector.contains_key(HASH) || foreign.iter().any(|set| selects(service, set))
    })
}

/// Those of these Rollouts that claim a Service: one in flight claims what it works on; any, what selects the pods of its
/// Deployment, also of one scaled to zero.
pub fn of(service: &Service, rollouts: &[Rollout], foreign: &[ReplicaSet]) -> Vec<Rival> {
    let claims = |rollout: &&Rollout| {
        let trial = rollout.status.trial.as_ref();
        if trial.is_some_and(|trial| trial.services.contains(&service.meta.name)) {
            return true;
        }
        let leaving = trial.is_none() && rollout.meta.deleting;
        !leaving && foreign.iter().any(|set| serves(rollout, set) && selects(service, set))
    };
    let rival = |rollout: &Rollout| Rival {
        deployment: rollout.meta.name.clone(),
        claim: Claim::of(rollout),
        pods: BTreeSet::new(),
    };
    rollouts.iter().filter(claims).map(rival).collect()
}

/// The names of those of these pods that are of a Deployment under Steelyard.
pub fn pods(rollout: &Rollout, pods: &[Value], sets: &[ReplicaSet]) -> BTreeSet<String> {
    let own: BTreeSet<_> = sets.iter().filter(|set| belongs(rollout, set)).map(|set| &set.meta.uid).collect();
    let of_own = |pod: &&Value| own.contains(&read::controller(pod));
    pods.iter().filter(of_own).map(|pod| read::meta(pod).name).collect()
}

fn belongs(rollout: &Rollout, set: &ReplicaSet) -> bool {
    set.controller.as_ref() == Some(&rollout.owner)
        || set.meta.labels.get(ROLLOUT) == Some(&rollout.meta.name)
}

/// Whether a `ReplicaSet` is one that a Deployment serves by: what it once was is no claim.
fn serves(rollout: &Rollout, set: &ReplicaSet) -> bool {
    let stable = rollout.status.stable.as_ref().is_some_and(|stable| stable.replica_set == set.meta.name);
    belongs(rollout, set) && (set.replicas > 0 || stable)
}

fn selects(service: &Service, set: &ReplicaSet) -> bool {
    read::selects(&service.selector, &read::strings(&set.template, "/metadata/labels"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(name: &str, owner: &str, app: &str, replicas: i32) -> ReplicaSet {
        let owners = json!([{"kind": "Deployment", "uid": owner, "controller": true}]);
        read::replica_set(&json!({
            "metadata": {"name": name, "uid": format!("uid-{name}"), "ownerReferences": owners},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": app}}}},
        }))
    }

    fn rollout(status: &Value) -> Rollout {
        let owners = json!([{"kind": "Deployment", "uid": "shop", "controller": true}]);
        let meta = json!({"name": "shop", "uid": "r", "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": owners});
        read::rollout(&json!({"metadata": meta, "spec": {}, "status": status})).expect("a Rollout")
    }

    fn service(selector: &Value) -> Service {
        read::service(&json!({"metadata": {"name": "web"}, "spec": {"selector": selector}}), BTreeSet::new())
    }

    #[test]
    fn a_deployment_claims_what_selects_its_pods_and_what_its_rollout_works_on() {
        let (web, idle) = (service(&json!({"app": "web"})), rollout(&json!({})));
        let stable = rollout(&json!({"stable": {"replicaSet": "shop-1"}}));
        let flying = rollout(&json!({"trial": {"services": ["web"]}}));
        for (rollout, sets, claims) in [
            (&idle, vec![set("shop-1", "shop", "web", 2)], true),
            (&idle, vec![set("shop-1", "shop", "shop", 2)], false),
            (&idle, vec![set("shop-1", "shop", "web", 0)], false),
            (&stable, vec![set("shop-1", "shop", "web", 0)], true),
            (&idle, vec![set("other-1", "other", "web", 2)], false),
            (&flying, vec![], true),
        ] {
            let found = of(&web, std::slice::from_ref(rollout), &sets);
            assert_eq!(!found.is_empty(), claims, "{:?} {sets:?}", rollout.status);
        }
    }

    #[test]
    fn the_namespace_s_rollouts_are_read_only_where_one_could_be_a_rival() {
        let [alone, pinned] =
            [json!({"app": "web"}), json!({"app": "web", HASH: "x"})].map(|selector| service(&selector));
        let others = [set("shop-1", "shop", "shop", 2)];
        assert!(!possible(std::slice::from_ref(&alone), &others, true));
        assert!(possible(&[alone], &[set("shop-1", "shop", "web", 0)], true));
        assert!(!possible(std::slice::from_ref(&pinned), &others, false), "the pin is its own");
        assert!(possible(&[pinned], &others, true));
    }
}
