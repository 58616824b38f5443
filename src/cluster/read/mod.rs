//! Raw objects into the values of a [`Snapshot`](crate::engine::Snapshot). Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::client::MANAGER;
use crate::{
    api::{EPOCH, HASH},
    engine::{Backend, Deployment, Exposure, Meta, Owner, Pod, ReplicaSet, Rollout, Route, Service},
    traffic::gateway,
};

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

fn count(value: &Value, path: &str, default: i32) -> i32 {
    value.pointer(path).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()).unwrap_or(default)
}

/// A map of strings at `path`; empty where there is none.
pub fn strings(value: &Value, path: &str) -> BTreeMap<String, String> {
    let Some(map) = value.pointer(path).and_then(Value::as_object) else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// Name, identity and version. The epoch is a label on Deployments and an annotation on all else.
pub fn meta(object: &Value) -> Meta {
    let labels = strings(object, "/metadata/labels");
    let annotations = strings(object, "/metadata/annotations");
    let epoch =
        labels.get(EPOCH).or_else(|| annotations.get(EPOCH)).and_then(|e| e.parse().ok()).unwrap_or(0);
    Meta {
        name: text(object, "/metadata/name").to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
        version: text(object, "/metadata/resourceVersion").to_owned(),
        generation: number(object, "/metadata/generation"),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        epoch,
        labels,
        annotations,
        created: text(object, "/metadata/creationTimestamp").parse::<Timestamp>().ok(),
        managed: managed(object),
    }
}

/// Where we are among those who set an object's fields. The API server gives a record back that would lose its last entry
/// (apimachinery, `FieldManager.Update`), so there must be somebody else.
fn managed(object: &Value) -> Vec<usize> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let ours: Vec<usize> = (0..entries.len()).filter(|at| entries[*at]["manager"] == MANAGER).collect();
    if ours.len() < entries.len() { ours } else { Vec::new() }
}

/// A Deployment.
pub fn deployment(object: &Value) -> Deployment {
    let replicas = count(object, "/spec/replicas", 1);
    let recreate = text(object, "/spec/strategy/type") == "Recreate";
    Deployment {
        meta: meta(object),
        replicas,
        paused: object.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or(false),
        template: object.pointer("/spec/template").cloned().unwrap_or_default(),
        selector: object.pointer("/spec/selector").cloned().unwrap_or_default(),
        min_ready_seconds: count(object, "/spec/minReadySeconds", 0),
        recreate,
        max_surge: if recreate {
            0
        } else {
            surge(object.pointer("/spec/strategy/rollingUpdate/maxSurge"), replicas)
        },
        history_limit: count(object, "/spec/revisionHistoryLimit", 10),
        observed_generation: number(object, "/status/observedGeneration"),
    }
}

/// `maxSurge` of `replicas`: a number, or a percentage rounded up; 25 % where it isn't said.
pub fn surge(value: Option<&Value>, replicas: i32) -> i32 {
    match value {
        Some(Value::Number(n)) => n.as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
        Some(Value::String(s)) => match s.strip_suffix('%').map(str::parse::<i64>) {
            Some(Ok(percent)) => share(percent, replicas),
            _ => share(25, replicas),
        },
        _ => share(25, replicas),
    }
}

fn share(percent: i64, replicas: i32) -> i32 {
    let product = percent.max(0).saturating_mul(i64::from(replicas.max(0)));
    i32::try_from(product.saturating_add(99) / 100).unwrap_or(i32::MAX)
}

/// A `ReplicaSet`, its template without the hash label.
pub fn replica_set(object: &Value) -> ReplicaSet {
    let mut template = object.pointer("/spec/template").cloned().unwrap_or_default();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    ReplicaSet {
        meta: meta(object),
        controller: Some(controller(object)).filter(|uid| !uid.is_empty()),
        hash: hash(object),
        template,
        replicas: count(object, "/spec/replicas", 1),
        min_ready_seconds: count(object, "/spec/minReadySeconds", 0),
        available: count(object, "/status/availableReplicas", 0),
        existing: count(object, "/status/replicas", 0),
        failure: failure(object),
        observed_generation: number(object, "/status/observedGeneration"),
    }
}

/// Why a `ReplicaSet` can't create its pods, such as a quota.
fn failure(set: &Value) -> Option<String> {
    condition(set, "ReplicaFailure", "True").map(|c| text(c, "/message").to_owned())
}

/// The condition of this type, if it has this status.
fn condition<'a>(object: &'a Value, kind: &str, status: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|c| text(c, "/type") == kind && text(c, "/status") == status)
}

/// The uid of an object's controller; empty without one.
pub fn controller(object: &Value) -> String {
    owned_by(object).map(|owner| text(owner, "/uid").to_owned()).unwrap_or_default()
}

fn hash(object: &Value) -> String {
    strings(object, "/metadata/labels").remove(HASH).unwrap_or_default()
}

/// A Service with the pods behind it that are ready.
pub fn service(object: &Value, ready: BTreeSet<String>) -> Service {
    let local = |path| text(object, path) == "Local";
    Service {
        meta: meta(object),
        selector: strings(object, "/spec/selector"),
        ports: object.pointer("/spec/ports").cloned().unwrap_or_default(),
        exposure: if local("/spec/externalTrafficPolicy") || local("/spec/internalTrafficPolicy") {
            Exposure::Local
        } else if text(object, "/spec/type") == "LoadBalancer" {
            Exposure::LoadBalancer
        } else {
            Exposure::Cluster
        },
        ready,
        strangers: BTreeSet::new(),
        rivals: Vec::new(),
    }
}

/// A selector without the hash, as the API server's query parameter.
pub fn unpinned(selector: &BTreeMap<String, String>) -> String {
    let terms: Vec<_> =
        selector.iter().filter(|(k, _)| *k != HASH).map(|(k, v)| format!("{k}={v}")).collect();
    terms.join(",")
}

/// A pod that a Service selects, with its owner; none if it has ended or is ending.
pub fn backend(pod: &Value) -> Option<Backend> {
    let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    if ended || pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let set = owned_by(pod).filter(|owner| text(owner, "/kind") == "ReplicaSet");
    let owner = set.map_or(Owner::Other, |owner| Owner::ReplicaSet(text(owner, "/uid").to_owned()));
    Some(Backend { name: text(pod, "/metadata/name").to_owned(), owner })
}

/// The owner that controls an object.
fn owned_by(object: &Value) -> Option<&Value> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().find(|o| o.get("controller") == Some(&Value::Bool(true)))
}

/// Of these `EndpointSlices`, the names of the ready pods by Service.
pub fn endpoints(slices: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut ready: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for slice in slices {
        let ports = slice.get("ports").and_then(Value::as_array).is_some_and(|p| !p.is_empty());
        let Some(service) = strings(slice, "/metadata/labels").remove("kubernetes.io/service-name") else {
            continue;
        };
        let endpoints = slice.get("endpoints").and_then(Value::as_array);
        for endpoint in endpoints.into_iter().flatten().filter(|_| ports) {
            let is = |path| endpoint.pointer(path) == Some(&Value::Bool(true));
            let pod = text(endpoint, "/targetRef/name");
            if is("/conditions/ready") && !is("/conditions/terminating") && !pod.is_empty() {
                ready.entry(service.clone()).or_default().insert(pod.to_owned());
            }
        }
    }
    ready
}

/// A pod.
pub fn pod(object: &Value) -> Pod {
    Pod {
        name: text(object, "/metadata/name").to_owned(),
        hash: hash(object),
        trouble: trouble(object),
        unready: condition(object, "Ready", "False").map(|c| text(c, "/message").to_owned()),
        restarts: containers(object).map(|c| count(c, "/restartCount", 0)).max().unwrap_or(0),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|path| pod.pointer(path).and_then(Value::as_array))
        .flatten()
}

/// What the kubelet and the scheduler say when a pod can't run.
fn trouble(pod: &Value) -> Option<(String, String)> {
    const REASONS: [&str; 8] = [
        "CrashLoopBackOff",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
    ];
    let waiting = containers(pod)
        .filter_map(|c| c.pointer("/state/waiting"))
        .find(|w| REASONS.contains(&text(w, "/reason")))
        .map(|w| (text(w, "/reason").to_owned(), text(w, "/message").to_owned()));
    waiting.or_else(|| {
        let refused = condition(pod, "PodScheduled", "False")?;
        (text(refused, "/reason") == "Unschedulable").then_some(())?;
        Some(("Unschedulable".to_owned(), text(refused, "/message").to_owned()))
    })
}

/// An `HTTPRoute`.
pub fn route(object: &Value) -> Route {
    let meta = meta(object);
    let status = object.get("status").cloned().unwrap_or_default();
    let acceptance = gateway::accepted(&status, meta.generation);
    Route { meta, spec: object.get("spec").cloned().unwrap_or_default(), acceptance }
}

/// A Rollout, or why it can't be read.
pub fn rollout(object: &Value) -> Result<Rollout, serde_json::Error> {
    let part = |name: &str| {
        object.get(name).filter(|v| !v.is_null()).cloned().unwrap_or_else(|| serde_json::json!({}))
    };
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let finalizers = finalizers.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Ok(Rollout {
        meta: meta(object),
        finalizers: finalizers.collect(),
        owner: controller(object),
        spec: serde_json::from_value(part("spec"))?,
        status: serde_json::from_value(part("status"))?,
    })
}

/// A label selector as the API server's query parameter; nothing where it would match everything.
pub fn selector(selector: &Value) -> Option<String> {
    let mut terms: Vec<String> =
        strings(selector, "/matchLabels").into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = text(expression, "/key");
        let values: Vec<&str> = expression
            .get("values")
            .and_then(Value::as_array)
            .map(|v| v.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let values = values.join(",");
        terms.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests;
