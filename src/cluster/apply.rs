//! The only place that writes: a plan's writes in order, each fenced by the lease and by the version that was decided on.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    Key,
    lease::Fence,
    raw::{CallError, Caller, Verb, collection, plural},
};
use crate::{
    api::{EPOCH, FAILED},
    engine::{Kind, Stamp, Write},
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
    /// The world had moved: look and decide again.
    Stale,
    /// A write failed.
    Failed(ApplyError),
}

/// Why a write failed.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The lease may end before the write does.
    #[error("{verb} {kind} {name}: the lease is about to end")]
    Fenced {
        /// The verb.
        verb: Verb,
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
            applied.end = Some(End::Failed(ApplyError::Fenced { verb, kind: plural(kind), name }));
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
                applied.end = Some(End::Failed(error.into()));
                return applied;
            }
        }
    }
    applied
}

type Versions = BTreeMap<(&'static str, String), String>;

fn about(write: &Write, key: &Key) -> (Verb, Kind, String) {
    match write {
        Write::Create { kind, object } => (Verb::Create, *kind, named(object).to_owned()),
        Write::Patch { kind, name, .. } => (Verb::Patch, *kind, name.clone()),
        Write::Delete { kind, name, .. } => (Verb::Delete, *kind, name.clone()),
        Write::Status { .. } => (Verb::Patch, Kind::Rollout, key.name.clone()),
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
fn fenced(version: &str, ops: Vec<Value>, stamp: Stamp, epoch: u64) -> Vec<Value> {
    let mut all = vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version})];
    all.extend(ops);
    let (map, exists) = match stamp {
        Stamp::Annotation { exists } => ("annotations", exists),
        Stamp::Label { exists } => ("labels", exists),
        Stamp::None => return all,
    };
    let epoch = epoch.to_string();
    all.push(if exists {
        json!({"op": "add", "path": format!("/metadata/{map}/{}", EPOCH.replace('/', "~1")), "value": epoch})
    } else {
        json!({"op": "add", "path": format!("/metadata/{map}"), "value": {EPOCH: epoch}})
    });
    all
}

/// Whether this write takes traffic back from a failed revision: it puts the mark on the route, or on the Service.
fn takes_back(write: &Write) -> bool {
    let Write::Patch { kind: Kind::HttpRoute | Kind::Service, ops, .. } = write else { return false };
    let escaped = FAILED.replace('/', "~1");
    ops.iter().any(|op| {
        let marks =
            op["path"].as_str().is_some_and(|p| p.ends_with(&escaped)) || op["value"].get(FAILED).is_some();
        marks && op["op"] != "remove"
    })
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
            ops: vec![op],
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
}
