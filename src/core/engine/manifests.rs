//! What Steelyard creates, as raw JSON, the way the API server stores it.

use serde_json::{Value, json};

use super::{
    plan::{Kind, Write},
    snapshot::{Deployment, Meta, Rollout, Service, Snapshot},
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
/// It belongs to the Rollout, and to the Deployment without being controlled by it, so that garbage
/// collection never takes it under traffic. Its own labels stay off the Deployment's selector until the
/// handover, so that nothing can adopt it half done.
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

/// Creates the canary Service: the stable one's ports, labels and selector, for one hash.
///
/// It has the canary's two owners, for the same reason: a Rollout that is deleted in the foreground
/// would take it away while the route still leads there.
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
    let object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": s.namespace, "labels": labels,
            "annotations": {(api::EPOCH): s.epoch.to_string()},
            "ownerReferences": owned_by(&r.meta, d),
        },
        "spec": {"selector": selector, "ports": ports},
    });
    Write::Create { kind: Kind::Service, object }
}

/// The Deployment as the owner that controls an object.
pub(super) fn controlled_by(d: &Deployment) -> Value {
    let mut owner = owner(d);
    owner["controller"] = json!(true);
    owner
}

/// The Rollout as the owner that controls an object, and the Deployment as another one.
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
