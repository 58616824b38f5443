//! Sends the writes of a plan in order; nothing else writes. Each write is fenced by the lease and
//! by the resource version that was decided on.

use std::collections::BTreeMap;

use json_patch::{AddOperation, PatchOperation, ReplaceOperation, jsonptr::PointerBuf};
use kube::core::Status;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    ObjectKey,
    cache::{CachedKind, Caches},
    lease::Fence,
    raw::{CallError, Caller, collection, plural},
};
use crate::{
    api::{EPOCH, FAILED},
    engine::{Kind, RefusedWrite, Stamp, Write, WriteVerb},
    telemetry::metrics::Metrics,
};

/// The result of applying a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// The number of writes that succeeded.
    pub written: usize,
    /// Whether the write of the Rollout's status succeeded.
    pub status: bool,
    /// When traffic was withdrawn from a failed revision.
    pub rolled_back: Option<Instant>,
    /// The uid of the Rollout, if a write returned it.
    pub rollout: Option<String>,
    /// Why not all writes were applied.
    pub stopped: Option<StopReason>,
}

/// Why a plan was not applied completely.
#[derive(Debug)]
pub enum StopReason {
    /// An object changed meanwhile: observe and decide again.
    Conflict,
    /// A write failed. A write that the API server refused is part of the next snapshot.
    Failed(ApplyError, Option<RefusedWrite>),
}

/// Why a write failed.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The lease may expire before the write ends.
    #[error("{verb} {kind} {name}: not sent, because the lease is about to expire or is lost")]
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

/// What writes need.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// The API server.
    pub caller: &'a Caller,
    /// Gets what the writes return, and what is read after a conflict.
    pub caches: &'a Caches,
    /// Whether writes may be sent.
    pub fence: &'a Fence,
    /// Counts the writes.
    pub metrics: &'a Metrics,
}

/// Applies the writes of one plan. Stops at the first failure, except that the first `withdrawals`
/// writes are all attempted.
pub async fn apply(
    Writer { caller, caches, fence, metrics }: Writer<'_>,
    key: &ObjectKey,
    writes: Vec<Write>,
    withdrawals: usize,
) -> Applied {
    let mut applied = Applied::default();
    let mut versions = BTreeMap::new();
    for (at, write) in writes.into_iter().enumerate() {
        let Target { verb, kind, namespace, name } = target(&write, key);
        if !fence.holds() {
            applied.stopped =
                Some(StopReason::Failed(ApplyError::Fenced { verb, kind: plural(kind), name }, None));
            return applied;
        }
        let is_status = matches!(write, Write::Status { .. });
        let is_rollback = is_rollback(&write);
        let deletes = match &write {
            Write::Delete { uid, .. } => Some(uid.clone()),
            _ => None,
        };
        let answer = send(caller, fence.epoch(), key, write, &versions).await;
        metrics.wrote(plural(kind), verb.word(), answer.as_ref().map_or_else(result, |_| "ok"));
        match answer {
            Ok(stored) => {
                tracing::info!(deployment = %key, %verb, kind = plural(kind), %name, status = is_status, "wrote");
                if let Some(cached) = CachedKind::of(kind) {
                    // Finalizers can keep a deleted object.
                    match deletes.filter(|_| stored.pointer("/metadata/uid").is_none()) {
                        Some(uid) => caches.remove(cached, &namespace, &name, &uid),
                        None => caches.put(cached, &namespace, &stored),
                    }
                }
                if let Some(version) = stored.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                    versions.insert(version_key(kind, &namespace, &name), version.to_owned());
                }
                if kind == Kind::Rollout {
                    applied.rollout =
                        stored.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
                }
                applied.written += 1;
                applied.status |= is_status;
                if is_rollback {
                    applied.rolled_back = Some(Instant::now());
                }
            }
            Err(error) if is_conflict(&error) => {
                metrics.conflict();
                tracing::info!(deployment = %key, %verb, kind = plural(kind), %name, error = %super::chain(&error), "the object changed meanwhile, deciding again");
                let reread = async {
                    let Some(cached) = CachedKind::of(kind) else { return Ok(()) };
                    caches.reread(caller, cached, &namespace, &name).await
                };
                // Without the newer version, the next plan would meet the same conflict.
                let stopped = match reread.await {
                    Ok(()) => StopReason::Conflict,
                    Err(error) => StopReason::Failed(error.into(), None),
                };
                applied.stopped.get_or_insert(stopped);
                if at >= withdrawals {
                    return applied;
                }
            }
            Err(error) => {
                let refused = refused(&error, verb, kind, name);
                applied.stopped.get_or_insert(StopReason::Failed(error.into(), refused));
                if at >= withdrawals {
                    return applied;
                }
            }
        }
    }
    applied
}

/// The resource versions that the writes of a plan returned, by plural, namespace and name.
type Versions = BTreeMap<(&'static str, String, String), String>;

fn version_key(kind: Kind, namespace: &str, name: &str) -> (&'static str, String, String) {
    (plural(kind), namespace.to_owned(), name.to_owned())
}

/// The verb of a write, and the object that it changes.
struct Target {
    verb: WriteVerb,
    kind: Kind,
    namespace: String,
    name: String,
}

fn target(write: &Write, key: &ObjectKey) -> Target {
    let (verb, kind, name) = write.target(&key.name);
    let namespace = match write {
        Write::Patch { namespace, .. } => namespace,
        Write::Create { .. } | Write::Delete { .. } | Write::Status { .. } => &key.namespace,
    };
    Target { verb, kind, namespace: namespace.clone(), name: name.to_owned() }
}

async fn send(
    caller: &Caller,
    epoch: u64,
    key: &ObjectKey,
    write: Write,
    versions: &Versions,
) -> Result<Value, CallError> {
    let path = |kind| collection(kind, &key.namespace);
    let newest = |kind, namespace: &str, name: &str, version: String| {
        versions.get(&version_key(kind, namespace, name)).cloned().unwrap_or(version)
    };
    let own_namespace = &key.namespace;
    match write {
        Write::Create { kind, object } => caller.create(&path(kind), &object).await,
        Write::Patch { kind, namespace, name, version, ops, stamp } => {
            let ops = fenced(&newest(kind, &namespace, &name, version), ops, stamp, epoch);
            caller.patch(&collection(kind, &namespace), &name, ops).await
        }
        Write::Delete { kind, name, uid, version } => {
            let version = newest(kind, own_namespace, &name, version);
            caller.delete(&path(kind), &name, &uid, &version).await
        }
        Write::Status { version, status } => {
            let version = newest(Kind::Rollout, own_namespace, &key.name, version);
            let mut metadata = json!({"name": key.name, "namespace": key.namespace});
            if !version.is_empty() {
                metadata["resourceVersion"] = version.into();
            }
            let body = json!({"apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout", "metadata": metadata, "status": status});
            caller.status(&path(Kind::Rollout), &key.name, &body).await
        }
    }
}

/// Puts the replacement of the resource version before the operations, and the leadership epoch
/// after them.
///
/// The replacement makes the API server answer 409 if the object changed meanwhile; a failed `test`
/// would be a 422.
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

/// Returns whether this write rolls traffic back: it sets the annotation `steelyard.io/failed` on a
/// route or a Service.
fn is_rollback(write: &Write) -> bool {
    let Write::Patch { kind: Kind::Route(_) | Kind::Service, ops, .. } = write else { return false };
    let names = |path: &PointerBuf| path.last().is_some_and(|token| token.decoded() == FAILED);
    ops.iter().any(|op| match op {
        PatchOperation::Add(AddOperation { path, value })
        | PatchOperation::Replace(ReplaceOperation { path, value }) => {
            names(path) || value.get(FAILED).is_some()
        }
        _ => false,
    })
}

/// Returns the write if the API server, or an admission policy or webhook, refused it. An expired
/// token, a timeout or too many requests are no answer to the write itself.
fn refused(error: &CallError, verb: WriteVerb, kind: Kind, name: String) -> Option<RefusedWrite> {
    let status = error.status().filter(|status| match status.code {
        401 | 408 | 429 => false,
        400..500 => true,
        // What the API server answers if a webhook that has to allow the write can't be called.
        500 => status.reason == "InternalError",
        _ => false,
    })?;
    Some(RefusedWrite { verb, kind, name, code: status.code, message: status.message.clone() })
}

/// Returns whether the object changed or was deleted since the decision.
fn is_conflict(error: &CallError) -> bool {
    // An admission webhook may deny a write with any code, but the reason is then its own, or
    // empty.
    error.status().is_some_and(|status| match (status.code, status.reason.as_str()) {
        (404, "NotFound") | (409, "Conflict" | "AlreadyExists") => true,
        (422, _) => is_inapplicable_patch(status),
        _ => false,
    })
}

/// Returns whether a JSON patch could not be applied to the object: a failed `test`, or a path that
/// does not exist.
///
/// Since Kubernetes 1.12 the API server answers this with a 422 whose `details` are empty
/// (`apiserver/pkg/endpoints/handlers/patch.go`, `applyJSPatch`). An invalid object has a kind and
/// causes in its `details`, the denial of a policy a kind, and that of a webhook no `details`. The
/// message is the same for all errors of clients, and so is no criterion.
fn is_inapplicable_patch(status: &Status) -> bool {
    let details = status.details.as_ref();
    status.reason == "Invalid"
        && details.is_some_and(|it| it.kind.is_empty() && it.name.is_empty() && it.causes.is_empty())
}

fn result(error: &CallError) -> &'static str {
    if is_conflict(error) {
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
    use crate::traffic::gateway::HTTP_ROUTE;

    #[test]
    fn a_patch_replaces_the_resource_version_first_and_writes_the_epoch_last() {
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
    fn only_marking_a_route_or_a_service_as_failed_counts_as_a_rollback() {
        let patch = |kind, op: Value| Write::Patch {
            kind,
            namespace: "shop".into(),
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
        assert!(is_rollback(&patch(Kind::Route(HTTP_ROUTE), mark.clone())));
        assert!(is_rollback(&patch(Kind::Route(HTTP_ROUTE), whole)));
        assert!(!is_rollback(&patch(Kind::Route(HTTP_ROUTE), clear)));
        assert!(!is_rollback(&patch(Kind::Route(HTTP_ROUTE), weight)));
        assert!(!is_rollback(&patch(Kind::ReplicaSet, mark)));
    }

    fn answer(status: &Value) -> CallError {
        let status: Status = serde_json::from_value(status.clone()).expect("a Status");
        CallError::Failed {
            verb: super::super::raw::Verb::Write(WriteVerb::Patch),
            object: "services/web".into(),
            source: Box::new(kube::Error::Api(Box::new(status))),
        }
    }

    #[test]
    fn a_refused_write_is_neither_a_conflict_nor_a_server_error() {
        let refused = |code: u16, reason: &str| {
            let status =
                json!({"status": "Failure", "message": "exceeded quota", "reason": reason, "code": code});
            refused(&answer(&status), WriteVerb::Create, Kind::Service, "web".into())
        };
        let quota = refused(403, "Forbidden").expect("refused");
        assert_eq!((quota.code, quota.message.as_str()), (403, "exceeded quota"));
        assert!(refused(422, "Invalid").is_some());
        assert!(refused(500, "InternalError").is_some(), "a webhook can't be called");
        for (code, reason) in [(401, "Unauthorized"), (429, "TooManyRequests"), (500, ""), (503, "")] {
            assert_eq!(refused(code, reason), None, "{code}");
        }
    }

    #[test]
    fn a_failed_test_of_a_patch_is_a_conflict_and_other_422s_are_not() {
        let said = "the server rejected our request due to an error in our request";
        let of = |message: &str, details: &Value| {
            let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "Invalid", "code": 422});
            if !details.is_null() {
                status["details"] = details.clone();
            }
            is_conflict(&answer(&status))
        };
        assert!(of(said, &json!({})), "as the API server answers a failed test");
        assert!(of("testing value /spec/template failed: test failed", &json!({})), "whatever the message");
        let causes =
            json!([{"reason": "FieldValueInvalid", "message": "Invalid value", "field": "spec.replicas"}]);
        assert!(!of(
            "Deployment.apps \"web\" is invalid",
            &json!({"name": "web", "group": "apps", "kind": "Deployment", "causes": causes})
        ));
        assert!(!of("denied by policy", &json!({"name": "web", "group": "apps", "kind": "deployments"})));
        assert!(!of("admission webhook \"x\" denied the request: test failed", &Value::Null));
    }

    #[test]
    fn a_conflict_has_the_api_servers_reason_and_not_only_its_code() {
        let conflict = |code: u16, reason: &str| {
            is_conflict(&answer(
                &json!({"status": "Failure", "message": "m", "reason": reason, "code": code}),
            ))
        };
        for (code, reason) in [(404, "NotFound"), (409, "Conflict"), (409, "AlreadyExists")] {
            assert!(conflict(code, reason), "{code} {reason}");
        }
        for (code, reason) in [(404, ""), (409, ""), (409, "Denied"), (403, "Forbidden")] {
            assert!(!conflict(code, reason), "a webhook denies the write: {code} {reason}");
        }
    }
}
