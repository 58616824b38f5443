//! The mark `steelyard.io/failed`: on a route or a Service, the revisions whose traffic returned to
//! stable; on a `ReplicaSet`, the reason why its template was rejected. It survives a crash of the
//! controller.

use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::{
    operations::{add, remove},
    write::unstamped,
};
use crate::{
    api,
    engine::{
        plan::{Kind, Write},
        snapshot::Meta,
    },
};

/// Returns the revisions that an object is marked with: several Deployments may share one route.
pub(super) fn marks(meta: &Meta) -> impl Iterator<Item = &str> {
    meta.annotations.get(api::FAILED).into_iter().flat_map(|marks| marks.split(','))
}

/// Returns whether an object is marked with a revision.
pub(in crate::engine) fn marked(meta: &Meta, revision: &str) -> bool {
    marks(meta).any(|mark| mark == revision)
}

/// Returns the operations that add the mark to an object's annotations.
pub(super) fn mark(meta: &Meta, value: &str) -> Vec<PatchOperation> {
    let mut ops = Vec::new();
    if meta.annotations.is_empty() {
        ops.push(add(["metadata", "annotations"], Value::Object(serde_json::Map::new())));
    }
    ops.push(add(["metadata", "annotations", api::FAILED], json!(value)));
    ops
}

/// Returns the operations that remove Steelyard's marks from an object's annotations.
pub(super) fn unmark(meta: &Meta) -> impl Iterator<Item = PatchOperation> + use<'_> {
    let all = [api::EPOCH, api::FAILED, api::FAILURE].into_iter();
    let there = all.filter(|key| meta.annotations.contains_key(*key));
    there.map(|key| remove(["metadata", "annotations", key]))
}

/// Marks the `ReplicaSet` of a rejected template, so that a new Rollout recognizes it.
pub(in crate::engine) fn rejected(meta: &Meta, reason: &str) -> Option<Write> {
    let known = meta.annotations.contains_key(api::FAILED);
    (!known).then(|| unstamped(Kind::ReplicaSet, meta, mark(meta, reason)))
}
