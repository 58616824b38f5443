//! Objects as JSON, limited to the fields that a patch can change.

use serde_json::{Value, json};
use steelyard_core::engine::{Deployment, Meta, ReplicaSet, Rollout, Service};
use steelyard_core::traffic::Object;

fn metadata(meta: &Meta) -> Value {
    // Another field manager is listed first, because the API server restores `managedFields` if the
    // last entry is removed.
    let managers = ["other"].into_iter().chain(meta.managed.iter().map(|_| "steelyard"));
    json!({
        "name": meta.name, "uid": meta.uid, "generation": meta.generation,
        "labels": meta.labels, "annotations": meta.annotations,
        "managedFields": managers.collect::<Vec<_>>(),
        "ownerReferences": meta.owners.iter().map(|uid| json!({"uid": uid})).collect::<Vec<_>>(),
    })
}

/// A Deployment.
pub(crate) fn deployment(d: &Deployment) -> Value {
    json!({
        "metadata": metadata(&d.meta),
        "spec": {
            "replicas": d.replicas, "paused": d.paused, "template": d.template, "selector": d.selector,
            "minReadySeconds": d.min_ready_seconds, "recreate": d.recreate, "maxSurge": d.max_surge,
            "revisionHistoryLimit": d.history_limit,
        },
        "status": {"observedGeneration": d.observed_generation},
    })
}

/// A `ReplicaSet`. Its template has no hash label, as in the snapshot.
pub(crate) fn replica_set(set: &ReplicaSet) -> Value {
    let controller = set.controller.as_ref().map(|uid| json!({"uid": uid, "controller": true}));
    let others = set.meta.owners.iter().filter(|uid| Some(*uid) != set.controller.as_ref());
    let mut object = json!({
        "metadata": metadata(&set.meta),
        "spec": {
            "replicas": set.replicas, "minReadySeconds": set.min_ready_seconds, "template": set.template,
        },
        "status": {
            "replicas": set.existing, "availableReplicas": set.available, "failure": set.failure,
            "observedGeneration": set.observed_generation,
        },
    });
    object["metadata"]["ownerReferences"] =
        controller.into_iter().chain(others.map(|uid| json!({"uid": uid}))).collect();
    object
}

/// A Service. Its endpoints are separate objects.
pub(crate) fn service(service: &Service) -> Value {
    json!({
        "metadata": metadata(&service.meta),
        "spec": {"selector": service.selector, "ports": service.ports},
    })
}

/// A route.
pub(crate) fn route(route: &Object) -> Value {
    let seen = &route.status["parents"][0]["conditions"][0]["observedGeneration"];
    json!({
        "metadata": metadata(&route.meta),
        "spec": route.spec,
        "status": {"behind": seen.as_i64() != Some(route.meta.generation)},
    })
}

/// A Rollout.
pub(crate) fn rollout(r: &Rollout) -> Value {
    let mut object = json!({"metadata": metadata(&r.meta), "spec": r.spec, "status": r.status});
    object["metadata"]["finalizers"] = json!(r.finalizers);
    object
}
