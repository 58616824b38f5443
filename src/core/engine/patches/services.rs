//! Pins: a Service's selector carries the hash of one version while a rollout is in progress.

use json_patch::PatchOperation;
use serde_json::json;

use super::{
    marks::{mark, marked, unmark},
    operations::{add, remove},
    record::{self, Mark},
    write::{patch, stamped, unstamped},
};
use crate::{
    api,
    engine::{
        plan::{Kind, Stamp, Write},
        snapshot::Service,
    },
};

/// Pins a Service to a hash, or unpins it.
pub(in crate::engine) fn pin(service: &Service, hash: Option<&str>) -> Option<Write> {
    let op = repin(service, hash);
    if hash.is_some() {
        return op.map(|op| stamped(Kind::Service, &service.meta, vec![op]));
    }
    // If another client removed the pin, Steelyard's mark is still there.
    let ops: Vec<_> = op.into_iter().chain(unmark(&service.meta)).collect();
    (!ops.is_empty()).then(|| unstamped(Kind::Service, &service.meta, ops))
}

/// Pins a Service to a hash, or unpins it, and marks it with the revision that failed and its
/// record.
pub(in crate::engine) fn mark_and_pin(service: &Service, hash: Option<&str>, failed: Mark) -> Option<Write> {
    let op = repin(service, hash);
    if op.is_none() && marked(&service.meta, failed.revision) {
        return None;
    }
    let record = add(["metadata", "annotations", api::FAILURE], json!(record::with(&service.meta, failed)));
    let ops = op.into_iter().chain(mark(&service.meta, failed.revision)).chain([record]).collect();
    Some(patch(Kind::Service, &service.meta, ops, Stamp::Annotation { exists: true }))
}

fn repin(service: &Service, hash: Option<&str>) -> Option<PatchOperation> {
    let path = ["spec", "selector", api::HASH];
    let now = service.selector.get(api::HASH).map(String::as_str);
    (now != hash).then(|| match hash {
        Some(hash) => add(path, json!(hash)),
        None => remove(path),
    })
}
