//! The objects of the initial world, and those that the controllers create.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use steelyard_core::{
    api::{self, RolloutStatus},
    engine::{
        Capacity, Deployment, Exposure, Meta, Pod, PolicyState, ReplicaSet, Rollout, Service, Snapshot,
    },
    policy::{Faults, compile},
    traffic::{Object, gateway::HTTP_ROUTE},
};

/// The namespace of all objects.
pub(crate) const NAMESPACE: &str = "ns";
/// The uid of the Deployment.
pub(crate) const DEPLOYMENT_UID: &str = "uid-web";
/// The uid of the Rollout.
pub(crate) const ROLLOUT_UID: &str = "uid-web-rollout";
/// The hash of the initial stable `ReplicaSet`.
pub(crate) const FIRST_HASH: &str = "s1";

/// Metadata of generation 1 with this name, and a uid derived from it.
pub(crate) fn meta(name: &str) -> Meta {
    let (namespace, uid) = (NAMESPACE.to_owned(), format!("uid-{name}"));
    Meta { namespace, name: name.into(), uid, generation: 1, ..Meta::default() }
}

/// The Deployment: four replicas of `demo:v1`.
pub(crate) fn deployment() -> Deployment {
    Deployment {
        meta: Meta { annotations: [(api::POLICY.into(), "p".into())].into(), ..meta("web") },
        replicas: 4,
        paused: false,
        template: template("demo:v1"),
        selector: json!({"matchLabels": {"app": "web"}}),
        min_ready_seconds: 0,
        recreate: false,
        max_surge: 1,
        history_limit: 10,
        observed_generation: 1,
    }
}

/// A pod template with this image.
pub(crate) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": image}]},
    })
}

/// The initial stable `ReplicaSet`.
pub(crate) fn stable(deployment: &Deployment) -> ReplicaSet {
    let mut meta = meta("web-s1");
    meta.labels.insert(api::HASH.into(), FIRST_HASH.into());
    ReplicaSet {
        meta,
        controller: Some(deployment.meta.uid.clone()),
        hash: FIRST_HASH.into(),
        template: deployment.template.clone(),
        replicas: deployment.replicas,
        min_ready_seconds: 0,
        available: deployment.replicas,
        existing: deployment.replicas,
        failure: None,
        observed_generation: 1,
    }
}

/// A Service that selects `app: web`.
pub(crate) fn service() -> Service {
    Service {
        meta: meta("web"),
        selector: [("app".into(), "web".into())].into(),
        ports: json!([{"port": 80}]),
        exposure: Exposure::Cluster,
        ready: BTreeSet::new(),
        unrelated_pods: BTreeSet::new(),
        claimants: Vec::new(),
    }
}

/// A route whose only rule sends to Service `web`.
pub(crate) fn route() -> Object {
    let mut route =
        Object { resource: HTTP_ROUTE, meta: meta("web"), spec: plain_route(), status: Value::Null };
    accept(&mut route);
    route
}

/// Lets the gateway accept a route in its current generation.
pub(crate) fn accept(route: &mut Object) {
    let seen = route.meta.generation;
    let accepted = json!({"type": "Accepted", "status": "True", "observedGeneration": seen});
    route.status = json!({"parents": [{"parentRef": {"name": "gw"}, "conditions": [accepted]}]});
}

/// The `spec` of a route as the user applies it: all traffic to Service `web`.
pub(crate) fn plain_route() -> Value {
    json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
}

/// A Rollout without an intent.
pub(crate) fn rollout() -> Rollout {
    Rollout {
        meta: Meta { uid: ROLLOUT_UID.into(), owners: [DEPLOYMENT_UID.into()].into(), ..meta("web") },
        finalizers: Vec::new(),
        owner: DEPLOYMENT_UID.into(),
        spec: api::RolloutSpec::default(),
        status: RolloutStatus::default(),
    }
}

/// A policy of two steps of five seconds each by weight, and one metric.
pub(crate) fn policy() -> api::RolloutPolicySpec {
    let policy = json!({
        "strategy": {"canary": {"steps": [
            {"weight": 25, "duration": "5s"},
            {"weight": 50, "duration": "5s"},
        ]}},
        "traffic": {"gatewayAPI": {}},
        "analysis": {"settle": "1s", "interval": "1s", "metrics": [{
            "name": "success", "min": 0.9, "failureLimit": 0,
            "query": "sum(rate(ok{pod=~\"$canary_pods\"}[2s]))",
        }]},
    });
    serde_json::from_value(policy).expect("the policy has the shape of the API")
}

/// A pod of a `ReplicaSet` that is not ready yet.
pub(crate) fn pod(name: String, hash: &str) -> Pod {
    let unready = Some("ContainersNotReady: [app]".to_owned());
    Pod { name, hash: hash.into(), trouble: None, unready, restarts: None, deleting: false }
}

/// All objects above, before any controller has run.
pub(crate) fn snapshot() -> Snapshot {
    let deployment = deployment();
    Snapshot {
        now: Timestamp::UNIX_EPOCH,
        epoch: 1,
        drain: SignedDuration::from_secs(2),
        router: None,
        capacity: Capacity::Free,
        hold_enforced: true,
        namespace: NAMESPACE.into(),
        name: "web".into(),
        rollout: Some(rollout()),
        policy: PolicyState::from(compile(&policy()).map(Arc::new).map_err(Faults)),
        begun: None,
        replica_sets: vec![stable(&deployment)],
        deployment: Some(deployment),
        services: vec![service()],
        taken: BTreeSet::new(),
        left_behind: Vec::new(),
        pods: Vec::new(),
        routes: vec![route()],
        readings: Vec::new(),
        answers: Vec::new(),
        refused: Vec::new(),
        asking: BTreeSet::new(),
    }
}
