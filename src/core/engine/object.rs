//! Objects and patches as raw JSON, the way the API server stores them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Deployment, Kind, Meta, ReplicaSet, Rollout, Route, Service, Snapshot, Stamp, Write};
use crate::api;

/// A patch of an object that stamps the epoch in an annotation.
pub(super) fn patch(kind: Kind, meta: &Meta, ops: Vec<Value>) -> Write {
    let stamp = Stamp::Annotation { exists: !meta.annotations.is_empty() };
    Write::Patch { kind, name: meta.name.clone(), version: meta.version.clone(), ops, stamp }
}

/// A patch that leaves the epoch alone.
pub(super) fn unstamped(kind: Kind, meta: &Meta, ops: Vec<Value>) -> Write {
    Write::Patch { kind, name: meta.name.clone(), version: meta.version.clone(), ops, stamp: Stamp::None }
}

/// The Rollout of a Deployment: owned by it, without a wish.
pub(super) fn rollout(s: &Snapshot, d: &Deployment) -> Value {
    json!({
        "apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": s.name, "namespace": s.namespace, "ownerReferences": [owner(d, true)]},
        "spec": {},
    })
}

fn owner(d: &Deployment, controller: bool) -> Value {
    let mut reference =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": d.meta.name, "uid": d.meta.uid});
    if controller {
        reference["controller"] = json!(true);
    }
    reference
}

fn controlled(rollout: &Meta) -> Value {
    json!({"apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout", "name": rollout.name, "uid": rollout.uid, "controller": true})
}

/// The canary `ReplicaSet` at 0 pods. It belongs to the Rollout, and to the Deployment without being controlled by it, so
/// that garbage collection never takes it under traffic. Its own labels stay off the Deployment's selector until the
/// handover, so that nothing can adopt it half done.
pub(super) fn canary(s: &Snapshot, d: &Deployment, r: &Rollout, name: &str, hash: &str) -> Value {
    let mut template = d.template.clone();
    template["metadata"]["labels"][api::HASH] = json!(hash);
    let mut selector = d.selector.clone();
    selector["matchLabels"][api::HASH] = json!(hash);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": s.namespace,
            "labels": {(api::ROLLOUT): s.name, (api::HASH): hash},
            "annotations": {(api::EPOCH): s.epoch.to_string()},
            "ownerReferences": [controlled(&r.meta), owner(d, false)],
        },
        "spec": {"replicas": 0, "minReadySeconds": d.min_ready_seconds, "selector": selector, "template": template},
    })
}

/// The canary Service: the stable one's ports, labels and selector, for one hash. It has the canary's two owners, for the
/// same reason: a Rollout that is deleted in the foreground would take it away while the route still leads there.
pub(super) fn canary_service(
    s: &Snapshot,
    d: &Deployment,
    r: &Rollout,
    stable: &Service,
    name: &str,
    hash: &str,
) -> Value {
    let mut labels = stable.meta.labels.clone();
    labels.insert(api::CANARY_OF.to_owned(), stable.meta.name.clone());
    labels.insert(api::ROLLOUT.to_owned(), s.name.clone());
    let mut selector = stable.selector.clone();
    selector.insert(api::HASH.to_owned(), hash.to_owned());
    let mut ports = stable.ports.clone();
    for port in ports.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": s.namespace, "labels": labels,
            "annotations": {(api::EPOCH): s.epoch.to_string()},
            "ownerReferences": [controlled(&r.meta), owner(d, false)],
        },
        "spec": {"selector": selector, "ports": ports},
    })
}

/// Takes us off the record of who set an object's fields, so that a tool that applies it server-side finds nobody in its
/// way; nothing if we are not on it.
pub(super) fn disowned(kind: Kind, meta: &Meta) -> Option<Write> {
    (!meta.managed.is_empty()).then(|| unstamped(kind, meta, disown(meta).collect()))
}

fn disown(meta: &Meta) -> impl Iterator<Item = Value> + use<'_> {
    let ours = meta.managed.iter().rev();
    ours.map(|at| json!({"op": "remove", "path": format!("/metadata/managedFields/{at}")}))
}

/// Pins a Service to a hash, or unpins it; nothing if it is so already.
pub(super) fn pin(service: &Service, hash: Option<&str>) -> Option<Write> {
    let op = repin(service, hash);
    if hash.is_some() {
        return op.map(|op| patch(Kind::Service, &service.meta, vec![op]));
    }
    // A pin that somebody else took off has left our mark behind.
    let ops: Vec<_> = op.into_iter().chain(unmark(&service.meta)).collect();
    (!ops.is_empty()).then(|| unstamped(Kind::Service, &service.meta, ops))
}

/// Pins a Service to a hash, or unpins it, and marks it with the revision that failed; nothing if all that is so already.
pub(super) fn failed_pin(service: &Service, hash: Option<&str>, revision: &str) -> Option<Write> {
    let op = repin(service, hash);
    if op.is_none() && marked(&service.meta, revision) {
        return None;
    }
    let ops = op.into_iter().chain(mark(&service.meta, revision)).collect();
    let (name, version) = (service.meta.name.clone(), service.meta.version.clone());
    Some(Write::Patch { kind: Kind::Service, name, version, ops, stamp: Stamp::Annotation { exists: true } })
}

/// What pins a selector to a hash, or unpins it; nothing if it is so already.
fn repin(service: &Service, hash: Option<&str>) -> Option<Value> {
    let path = format!("/spec/selector/{}", api::HASH);
    let now = service.selector.get(api::HASH).map(String::as_str);
    (now != hash).then(|| match hash {
        Some(hash) => json!({"op": "add", "path": path, "value": hash}),
        None => json!({"op": "remove", "path": path}),
    })
}

/// What writes the failed mark into an object's annotations.
fn mark(meta: &Meta, value: &str) -> Vec<Value> {
    let mut ops = Vec::new();
    if meta.annotations.is_empty() {
        ops.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    let path = format!("/metadata/annotations/{}", escaped(api::FAILED));
    ops.push(json!({"op": "add", "path": path, "value": value}));
    ops
}

/// Removes our marks from an object's annotations.
pub(super) fn unmark(meta: &Meta) -> Vec<Value> {
    [api::EPOCH, api::FAILED]
        .into_iter()
        .filter(|key| meta.annotations.contains_key(*key))
        .map(|key| json!({"op": "remove", "path": format!("/metadata/annotations/{}", escaped(key))}))
        .collect()
}

/// Replaces a route's `spec` by the one wanted, as the smallest patch; with the failed mark if there is one.
pub(super) fn route(route: &Route, wanted: &Value, failed: Option<&str>) -> Write {
    let mut ops = differences(&route.spec, wanted);
    let mut stamp = Stamp::Annotation { exists: !route.meta.annotations.is_empty() };
    if let Some(revision) = failed {
        let others = marks(&route.meta).filter(|mark| *mark != revision);
        let all: Vec<&str> = others.chain([revision]).collect();
        ops.extend(mark(&route.meta, &all.join(",")));
        stamp = Stamp::Annotation { exists: true };
    }
    let (name, version) = (route.meta.name.clone(), route.meta.version.clone());
    Write::Patch { kind: Kind::HttpRoute, name, version, ops, stamp }
}

/// The revisions whose traffic was taken back on a route: several Deployments may be behind one.
fn marks(meta: &Meta) -> impl Iterator<Item = &str> {
    meta.annotations.get(api::FAILED).into_iter().flat_map(|marks| marks.split(','))
}

/// Whether a route says of a revision that its traffic was taken back.
pub(super) fn marked(meta: &Meta, revision: &str) -> bool {
    marks(meta).any(|mark| mark == revision)
}

/// Gives a route its `spec` back and takes our marks off; those of other Deployments' revisions stay.
pub(super) fn restored(route: &Route, wanted: &Value, revision: &str) -> Option<Write> {
    let mut ops = differences(&route.spec, wanted);
    let others: Vec<&str> = marks(&route.meta).filter(|mark| *mark != revision).collect();
    if revision.is_empty() || others.is_empty() {
        ops.extend(unmark(&route.meta));
    } else if marked(&route.meta, revision) {
        let path = format!("/metadata/annotations/{}", escaped(api::FAILED));
        ops.push(json!({"op": "replace", "path": path, "value": others.join(",")}));
    }
    (!ops.is_empty()).then(|| unstamped(Kind::HttpRoute, &route.meta, ops))
}

fn differences(now: &Value, wanted: &Value) -> Vec<Value> {
    json_patch::diff(now, wanted)
        .0
        .iter()
        .filter_map(|op| serde_json::to_value(op).ok())
        .map(|mut op| {
            op["path"] = json!(format!("/spec{}", op["path"].as_str().unwrap_or_default()));
            op
        })
        .collect()
}

/// Hands the canary `ReplicaSet` to the Deployment: the owner, the labels and the two annotations by which the Deployment
/// controller knows a saturated `ReplicaSet`, in one patch (pkg/controller/deployment/util, `IsSaturated`).
pub(super) fn adoption(d: &Deployment, meta: &Meta, hash: &str) -> Write {
    let mut labels: Map<String, Value> =
        d.template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(api::HASH.to_owned(), json!(hash));
    let mut owner = owner(d, true);
    owner["blockOwnerDeletion"] = json!(true);
    let ops = vec![
        json!({"op": "replace", "path": "/metadata/ownerReferences", "value": [owner]}),
        json!({"op": "add", "path": "/metadata/labels", "value": labels}),
        json!({"op": "add", "path": "/metadata/annotations", "value": {
            "deployment.kubernetes.io/desired-replicas": d.replicas.to_string(),
            "deployment.kubernetes.io/max-replicas": (d.replicas + d.max_surge).to_string(),
        }}),
    ];
    unstamped(Kind::ReplicaSet, meta, ops)
}

/// Takes an adopted `ReplicaSet` back: what [`adoption`] and the Deployment controller wrote on it is undone, in one patch.
pub(super) fn return_to(d: &Deployment, r: &Rollout, set: &ReplicaSet) -> Write {
    let ops = vec![
        json!({"op": "replace", "path": "/metadata/ownerReferences", "value": [controlled(&r.meta), owner(d, false)]}),
        json!({"op": "add", "path": "/metadata/labels", "value": {(api::ROLLOUT): r.meta.name, (api::HASH): set.hash}}),
        json!({"op": "add", "path": "/metadata/annotations", "value": {}}),
    ];
    let (name, version) = (set.meta.name.clone(), set.meta.version.clone());
    Write::Patch { kind: Kind::ReplicaSet, name, version, ops, stamp: Stamp::Annotation { exists: true } }
}

/// By this annotation the Deployment controller numbers the `ReplicaSets` that it has taken as its own.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";

/// The Deployment controller's number of a `ReplicaSet`, if it has one.
pub(super) fn number(meta: &Meta) -> Option<u64> {
    meta.annotations.get(REVISION)?.parse().ok()
}

/// Numbers a `ReplicaSet` in the Deployment controller's place.
pub(super) fn numbered(meta: &Meta, number: u64) -> Write {
    let path = format!("/metadata/annotations/{}", escaped(REVISION));
    let op = json!({"op": "add", "path": path, "value": number.to_string()});
    unstamped(Kind::ReplicaSet, meta, vec![op])
}

/// Marks the `ReplicaSet` of a rejected template, so that a Rollout made anew knows it; nothing if it is marked already.
pub(super) fn rejected(meta: &Meta, reason: &str) -> Option<Write> {
    let known = meta.annotations.contains_key(api::FAILED);
    (!known).then(|| unstamped(Kind::ReplicaSet, meta, mark(meta, reason)))
}

/// Writes a template into the Deployment; admission holds it.
pub(super) fn template(d: &Deployment, template: &Value) -> Write {
    let ops = vec![
        json!({"op": "test", "path": "/spec/template", "value": d.template}),
        json!({"op": "replace", "path": "/spec/template", "value": template}),
    ];
    unstamped(Kind::Deployment, &d.meta, ops)
}

/// Lets a Deployment go: our labels off, and unpaused if its template may roll.
pub(super) fn release(d: &Deployment, unpause: bool) -> Option<Write> {
    let mut ops = Vec::new();
    if unpause && d.paused {
        ops.push(json!({"op": "test", "path": "/spec/template", "value": d.template}));
        ops.push(json!({"op": "remove", "path": "/spec/paused"}));
    }
    for key in [api::HELD, api::EPOCH] {
        if d.meta.labels.contains_key(key) {
            ops.push(json!({"op": "remove", "path": format!("/metadata/labels/{}", escaped(key))}));
        }
    }
    if !ops.is_empty() {
        ops.extend(disown(&d.meta));
    }
    (!ops.is_empty()).then(|| unstamped(Kind::Deployment, &d.meta, ops))
}

/// Puts our finalizer on the Rollout, or takes it off, and leaves those of others; nothing if it is so already.
pub(super) fn finalizer(r: &Rollout, wanted: bool) -> Option<Write> {
    let mut finalizers = r.finalizers.clone();
    finalizers.retain(|name| name != api::FINALIZER);
    if wanted {
        finalizers.push(api::FINALIZER.to_owned());
    }
    let op = json!({"op": "add", "path": "/metadata/finalizers", "value": finalizers});
    (finalizers.len() != r.finalizers.len()).then(|| unstamped(Kind::Rollout, &r.meta, vec![op]))
}

/// Sets the replicas of a `ReplicaSet`.
pub(super) fn scale(meta: &Meta, replicas: i32) -> Write {
    patch(Kind::ReplicaSet, meta, vec![json!({"op": "replace", "path": "/spec/replicas", "value": replicas})])
}

/// Deletes an object.
pub(super) fn delete(kind: Kind, meta: &Meta) -> Write {
    Write::Delete { kind, name: meta.name.clone(), uid: meta.uid.clone(), version: meta.version.clone() }
}

/// The tag of the first image of a template.
pub fn tag(template: &Value) -> String {
    let image = template["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    image.rsplit('/').next().unwrap_or_default().split_once(':').map_or("latest", |(_, tag)| tag).to_owned()
}

/// Mints a revision: begins with `0`, so that it never meets a hash of the Deployment controller's (`SafeEncodeString`
/// has no `0` and no `a`), and differs for each generation of each Deployment.
pub(super) fn revision(d: &Deployment) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdfghjklmnpqrstvwxyz";
    let text = format!("{}/{}", d.meta.uid, d.meta.generation);
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut out = "0a".to_owned();
    for _ in 0..7 {
        out.push(char::from(ALPHABET[usize::try_from(hash % 32).unwrap_or(0)]));
        hash /= 32;
    }
    out
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Counts ready pods of a hash behind a Service.
pub(super) fn ready(service: &Service, pods: &BTreeMap<&str, &str>, hash: &str) -> i32 {
    let count = service.ready.iter().filter(|pod| pods.get(pod.as_str()) == Some(&hash)).count();
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Each pod's hash.
pub(super) fn hashes(s: &Snapshot) -> BTreeMap<&str, &str> {
    s.pods.iter().map(|pod| (pod.name.as_str(), pod.hash.as_str())).collect()
}
