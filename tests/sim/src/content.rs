//! Objects as JSON, to the extent that a patch can reach them.

use serde_json::{Value, json};
use steelyard_core::engine::{Deployment, Meta, ReplicaSet, Rollout, Route, Service};

fn metadata(meta: &Meta) -> Value {
    // One other client comes first: the API server restores a record that would lose its last
    // entry.
    let managers = ["other"].into_iter().chain(meta.managed.iter().map(|_| "steelyard"));
    json!({
        "name": meta.name, "uid": meta.uid, "generation": meta.generation,
        "labels": meta.labels, "annotations": meta.annotations,
        "managedFields": managers.collect::<Vec<_>>(),
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
    let owner = set.controller.as_ref().map(|uid| json!({"uid": uid, "controller": true}));
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
    object["metadata"]["ownerReferences"] = owner.into_iter().collect();
    object
}

/// A Service; its endpoints are objects of their own.
pub(crate) fn service(service: &Service) -> Value {
    json!({
        "metadata": metadata(&service.meta),
        "spec": {"selector": service.selector, "ports": service.ports},
    })
}

/// A route.
pub(crate) fn route(route: &Route) -> Value {
    json!({
        "metadata": metadata(&route.meta),
        "spec": route.spec,
        "status": {"acceptance": format!("{:?}", route.acceptance)},
    })
}

/// A Rollout.
pub(crate) fn rollout(r: &Rollout) -> Value {
    let mut object = json!({"metadata": metadata(&r.meta), "spec": r.spec, "status": r.status});
    object["metadata"]["finalizers"] = json!(r.finalizers);
    object
}
