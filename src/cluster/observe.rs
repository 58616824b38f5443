//! Reads a Deployment and all objects of its rollout from the API server; no decision uses a cache.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use thiserror::Error;

use super::{
    ObjectKey,
    answers::{Answers, PendingAnswer},
    hold_probe::HoldProbe,
    locked,
    raw::{self, CallError, Caller, collection},
    read,
};
use crate::{
    api::policy_name,
    engine::{
        Backend, Capacity, Kind, LeftBehind, PolicyState, ReplicaSet, Rollout, Router, Service, Snapshot,
        ownership,
    },
    policy::{Cache, Compiled, Written},
    traffic::{Object, Resource, RouteRef, RouterKind, router},
};

/// Why the objects can't be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The Rollout can't be decoded.
    #[error("cannot decode the Rollout")]
    Rollout(#[source] serde_json::Error),
}

/// The values of the Snapshot that are not read from the API server.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The leadership epoch.
    pub epoch: u64,
    /// How long routers and connections have to drain.
    pub drain: SignedDuration,
    /// The query of the weight that the router reports, if the operator configures it.
    pub router: Option<Router>,
}

/// The result of [`observe`].
#[derive(Debug)]
pub struct Observed {
    /// The input of a decision.
    pub snapshot: Snapshot,
    /// The answers in the snapshot. Put them back if they are not used.
    pub answers: Vec<PendingAnswer>,
    /// The resources of other namespaces that may have routes to the Deployment's Services.
    pub other_namespaces: BTreeSet<(&'static Resource, String)>,
}

/// Reads the input of [`crate::engine::decide`] and takes the answers that have arrived since. The
/// caller puts the answers back if it does not use them.
pub async fn observe(
    caller: &Caller,
    key: &ObjectKey,
    inputs: Inputs,
    hold_probe: &HoldProbe,
    answers: &Answers,
    policies: &Mutex<Cache<ObjectKey>>,
) -> Result<Observed, ObserveError> {
    let ObjectKey { namespace, name } = key;
    let path = |kind| collection(kind, namespace);
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let (deployments, rollouts) = (path(Kind::Deployment), path(Kind::Rollout));
    let services = path(Kind::Service);
    let (deployment, rollout, services, slices) = tokio::try_join!(
        caller.get(&deployments, name),
        caller.get(&rollouts, name),
        caller.list(&services, None),
        caller.list(&slices, None),
    )?;
    let rollout = rollout.as_ref().map(read::rollout).transpose().map_err(ObserveError::Rollout)?;
    let selector = deployment.as_ref().and_then(|d| read::selector(&d["spec"]["selector"]));
    let annotations = deployment.as_ref().map(|d| read::strings(d, "/metadata/annotations"));
    let named = annotations.as_ref().and_then(policy_name);
    let (sets, pods_path) = (path(Kind::ReplicaSet), format!("/api/v1/namespaces/{namespace}/pods"));
    let (policy, sets, pods, hold_enforced) = tokio::try_join!(
        policy(caller, namespace, named),
        async { Ok(caller.list(&sets, None).await?) },
        list_selected(caller, &pods_path, selector.as_deref()),
        async { Ok(hold_probe.holds(caller, key, deployment.as_ref(), rollout.as_ref()).await?) },
    )?;
    let begun = rollout.as_ref().and_then(|r| r.status.trial.as_ref()?.policy.as_ref());
    let [named, begun] = locked(policies)
        .compiled(key.clone(), [policy.as_ref().ok().map(Written::Policy), begun.map(Written::Status)]);
    let policy = policy.err().or(named.map(PolicyState::from)).unwrap_or(PolicyState::Unnamed);
    let RouterObjects { objects, other_namespaces } =
        router_objects(caller, namespace, &policy, begun.as_ref(), rollout.as_ref()).await?;
    let template =
        deployment.as_ref().map(|d| read::strings(d, "/spec/template/metadata/labels")).unwrap_or_default();
    let pinned: BTreeSet<&str> = rollout
        .iter()
        .filter_map(|r| r.status.trial.as_ref())
        .flat_map(|t| {
            t.services.iter().map(String::as_str).chain([t.service.as_str(), t.canary_service.as_str()])
        })
        .collect();
    let revision = rollout.as_ref().and_then(|r| r.status.canary.as_ref()).map(|c| c.revision.as_str());
    let (pending, asking) = answers.take(key, revision);
    let owner = deployment.as_ref().map(|d| read::meta(d).uid).unwrap_or_default();
    let replica_sets = sets.iter().map(read::replica_set);
    let (replica_sets, foreign): (Vec<_>, Vec<_>) =
        replica_sets.partition(|set| ownership::concerns(set, name, &owner));
    let (mut relevant, taken) = relevant_services(&services, name, &template, &pinned);
    add_ready_pods(&mut relevant, &slices, &pods);
    let left_behind = left_behind(&services, &replica_sets, &owner, &template);
    let idle = rollout.as_ref().is_some_and(|rollout| rollout.status.trial.is_none());
    let mut others = Vec::new();
    if ownership::possible_claimants(&relevant, &foreign, idle) {
        let all = caller.list(&rollouts, None).await?;
        // A Rollout that can't be decoded changes nothing: its own reconciles fail.
        let readable = all.iter().filter_map(|rollout| read::rollout(rollout).ok());
        others.extend(readable.filter(|rollout| rollout.meta.name != *name));
        for service in &mut relevant {
            service.claimants = ownership::claimants(service, &others, &foreign);
        }
    }
    if idle {
        // This is only needed before a rollout starts.
        let match_labels = deployment.as_ref().map(|d| read::strings(d, "/spec/selector/matchLabels"));
        for service in &mut relevant {
            let narrow = match_labels.as_ref().is_some_and(|labels| requires(&service.selector, labels));
            let behind: Vec<Backend> = if narrow {
                let selected = |pod: &&Value| {
                    ownership::selects(&service.selector, &read::strings(pod, "/metadata/labels"))
                };
                pods.iter().filter(selected).filter_map(read::backend).collect()
            } else {
                let all = caller.list(&pods_path, Some(&read::unpinned(&service.selector))).await?;
                all.iter().filter_map(read::backend).collect()
            };
            service.unrelated_pods = ownership::unrelated_pods(&behind, &foreign);
            for claimant in &mut service.claimants {
                let of_claimant = others.iter().find(|rollout| rollout.meta.name == claimant.deployment);
                let own = of_claimant.map(|rollout| ownership::pods_of(rollout, &behind, &foreign));
                claimant.pods =
                    own.unwrap_or_default().intersection(&service.unrelated_pods).cloned().collect();
            }
            for claimant in &service.claimants {
                service.unrelated_pods.retain(|pod| !claimant.pods.contains(pod));
            }
        }
    }
    let snapshot = Snapshot {
        now: Timestamp::now(),
        epoch: inputs.epoch,
        drain: inputs.drain,
        router: inputs.router,
        capacity: Capacity::Free,
        hold_enforced,
        namespace: namespace.clone(),
        name: name.clone(),
        deployment: deployment.as_ref().map(read::deployment),
        policy,
        begun,
        replica_sets,
        services: relevant,
        taken,
        left_behind,
        pods: pods.iter().map(read::pod).collect(),
        routes: objects,
        readings: pending.iter().filter_map(PendingAnswer::measurement).collect(),
        answers: pending.iter().filter_map(PendingAnswer::webhook).collect(),
        refused: pending.iter().filter_map(PendingAnswer::refused_write).collect(),
        asking,
        rollout,
    };
    Ok(Observed { snapshot, answers: pending, other_namespaces })
}

/// The objects that the routers of a Deployment read.
struct RouterObjects {
    objects: Vec<Object>,
    other_namespaces: BTreeSet<(&'static Resource, String)>,
}

/// Reads the objects of the routers in use: that of the policy, and that of the rollout in
/// progress. If neither is known, reads those of all routers, because a rollout may have left
/// changes with any of them.
async fn router_objects(
    caller: &Caller,
    namespace: &str,
    policy: &PolicyState,
    begun: Option<&Compiled>,
    rollout: Option<&Rollout>,
) -> Result<RouterObjects, ObserveError> {
    let trial = rollout.and_then(|rollout| rollout.status.trial.as_ref());
    let named = match policy {
        PolicyState::Found(policy) => Some(policy),
        _ => None,
    };
    let policies: Vec<_> = named.into_iter().chain(begun.and_then(|begun| begun.as_ref().ok())).collect();
    let mut kinds: BTreeSet<RouterKind> = policies.iter().map(|policy| policy.router).collect();
    kinds.extend(trial.map(|trial| trial.router));
    if kinds.is_empty() {
        kinds.extend(RouterKind::ALL);
    }
    let listed: Vec<RouteRef> = policies.iter().flat_map(|policy| policy.listed.clone()).collect();
    let resources = kinds.iter().flat_map(|kind| router(*kind).resources());
    let collections = resources.map(|resource| (*resource, namespace.to_owned()));
    let mut objects = list_objects(caller, collections.collect()).await?;
    let other_namespaces: BTreeSet<_> =
        kinds.iter().flat_map(|kind| router(*kind).elsewhere(&objects, namespace, &listed)).collect();
    objects.extend(list_objects(caller, other_namespaces.clone()).await?);
    Ok(RouterObjects { objects, other_namespaces })
}

/// Lists the objects of these resources; none if the API server does not serve the kind.
async fn list_objects(
    caller: &Caller,
    collections: BTreeSet<(&'static Resource, String)>,
) -> Result<Vec<Object>, ObserveError> {
    let lists = collections.into_iter().map(async |(resource, namespace)| {
        let objects = caller.list(&raw::routes(resource, &namespace), None).await?;
        Ok::<_, ObserveError>(objects.iter().map(|object| read::object(resource, object)).collect::<Vec<_>>())
    });
    Ok(futures::future::try_join_all(lists).await?.into_iter().flatten().collect())
}

/// Lists the objects that a selector matches; none without a selector.
async fn list_selected(
    caller: &Caller,
    path: &str,
    selector: Option<&str>,
) -> Result<Vec<Value>, ObserveError> {
    match selector {
        Some(selector) => Ok(caller.list(path, Some(selector)).await?),
        None => Ok(Vec::new()),
    }
}

/// Reads the policy that the annotation names, or returns why there is none to compile.
async fn policy(
    caller: &Caller,
    namespace: &str,
    named: Option<&str>,
) -> Result<Result<Value, PolicyState>, ObserveError> {
    let Some(named) = named else { return Ok(Err(PolicyState::Unnamed)) };
    let missing = || Ok(Err(PolicyState::Missing(named.to_owned())));
    let (path, name) = match named.strip_prefix("cluster/") {
        Some(name) => (raw::policies(None), name),
        None => (raw::policies(Some(namespace)), named),
    };
    if name.is_empty()
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    {
        return missing();
    }
    let Some(mut object) = caller.get(&path, name).await? else { return missing() };
    Ok(Ok(object.get_mut("spec").map(Value::take).unwrap_or_default()))
}

/// Returns whether a selector requires all of these labels, so that whatever it matches has them.
fn requires(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !labels.is_empty() && labels.iter().all(|(key, value)| selector.get(key) == Some(value))
}

/// Returns the Services that carry the Deployment's traffic, the canary Services and those that the
/// rollout in progress names, without their ready pods; and the names of all others.
fn relevant_services(
    services: &[Value],
    name: &str,
    template: &BTreeMap<String, String>,
    pinned: &BTreeSet<&str>,
) -> (Vec<Service>, BTreeSet<String>) {
    let name_of = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let (ours, others): (Vec<_>, Vec<_>) = services.iter().partition(|object| {
        let labels = read::strings(object, "/metadata/labels");
        let selector = read::strings(object, "/spec/selector");
        ownership::carries(&name_of(object), &labels, &selector, name, template, pinned)
    });
    (ours.into_iter().map(read::service).collect(), others.into_iter().map(name_of).collect())
}

/// Returns the Services that select the pods of stable, but not those of the new template.
fn left_behind(
    services: &[Value],
    sets: &[ReplicaSet],
    owner: &str,
    template: &BTreeMap<String, String>,
) -> Vec<LeftBehind> {
    let serving = sets.iter().filter(|set| set.controller.as_deref() == Some(owner) && set.replicas > 0);
    let serving: Vec<_> = serving.map(|set| read::strings(&set.template, "/metadata/labels")).collect();
    let found = services.iter().filter_map(|object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let labels = read::strings(object, "/metadata/labels");
        ownership::left_behind(name, &labels, &read::strings(object, "/spec/selector"), &serving, template)
    });
    found.collect()
}

/// Adds the pods of each Service that are ready on each of its ports that they can serve.
fn add_ready_pods(services: &mut [Service], slices: &[Value], pods: &[Value]) {
    let endpoints = read::endpoints(slices);
    for service in services {
        if let Some(endpoints) = endpoints.get(&service.meta.name) {
            service.ready = read::ready(endpoints, &service.ports, pods);
        }
    }
}
