//! Patches of Deployments, `ReplicaSets` and the Rollout: sizes, templates, labels, finalizers.

use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::{
    operations::{add, remove, replace, test},
    write::{stamped, unstamped},
};
use crate::{
    api,
    engine::{
        plan::{Kind, Write},
        snapshot::{Deployment, Meta, Rollout},
    },
};

/// Sets the replicas of a `ReplicaSet`.
pub(in crate::engine) fn scale(meta: &Meta, replicas: i32) -> Write {
    stamped(Kind::ReplicaSet, meta, vec![replace(["spec", "replicas"], json!(replicas))])
}

/// Sets the replicas of a `ReplicaSet` that is not a canary: nothing of Steelyard is left on it.
pub(in crate::engine) fn resize(meta: &Meta, replicas: i32) -> Write {
    unstamped(Kind::ReplicaSet, meta, vec![replace(["spec", "replicas"], json!(replicas))])
}

/// Sets `minReadySeconds` of a `ReplicaSet`.
pub(in crate::engine) fn min_ready(meta: &Meta, seconds: i32) -> Write {
    stamped(Kind::ReplicaSet, meta, vec![add(["spec", "minReadySeconds"], json!(seconds))])
}

/// Deletes an object.
pub(in crate::engine) fn delete(kind: Kind, meta: &Meta) -> Write {
    Write::Delete { kind, name: meta.name.clone(), uid: meta.uid.clone(), version: meta.version.clone() }
}

/// Writes a template into the Deployment; admission holds it.
pub(in crate::engine) fn template(d: &Deployment, template: &Value) -> Write {
    let path = ["spec", "template"];
    let ops = vec![test(path, d.template.clone()), replace(path, template.clone())];
    unstamped(Kind::Deployment, &d.meta, ops)
}

/// Whether a released Deployment may roll out natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Release {
    /// It may: its template is stable's, or a person skipped the analysis.
    Resume,
    /// It stays paused until a person resumes it.
    StayPaused,
}

/// Releases a Deployment: removes Steelyard's labels, and resumes it if its template may roll out.
pub(in crate::engine) fn release(d: &Deployment, how: Release) -> Option<Write> {
    let mut ops = Vec::new();
    if how == Release::Resume && d.paused {
        ops.push(test(["spec", "template"], d.template.clone()));
        ops.push(remove(["spec", "paused"]));
    }
    for key in [api::HELD, api::EPOCH] {
        if d.meta.labels.contains_key(key) {
            ops.push(remove(["metadata", "labels", key]));
        }
    }
    if ops.is_empty() {
        return None;
    }
    ops.extend(disowning(&d.meta));
    Some(unstamped(Kind::Deployment, &d.meta, ops))
}

/// Adds Steelyard's finalizer to the Rollout, or removes it; other finalizers stay.
pub(in crate::engine) fn finalizer(r: &Rollout, wanted: bool) -> Option<Write> {
    let mut finalizers = r.finalizers.clone();
    finalizers.retain(|name| name != api::FINALIZER);
    if wanted {
        finalizers.push(api::FINALIZER.to_owned());
    }
    let changed = finalizers.len() != r.finalizers.len();
    let op = add(["metadata", "finalizers"], json!(finalizers));
    changed.then(|| unstamped(Kind::Rollout, &r.meta, vec![op]))
}

/// Removes Steelyard from `metadata.managedFields` of an object, so that server-side apply by
/// another tool has no conflict.
pub(in crate::engine) fn disown(kind: Kind, meta: &Meta) -> Option<Write> {
    (!meta.managed.is_empty()).then(|| unstamped(kind, meta, disowning(meta).collect()))
}

fn disowning(meta: &Meta) -> impl Iterator<Item = PatchOperation> + use<'_> {
    let ours = meta.managed.iter().rev();
    ours.map(|at| remove(["metadata", "managedFields", at.to_string().as_str()]))
}
