//! Deployments, `ReplicaSets`, the Rollout: sizes, templates, marks of ownership.

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

/// Whether a Deployment that is released may roll out natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Release {
    /// It may: its template is the one that serves, or is wanted unmeasured.
    Resume,
    /// It stays paused, for a person to resume.
    StayPaused,
}

/// Releases a Deployment: our labels off, and resumed if its template may roll.
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

/// Puts our finalizer on the Rollout, or takes it off, and leaves those of others.
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

/// Takes us off the record of who set an object's fields, so that a tool that applies it server-side
/// meets no conflict.
pub(in crate::engine) fn disown(kind: Kind, meta: &Meta) -> Option<Write> {
    (!meta.managed.is_empty()).then(|| unstamped(kind, meta, disowning(meta).collect()))
}

fn disowning(meta: &Meta) -> impl Iterator<Item = PatchOperation> + use<'_> {
    let ours = meta.managed.iter().rev();
    ours.map(|at| remove(["metadata", "managedFields", at.to_string().as_str()]))
}
