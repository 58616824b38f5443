//! The objects that Steelyard creates, as raw JSON in the form that the API server stores.

use serde_json::{Value, json};

use super::{
    plan::{Kind, Write},
    snapshot::{Deployment, Exposure, Meta, Rollout, Service, Snapshot},
};
use crate::api;

/// Creates the Rollout of a Deployment: owned by it, without an intent.
pub(super) fn rollout(s: &Snapshot, d: &Deployment) -> Write {
    let object = json!({
        "apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": s.name, "namespace": s.namespace, "ownerReferences": [controlled_by(d)]},
        "spec": {},
    });
    Write::Create { kind: Kind::Rollout, object }
}

/// Creates the canary `ReplicaSet` at 0 pods.
///
/// The Rollout controls it, and the Deployment is a second owner, so that garbage collection never
/// deletes it while it has traffic. Its labels do not match the Deployment's selector until the
/// handover, so that nothing can adopt it early.
pub(super) fn canary(s: &Snapshot, d: &Deployment, r: &Rollout, name: &str, hash: &str) -> Write {
    let mut template = d.template.clone();
    template["metadata"]["labels"][api::HASH] = json!(hash);
    let mut selector = d.selector.clone();
    selector["matchLabels"][api::HASH] = json!(hash);
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": s.namespace,
            "labels": {(api::ROLLOUT): s.name, (api::HASH): hash},
            "annotations": {(api::EPOCH): s.epoch.to_string()},
            "ownerReferences": owned_by(&r.meta, d),
        },
        "spec": {"replicas": 0, "minReadySeconds": d.min_ready_seconds, "selector": selector, "template": template},
    });
    Write::Create { kind: Kind::ReplicaSet, object }
}

/// Creates the canary Service: ports, labels and selector of the stable Service, for one hash.
///
/// It has the two owners of the canary for the same reason: the foreground deletion of a Rollout
/// would delete it while the route still refers to it.
pub(super) fn canary_service(
    s: &Snapshot,
    d: &Deployment,
    r: &Rollout,
    stable: &Service,
    name: &str,
    hash: &str,
) -> Write {
    let mut labels = stable.meta.labels.clone();
    labels.insert(api::CANARY_OF.to_owned(), stable.meta.name.clone());
    labels.insert(api::ROLLOUT.to_owned(), s.name.clone());
    let mut selector = stable.selector.clone();
    selector.insert(api::HASH.to_owned(), hash.to_owned());
    let mut ports = stable.ports.clone();
    for port in ports.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
    let mut object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": s.namespace, "labels": labels,
            "annotations": {(api::EPOCH): s.epoch.to_string()},
            "ownerReferences": owned_by(&r.meta, d),
        },
        "spec": {"selector": selector},
    });
    if !ports.is_null() {
        object["spec"]["ports"] = ports;
    }
    if stable.exposure == Exposure::Headless {
        object["spec"]["clusterIP"] = json!("None");
    }
    Write::Create { kind: Kind::Service, object }
}

/// Returns the owner reference of the Deployment as controller.
pub(super) fn controlled_by(d: &Deployment) -> Value {
    let mut owner = owner(d);
    owner["controller"] = json!(true);
    owner
}

/// Returns the owner references of the Rollout as controller and of the Deployment.
pub(super) fn owned_by(rollout: &Meta, d: &Deployment) -> [Value; 2] {
    let controller = json!({
        "apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout",
        "name": rollout.name, "uid": rollout.uid, "controller": true,
    });
    [controller, owner(d)]
}

fn owner(d: &Deployment) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": d.meta.name, "uid": d.meta.uid})
}
