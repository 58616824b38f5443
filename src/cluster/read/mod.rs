//! Decodes raw objects into the values of a [`Snapshot`](crate::engine::Snapshot). Pure.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use serde_json::Value;

use super::client::MANAGER;
use crate::{
    api::{EPOCH, HASH},
    engine::{
        Backend, Deployment, Exposure, Meta, Owner, Pod, ReplicaSet, Restarts, Rollout, Service, Trouble,
        ownership,
    },
    traffic::{Object, Resource},
};

/// The label of an `EndpointSlice` that names its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

fn count(value: &Value, path: &str, default: i32) -> i32 {
    value.pointer(path).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()).unwrap_or(default)
}

/// Returns the map of strings at `path`; empty if there is none.
pub fn strings(value: &Value, path: &str) -> BTreeMap<String, String> {
    let Some(map) = value.pointer(path).and_then(Value::as_object) else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// Returns the metadata. The leadership epoch is a label of Deployments and an annotation of all
/// other objects.
pub fn meta(object: &Value) -> Meta {
    let labels = strings(object, "/metadata/labels");
    let annotations = strings(object, "/metadata/annotations");
    let epoch =
        labels.get(EPOCH).or_else(|| annotations.get(EPOCH)).and_then(|e| e.parse().ok()).unwrap_or(0);
    Meta {
        namespace: text(object, "/metadata/namespace").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
        version: text(object, "/metadata/resourceVersion").to_owned(),
        generation: number(object, "/metadata/generation"),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        epoch,
        labels,
        annotations,
        owners: owners(object).map(|owner| text(owner, "/uid").to_owned()).collect(),
        created: text(object, "/metadata/creationTimestamp").parse::<Timestamp>().ok(),
        managed: managed(object),
    }
}

/// Returns the indexes of Steelyard's entries in `managedFields`; none if no other manager has an
/// entry, because the API server restores a list that would become empty (apimachinery,
/// `FieldManager.Update`).
fn managed(object: &Value) -> Vec<usize> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let ours: Vec<usize> = (0..entries.len()).filter(|at| entries[*at]["manager"] == MANAGER).collect();
    if ours.len() < entries.len() { ours } else { Vec::new() }
}

/// Decodes a Deployment.
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

/// Returns the number of pods of `maxSurge`: a number, or a percentage of `replicas` rounded up; 25
/// % by default.
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

/// Decodes a `ReplicaSet`; its template loses the `pod-template-hash` label.
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

/// Returns why a `ReplicaSet` can't create pods, such as an exceeded quota.
fn failure(set: &Value) -> Option<String> {
    condition(set, "ReplicaFailure", "True").map(|c| text(c, "/message").to_owned())
}

/// Returns the condition of this type, if it has this status.
fn condition<'a>(object: &'a Value, kind: &str, status: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|c| text(c, "/type") == kind && text(c, "/status") == status)
}

/// Returns the uid of an object's controller; empty without one.
pub fn controller(object: &Value) -> String {
    controller_reference(object).map(|owner| text(owner, "/uid").to_owned()).unwrap_or_default()
}

fn hash(object: &Value) -> String {
    strings(object, "/metadata/labels").remove(HASH).unwrap_or_default()
}

/// Decodes a Service, without its ready pods.
pub fn service(object: &Value) -> Service {
    let local = |path| text(object, path) == "Local";
    Service {
        meta: meta(object),
        selector: strings(object, "/spec/selector"),
        ports: object.pointer("/spec/ports").cloned().unwrap_or_default(),
        exposure: if text(object, "/spec/type") == "ExternalName" {
            Exposure::ExternalName
        } else if text(object, "/spec/clusterIP") == "None" {
            Exposure::Headless
        } else if local("/spec/externalTrafficPolicy") || local("/spec/internalTrafficPolicy") {
            Exposure::Local
        } else if text(object, "/spec/type") == "LoadBalancer" {
            Exposure::LoadBalancer
        } else {
            Exposure::Cluster
        },
        ready: BTreeSet::new(),
        unrelated_pods: BTreeSet::new(),
        claimants: Vec::new(),
    }
}

/// Returns the selector of a Service, without `pod-template-hash`.
pub fn unpinned(selector: &BTreeMap<String, String>) -> Selector {
    selector.iter().filter(|(k, _)| *k != HASH).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Decodes a pod that a Service selects, with its owner; `None` if the pod has terminated or is
/// terminating.
pub fn backend(pod: &Value) -> Option<Backend> {
    let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    if ended || pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let set = controller_reference(pod).filter(|owner| text(owner, "/kind") == "ReplicaSet");
    let owner = set.map_or(Owner::Other, |owner| Owner::ReplicaSet(text(owner, "/uid").to_owned()));
    Some(Backend { name: text(pod, "/metadata/name").to_owned(), owner })
}

/// Returns the owner references of an object.
fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// Returns the owner reference of an object's controller.
fn controller_reference(object: &Value) -> Option<&Value> {
    owners(object).find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// Some endpoints of a Service: those with the same ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The names of the ports.
    ports: BTreeSet<String>,
    /// The names of the ready pods.
    ready: BTreeSet<String>,
}

/// Returns the ready endpoints in `EndpointSlices`, by Service.
pub fn endpoints(slices: &[impl Borrow<Value>]) -> BTreeMap<String, Vec<Endpoints>> {
    let mut found: BTreeMap<String, Vec<Endpoints>> = BTreeMap::new();
    for slice in slices {
        let slice = slice.borrow();
        let Some(service) = strings(slice, "/metadata/labels").remove(SERVICE_NAME) else { continue };
        let items = |name| slice.get(name).and_then(Value::as_array).into_iter().flatten();
        let ready = items("endpoints").filter(|endpoint| {
            let is = |path| endpoint.pointer(path) == Some(&Value::Bool(true));
            is("/conditions/ready") && !is("/conditions/terminating")
        });
        let ready = ready.map(|endpoint| text(endpoint, "/targetRef/name").to_owned());
        found.entry(service).or_default().push(Endpoints {
            ports: items("ports").map(|port| text(port, "/name").to_owned()).collect(),
            ready: ready.filter(|pod| !pod.is_empty()).collect(),
        });
    }
    found
}

/// Returns the pods that are ready on each port of a Service that they can serve: a pod without one
/// of its named ports is not waited for there. Without ports, as a headless Service may be, all
/// pods that are ready.
pub fn ready(endpoints: &[Endpoints], ports: &Value, pods: &[impl Borrow<Value>]) -> BTreeSet<String> {
    let all = endpoints.iter().flat_map(|some| &some.ready);
    if ports.as_array().is_none_or(Vec::is_empty) {
        return all.cloned().collect();
    }
    let on = |port: &String, pod: &str| {
        endpoints.iter().any(|some| some.ports.contains(port) && some.ready.contains(pod))
    };
    let by_name: BTreeMap<&str, &Value> =
        pods.iter().map(Borrow::borrow).map(|object| (text(object, "/metadata/name"), object)).collect();
    let known = all.filter(|pod| {
        let served = by_name.get(pod.as_str()).map(|object| ownership::served(ports, &[object]));
        served.is_some_and(|served| !served.is_empty() && served.iter().all(|port| on(port, pod)))
    });
    known.cloned().collect()
}

/// Decodes a pod.
pub fn pod(object: &Value) -> Pod {
    Pod {
        name: text(object, "/metadata/name").to_owned(),
        hash: hash(object),
        trouble: trouble(object),
        unready: condition(object, "Ready", "False").map(|c| text(c, "/message").to_owned()),
        restarts: restarts(object),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

/// Returns the statuses of a pod's containers; of init containers too.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|path| pod.pointer(path).and_then(Value::as_array))
        .flatten()
}

/// Returns whether a container of a pod is an init container that has to finish before the others
/// start. One that runs beside them is none.
fn is_init(pod: &Value, container: &str) -> bool {
    let all = pod.pointer("/spec/initContainers").and_then(Value::as_array).into_iter().flatten();
    let mut own = all.filter(|init| text(init, "/name") == container);
    own.any(|init| text(init, "/restartPolicy") != "Always")
}

fn restarts(pod: &Value) -> Option<Restarts> {
    let counted = containers(pod).filter(|status| !is_init(pod, text(status, "/name")));
    let all = counted.map(|status| Restarts {
        container: text(status, "/name").to_owned(),
        count: count(status, "/restartCount", 0),
        backing_off: text(status, "/state/waiting/reason") == BACK_OFF,
    });
    all.filter(|it| it.backing_off || it.count > 0).max_by_key(|it| (it.backing_off, it.count))
}

/// The reason of a container that the kubelet restarts after a pause.
const BACK_OFF: &str = "CrashLoopBackOff";

/// Returns the reason and message of the kubelet or the scheduler if a pod can't run.
fn trouble(pod: &Value) -> Option<Trouble> {
    const REASONS: [&str; 8] = [
        BACK_OFF,
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
    ];
    let of = |container: Option<&Value>, why: &Value| Trouble {
        container: container.map(|container| text(container, "/name").to_owned()),
        reason: text(why, "/reason").to_owned(),
        message: text(why, "/message").to_owned(),
    };
    let waiting = containers(pod).find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        REASONS.contains(&text(waiting, "/reason")).then(|| of(Some(container), waiting))
    });
    waiting.or_else(|| {
        let unscheduled = condition(pod, "PodScheduled", "False")?;
        (text(unscheduled, "/reason") == "Unschedulable").then(|| of(None, unscheduled))
    })
}

/// Decodes an object that a router reads.
pub fn object(resource: &'static Resource, object: &Value) -> Object {
    let part = |name| object.get(name).cloned().unwrap_or_default();
    Object { resource, meta: meta(object), spec: part("spec"), status: part("status") }
}

/// Decodes a Rollout.
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

/// Returns the label selector of a workload. One that can't be decoded matches everything.
pub fn label_selector(selector: &Value) -> Selector {
    let decoded: Option<LabelSelector> = serde_json::from_value(selector.clone()).ok();
    decoded.and_then(|selector| selector.try_into().ok()).unwrap_or_default()
}

/// Returns a label selector as a query parameter of the API server; `None` if it would match
/// everything.
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
