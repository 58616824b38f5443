//! The objects that a world begins with, and those that the controllers make.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use steelyard_core::{
    api::{self, RolloutStatus},
    engine::{Deployment, Exposure, Meta, Pod, Policy, ReplicaSet, Rollout, Route, Service, Snapshot, Turn},
    traffic::gateway::Acceptance,
};

/// The uid of the Deployment.
pub(crate) const DEPLOYMENT_UID: &str = "uid-web";
/// The uid of the Rollout.
pub(crate) const ROLLOUT_UID: &str = "uid-web-rollout";
/// The hash of the `ReplicaSet` that serves at the beginning.
pub(crate) const FIRST_HASH: &str = "s1";

/// An object of generation 1 with this name, and a uid that is made of it.
pub(crate) fn meta(name: &str) -> Meta {
    Meta { name: name.into(), uid: format!("uid-{name}"), generation: 1, ..Meta::default() }
}

/// Four replicas of `demo:v1`.
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

/// The `ReplicaSet` that serves at the beginning.
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

/// A Service over the pods of `app: web`.
pub(crate) fn service() -> Service {
    Service {
        meta: meta("web"),
        selector: [("app".into(), "web".into())].into(),
        ports: json!([{"port": 80}]),
        exposure: Exposure::Cluster,
        ready: BTreeSet::new(),
        strangers: BTreeSet::new(),
        rivals: Vec::new(),
    }
}

/// A route whose only rule leads to Service `web`.
pub(crate) fn route() -> Route {
    Route { meta: meta("web"), spec: plain_route(), acceptance: Acceptance::Accepted }
}

/// The `spec` of a route as the user applies it: everything to Service `web`.
pub(crate) fn plain_route() -> Value {
    json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
}

/// A Rollout without an intent.
pub(crate) fn rollout() -> Rollout {
    Rollout {
        meta: Meta { uid: ROLLOUT_UID.into(), ..meta("web") },
        finalizers: Vec::new(),
        owner: DEPLOYMENT_UID.into(),
        spec: api::RolloutSpec::default(),
        status: RolloutStatus::default(),
    }
}

/// Two steps of five seconds by weight, and one metric.
pub(crate) fn policy() -> api::RolloutPolicySpec {
    let policy = json!({
        "strategy": {"canary": {"steps": [
            {"weight": 25, "hold": "5s"},
            {"weight": 50, "hold": "5s"},
        ]}},
        "traffic": {"gatewayAPI": {}},
        "analysis": {"settle": "1s", "interval": "1s", "metrics": [{
            "name": "success", "min": 0.9, "failureLimit": 0,
            "query": "sum(rate(ok{pod=~\"$canary_pods\"}[2s]))",
        }]},
    });
    serde_json::from_value(policy).expect("the policy has the shape of the API")
}

/// A pod of a `ReplicaSet`, not yet ready.
pub(crate) fn pod(name: String, hash: &str) -> Pod {
    let unready = Some("ContainersNotReady: [app]".to_owned());
    Pod { name, hash: hash.into(), trouble: None, unready, restarts: 0, deleting: false }
}

/// Everything above, before any controller has run.
pub(crate) fn snapshot() -> Snapshot {
    let deployment = deployment();
    Snapshot {
        now: Timestamp::UNIX_EPOCH,
        epoch: 1,
        drain: SignedDuration::from_secs(2),
        router: None,
        turn: Turn::Free,
        gated: true,
        namespace: "ns".into(),
        name: "web".into(),
        rollout: Some(rollout()),
        policy: Policy::Found(policy()),
        replica_sets: vec![stable(&deployment)],
        deployment: Some(deployment),
        services: vec![service()],
        taken: BTreeSet::new(),
        pods: Vec::new(),
        routes: vec![route()],
        readings: Vec::new(),
        answers: Vec::new(),
        refused: Vec::new(),
        asking: BTreeSet::new(),
    }
}
