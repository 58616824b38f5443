//! Patches of routes: `spec`, annotations, and the mark of a failed revision.

use std::collections::BTreeMap;

use json_patch::PatchOperation;
use serde_json::json;

use super::{
    marks::{marks, unmark},
    operations::{add, remove, spec_differences},
    record::{self, Mark},
    write::{patch, unstamped},
};
use crate::{
    api,
    engine::plan::{Kind, Stamp, Write},
    traffic::{Change, Object, Pair, Route, Router, service::SERVICE},
};

/// Writes a change of a route, with the mark of the failed revision and its record, if any.
pub(in crate::engine) fn update_route(change: &Change, failed: Option<Mark>) -> Write {
    let meta = &change.object.meta;
    let mut ops = spec_differences(&change.object.spec, &change.spec);
    let mark = failed.into_iter().flat_map(|mark| {
        let others = marks(meta).filter(|other| *other != mark.revision);
        let revisions = others.chain([mark.revision]).collect::<Vec<_>>().join(",");
        [(api::FAILED, Some(revisions)), (api::FAILURE, Some(record::with(meta, mark)))]
    });
    let annotated = annotations(change.object, change.annotations.clone().into_iter().chain(mark));
    let exists = !meta.annotations.is_empty() || !annotated.is_empty();
    if meta.annotations.is_empty() && exists {
        ops.push(add(["metadata", "annotations"], json!({})));
    }
    ops.extend(annotated);
    patch(kind(change.object), meta, ops, Stamp::Annotation { exists })
}

/// Leaves a route as the user would have it without a rollout, and removes Steelyard's marks; marks
/// of other Deployments' revisions stay.
pub(in crate::engine) fn restore_route(
    router: &dyn Router,
    route: &Route,
    pair: &Pair,
    revision: &str,
) -> Vec<Write> {
    let changes = router.restore(route, pair);
    let unmarked = changes.is_empty().then(|| unchanged(route.main));
    unmarked.iter().chain(&changes).filter_map(|change| restore(change, revision)).collect()
}

fn restore(change: &Change, revision: &str) -> Option<Write> {
    let meta = &change.object.meta;
    let mut ops = spec_differences(&change.object.spec, &change.spec);
    ops.extend(annotations(change.object, change.annotations.clone().into_iter()));
    let others: Vec<&str> = marks(meta).filter(|mark| *mark != revision).collect();
    if revision.is_empty() || others.is_empty() {
        ops.extend(unmark(meta));
    } else if super::marked(meta, revision) {
        let left = [(api::FAILED, Some(others.join(","))), (api::FAILURE, record::without(meta, revision))];
        ops.extend(annotations(change.object, left.into_iter()));
    }
    (!ops.is_empty()).then(|| unstamped(kind(change.object), meta, ops))
}

/// Returns the kind of an object that a router changes.
fn kind(object: &Object) -> Kind {
    if object.resource == SERVICE { Kind::Service } else { Kind::Route(object.resource) }
}

/// Returns an empty change, for a write that only adds a mark.
pub(in crate::engine) fn unchanged(object: &Object) -> Change<'_> {
    Change { object, spec: object.spec.clone(), annotations: BTreeMap::new() }
}

/// Returns the operations that set and remove these annotations.
fn annotations(
    object: &Object,
    wanted: impl Iterator<Item = (&'static str, Option<String>)>,
) -> Vec<PatchOperation> {
    let there = &object.meta.annotations;
    let op = |(key, value): (&'static str, Option<String>)| match value {
        Some(value) if there.get(key) != Some(&value) => {
            Some(add(["metadata", "annotations", key], json!(value)))
        }
        None if there.contains_key(key) => Some(remove(["metadata", "annotations", key])),
        _ => None,
    };
    wanted.filter_map(op).collect()
}
