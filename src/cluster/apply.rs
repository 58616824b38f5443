//! The only place that writes: a plan's writes in order, each fenced by the lease and by the version that was decided on.

use std::collections::BTreeMap;

use json_patch::{AddOperation, PatchOperation, ReplaceOperation, jsonptr::PointerBuf};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    Key,
    lease::Fence,
    raw::{CallError, Caller, collection, plural},
};
use crate::{
    api::{EPOCH, FAILED},
    engine::{Kind, RefusedWrite, Stamp, Write, WriteVerb},
    telemetry::metrics::Metrics,
};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// The writes that succeeded.
    pub done: usize,
    /// Whether the status was among them.
    pub status: bool,
    /// When traffic was taken back from a failed revision.
    pub taken_back: Option<Instant>,
    /// The Rollout's uid, where a write showed it.
    pub rollout: Option<String>,
    /// Why not all of them were.
    pub end: Option<End>,
}

/// Why a plan wasn't applied to its end.
#[derive(Debug)]
pub enum End {
    /// The world had moved: observe and decide again.
    Stale,
    /// A write failed; what the API server refused goes to the next decision.
    Failed(ApplyError, Option<RefusedWrite>),
}

/// Why a write failed.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The lease may end before the write does.
    #[error("{verb} {kind} {name}: the lease is about to end")]
    Fenced {
        /// The verb.
        verb: WriteVerb,
        /// The plural of the kind.
        kind: &'static str,
        /// The object.
        name: String,
    },
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Applies the writes of one plan.
pub async fn apply(
    caller: &Caller,
    fence: &Fence,
    metrics: &Metrics,
    key: &Key,
    writes: Vec<Write>,
) -> Applied {
    let mut applied = Applied::default();
    let mut versions = BTreeMap::new();
    for write in writes {
        let (verb, kind, name) = about(&write, key);
        if !fence.holds() {
            applied.end = Some(End::Failed(ApplyError::Fenced { verb, kind: plural(kind), name }, None));
            return applied;
        }
        let is_status = matches!(write, Write::Status { .. });
        let takes_back = takes_back(&write);
        let answer = send(caller, fence.epoch(), key, write, &versions).await;
        metrics.wrote(plural(kind), verb.word(), answer.as_ref().map_or_else(result, |_| "ok"));
        match answer {
            Ok(object) => {
                tracing::info!(deployment = %key, %verb, kind = plural(kind), %name, status = is_status, "wrote");
                if let Some(version) = object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                    versions.insert((plural(kind), name), version.to_owned());
                }
                if kind == Kind::Rollout {
                    applied.rollout =
                        object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
                }
                applied.done += 1;
                applied.status |= is_status;
                if takes_back {
                    applied.taken_back = Some(Instant::now());
                }
            }
            Err(error) if moved(&error) => {
                metrics.conflict();
                tracing::info!(deployment = %key, %verb, kind = plural(kind), %name, error = %super::chain(&error), "the world had moved");
                applied.end = Some(End::Stale);
                return applied;
            }
            Err(error) => {
                let refused = refused(&error, verb, kind, name);
                applied.end = Some(End::Failed(error.into(), refused));
                return applied;
            }
        }
    }
    applied
}

type Versions = BTreeMap<(&'static str, String), String>;

fn about(write: &Write, key: &Key) -> (WriteVerb, Kind, String) {
    match write {
        Write::Create { kind, object } => (WriteVerb::Create, *kind, named(object).to_owned()),
        Write::Patch { kind, name, .. } => (WriteVerb::Patch, *kind, name.clone()),
        Write::Delete { kind, name, .. } => (WriteVerb::Delete, *kind, name.clone()),
        Write::Status { .. } => (WriteVerb::Patch, Kind::Rollout, key.name.clone()),
    }
}

fn named(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

async fn send(
    caller: &Caller,
    epoch: u64,
    key: &Key,
    write: Write,
    versions: &Versions,
) -> Result<Value, CallError> {
    let path = |kind| collection(kind, &key.namespace);
    let newest = |kind, name: &str, version: String| {
        versions.get(&(plural(kind), name.to_owned())).cloned().unwrap_or(version)
    };
    match write {
        Write::Create { kind, object } => caller.create(&path(kind), &object).await,
        Write::Patch { kind, name, version, ops, stamp } => {
            let ops = fenced(&newest(kind, &name, version), ops, stamp, epoch);
            caller.patch(&path(kind), &name, ops).await
        }
        Write::Delete { kind, name, uid, version } => {
            let version = newest(kind, &name, version);
            caller.delete(&path(kind), &name, &uid, &version).await.map(|()| Value::Null)
        }
        Write::Status { version, status } => {
            let version = newest(Kind::Rollout, &key.name, version);
            let mut metadata = json!({"name": key.name, "namespace": key.namespace});
            if !version.is_empty() {
                metadata["resourceVersion"] = version.into();
            }
            let body = json!({"apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout", "metadata": metadata, "status": status});
            caller.status(&path(Kind::Rollout), &key.name, &body).await
        }
    }
}

/// The operations between the version they were decided on and the epoch.
///
/// Replacing the version makes the API server answer 409 when it has moved; a failed `test` would be a 422.
fn fenced(version: &str, ops: Vec<PatchOperation>, stamp: Stamp, epoch: u64) -> Vec<PatchOperation> {
    let path = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
    let mut all = vec![PatchOperation::Replace(ReplaceOperation { path, value: version.into() })];
    all.extend(ops);
    let (map, exists) = match stamp {
        Stamp::Annotation { exists } => ("annotations", exists),
        Stamp::Label { exists } => ("labels", exists),
        Stamp::None => return all,
    };
    let epoch = epoch.to_string();
    let (path, value) = if exists {
        (PointerBuf::from_tokens(["metadata", map, EPOCH]), json!(epoch))
    } else {
        (PointerBuf::from_tokens(["metadata", map]), json!({EPOCH: epoch}))
    };
    all.push(PatchOperation::Add(AddOperation { path, value }));
    all
}

/// Whether this write takes traffic back from a failed revision: it puts the mark on the route, or on the Service.
fn takes_back(write: &Write) -> bool {
    let Write::Patch { kind: Kind::HttpRoute | Kind::Service, ops, .. } = write else { return false };
    let names = |path: &PointerBuf| path.last().is_some_and(|token| token.decoded() == FAILED);
    ops.iter().any(|op| match op {
        PatchOperation::Add(AddOperation { path, value })
        | PatchOperation::Replace(ReplaceOperation { path, value }) => {
            names(path) || value.get(FAILED).is_some()
        }
        _ => false,
    })
}

/// The write as one that the API server, or an admission policy, refused: a 4xx by which the world has not moved.
fn refused(error: &CallError, verb: WriteVerb, kind: Kind, name: String) -> Option<RefusedWrite> {
    let status = error.status().filter(|status| (400..500).contains(&status.code) && status.code != 429)?;
    Some(RefusedWrite { verb, kind, name, code: status.code, message: status.message.clone() })
}

/// Whether the API server says that the world isn't the one that was decided on.
fn moved(error: &CallError) -> bool {
    error.status().is_some_and(|status| match status.code {
        404 | 409 => true,
        // A failed `test` of a JSON patch: a 422 that names no field.
        422 => status.message.contains("testing value") || status.message.contains("test failed"),
        _ => false,
    })
}

fn result(error: &CallError) -> &'static str {
    if moved(error) {
        return "stale";
    }
    match error.status().map(|s| s.code) {
        Some(401 | 403) => "forbidden",
        Some(400..500) => "refused",
        Some(_) => "server",
        None => "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_replaces_the_version_first_and_writes_the_epoch_last() {
        let op = json!({"op": "add", "path": "/spec/paused", "value": true});
        let fenced = |version, ops: Vec<Value>, stamp, epoch| {
            let ops = ops.into_iter().map(|op| serde_json::from_value(op).unwrap()).collect();
            let all = super::fenced(version, ops, stamp, epoch);
            all.iter().map(|op| serde_json::to_value(op).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            fenced("12", vec![op.clone()], Stamp::Label { exists: true }, 7),
            [
                json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "12"}),
                op.clone(),
                json!({"op": "add", "path": "/metadata/labels/steelyard.io~1epoch", "value": "7"}),
            ]
        );
        assert_eq!(
            fenced("12", vec![op.clone()], Stamp::Annotation { exists: false }, 7)[2],
            json!({"op": "add", "path": "/metadata/annotations", "value": {"steelyard.io/epoch": "7"}})
        );
        assert_eq!(fenced("12", vec![op], Stamp::None, 7).len(), 2);
    }

    #[test]
    fn only_a_route_or_a_service_that_is_marked_failed_counts_as_traffic_taken_back() {
        let patch = |kind, op: Value| Write::Patch {
            kind,
            name: "web".into(),
            version: "1".into(),
            ops: vec![serde_json::from_value(op).unwrap()],
            stamp: Stamp::None,
        };
        let mark =
            json!({"op": "add", "path": "/metadata/annotations/steelyard.io~1failed", "value": "0abc"});
        let whole =
            json!({"op": "add", "path": "/metadata/annotations", "value": {"steelyard.io/failed": "0abc"}});
        let clear = json!({"op": "remove", "path": "/metadata/annotations/steelyard.io~1failed"});
        let weight = json!({"op": "replace", "path": "/spec", "value": {}});
        assert!(takes_back(&patch(Kind::HttpRoute, mark.clone())));
        assert!(takes_back(&patch(Kind::HttpRoute, whole)));
        assert!(!takes_back(&patch(Kind::HttpRoute, clear)));
        assert!(!takes_back(&patch(Kind::HttpRoute, weight)));
        assert!(!takes_back(&patch(Kind::ReplicaSet, mark)));
    }

    #[test]
    fn what_is_refused_is_told_apart_from_what_has_moved_and_from_what_is_down() {
        let answer = |code: u16| CallError::Failed {
            verb: super::super::raw::Verb::Write(WriteVerb::Create),
            object: "services/web".into(),
            source: Box::new(kube::Error::Api(Box::new(
                kube::core::Status::failure("exceeded quota", "Forbidden").with_code(code),
            ))),
        };
        let refused = |code| refused(&answer(code), WriteVerb::Create, Kind::Service, "web".into());
        let quota = refused(403).expect("refused");
        assert_eq!((quota.code, quota.message.as_str()), (403, "exceeded quota"));
        assert!(refused(422).is_some());
        assert_eq!([429, 500, 503].map(refused), [None, None, None]);
    }
}
