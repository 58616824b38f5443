//! Reads a Deployment, its Rollout and its policy from the API server, and the other objects of its
//! rollout from the caches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::core::SelectorExt as _;
use serde_json::Value;
use thiserror::Error;

use super::{
    ObjectKey,
    answers::PendingAnswer,
    cache::{CacheError, CachedKind, Caches, Generations},
    context::Context,
    locked,
    raw::{self, CallError, Caller, collection},
    read,
};
use crate::{
    api::policy_name,
    engine::{
        Backend, Capacity, Kind, LeftBehind, PolicyState, ReplicaSet, Rollout, Service, Snapshot, ownership,
    },
    policy::{Compiled, Written},
    traffic::{Object, Resource, RouteRef, RouterKind, router},
};

/// Why the objects can't be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The caches have no complete list.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The Rollout can't be decoded.
    #[error("cannot decode the Rollout")]
    Rollout(#[source] serde_json::Error),
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
pub async fn observe(context: &Context, key: &ObjectKey) -> Result<Observed, ObserveError> {
    let Context { caller, caches, .. } = context;
    let ObjectKey { namespace, name } = key;
    let (deployments, rollouts) =
        (collection(Kind::Deployment, namespace), collection(Kind::Rollout, namespace));
    let (deployment, rollout) =
        tokio::try_join!(caller.get(&deployments, name), caller.get(&rollouts, name))?;
    let rollout = rollout.as_ref().map(read::rollout).transpose().map_err(ObserveError::Rollout)?;
    let annotations = deployment.as_ref().map(|d| read::strings(d, "/metadata/annotations"));
    let named = annotations.as_ref().and_then(policy_name);
    if let Some(deployment) = &deployment {
        let selector = read::label_selector(&deployment["spec"]["selector"]);
        caches.catch_up(caller, key, Generations::of(deployment), &selector).await?;
    }
    let (policy, hold_enforced, services, slices, sets, all_pods) = tokio::try_join!(
        policy(caller, namespace, named),
        async { Ok(context.hold_probe.holds(caller, key, deployment.as_ref(), rollout.as_ref()).await?) },
        cached(caches, CachedKind::Services, namespace),
        cached(caches, CachedKind::EndpointSlices, namespace),
        cached(caches, CachedKind::ReplicaSets, namespace),
        cached(caches, CachedKind::Pods, namespace),
    )?;
    let pods: Vec<&Value> = deployment.as_ref().map_or_else(Vec::new, |deployment| {
        let selector = read::label_selector(&deployment["spec"]["selector"]);
        let own = |pod: &&Value| selector.matches(&read::strings(pod, "/metadata/labels"));
        all_pods.iter().map(Arc::as_ref).filter(own).collect()
    });
    let begun = rollout.as_ref().and_then(|r| r.status.trial.as_ref()?.policy.as_ref());
    let [named, begun] = locked(&context.policies)
        .compiled(key.clone(), [policy.as_ref().ok().map(Written::Policy), begun.map(Written::Status)]);
    let policy = policy.err().or(named.map(PolicyState::from)).unwrap_or(PolicyState::Unnamed);
    let RouterObjects { objects, other_namespaces } =
        router_objects(caches, namespace, &policy, begun.as_ref(), rollout.as_ref()).await?;
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
    let (pending, asking) = context.answers.take(key, revision);
    let owner = deployment.as_ref().map(|d| read::meta(d).uid).unwrap_or_default();
    let replica_sets = sets.iter().map(|set| read::replica_set(set));
    let (replica_sets, foreign): (Vec<_>, Vec<_>) =
        replica_sets.partition(|set| ownership::concerns(set, name, &owner));
    let (mut relevant, taken) = relevant_services(&services, name, &template, &pinned);
    add_ready_pods(&mut relevant, &slices, &pods);
    let left_behind = left_behind(&services, &replica_sets, &owner, &template);
    let idle = rollout.as_ref().is_some_and(|rollout| rollout.status.trial.is_none());
    let mut others = Vec::new();
    if ownership::possible_claimants(&relevant, &foreign, idle) {
        let all = cached(caches, CachedKind::Rollouts, namespace).await?;
        // A Rollout that can't be decoded changes nothing: its own reconciles fail.
        let readable = all.iter().filter_map(|rollout| read::rollout(rollout).ok());
        others.extend(readable.filter(|rollout| rollout.meta.name != *name));
        for service in &mut relevant {
            service.claimants = ownership::claimants(service, &others, &foreign);
        }
    }
    if idle {
        // This is only needed before a rollout starts.
        for service in &mut relevant {
            let selector = read::unpinned(&service.selector);
            let selected =
                all_pods.iter().filter(|pod| selector.matches(&read::strings(pod, "/metadata/labels")));
            let behind: Vec<Backend> = selected.filter_map(|pod| read::backend(pod)).collect();
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
        epoch: context.fence.epoch(),
        drain: context.drain,
        router: context.router.clone(),
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
        pods: pods.iter().map(|pod| read::pod(pod)).collect(),
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
    caches: &Caches,
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
    let mut objects = list_objects(caches, collections.collect()).await?;
    let other_namespaces: BTreeSet<_> =
        kinds.iter().flat_map(|kind| router(*kind).elsewhere(&objects, namespace, &listed)).collect();
    objects.extend(list_objects(caches, other_namespaces.clone()).await?);
    Ok(RouterObjects { objects, other_namespaces })
}

/// Returns the objects of a kind in a namespace.
async fn cached(caches: &Caches, kind: CachedKind, namespace: &str) -> Result<Vec<Arc<Value>>, ObserveError> {
    Ok(caches.list(kind, namespace).await?)
}

/// Returns the objects of these resources; none if the API server does not serve the kind.
async fn list_objects(
    caches: &Caches,
    collections: BTreeSet<(&'static Resource, String)>,
) -> Result<Vec<Object>, ObserveError> {
    let lists = collections.into_iter().map(async |(resource, namespace)| {
        let objects = cached(caches, CachedKind::Routes(resource), &namespace).await?;
        Ok::<_, ObserveError>(objects.iter().map(|object| read::object(resource, object)).collect::<Vec<_>>())
    });
    Ok(futures::future::try_join_all(lists).await?.into_iter().flatten().collect())
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

/// Returns the Services that carry the Deployment's traffic, the canary Services and those that the
/// rollout in progress names, without their ready pods; and the names of all others.
fn relevant_services(
    services: &[Arc<Value>],
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
    (
        ours.into_iter().map(|object| read::service(object)).collect(),
        others.into_iter().map(|object| name_of(object)).collect(),
    )
}

/// Returns the Services that select the pods of stable, but not those of the new template.
fn left_behind(
    services: &[Arc<Value>],
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
fn add_ready_pods(services: &mut [Service], slices: &[Arc<Value>], pods: &[&Value]) {
    let endpoints = read::endpoints(slices);
    for service in services {
        if let Some(endpoints) = endpoints.get(&service.meta.name) {
            service.ready = read::ready(endpoints, &service.ports, pods);
        }
    }
}
