//! Reads the world around one Deployment afresh, so that no decision rests on a cache.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use thiserror::Error;

use super::{
    Key,
    gate::Gate,
    mailbox::{Letter, Mailbox},
    raw::{CallError, Caller, collection},
    read,
};
use crate::{
    api::POLICY,
    engine::{Backend, Kind, Policy, Router, Service, Snapshot, Turn, ownership},
    policy,
};

/// Why the world couldn't be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The Rollout isn't one.
    #[error("the Rollout can't be read")]
    Rollout(#[source] serde_json::Error),
}

/// What the operator and this process add to what is read.
#[derive(Clone, Debug)]
pub struct Given {
    /// The term of leadership.
    pub epoch: u64,
    /// How long routers and connections get to leave.
    pub drain: SignedDuration,
    /// How to ask the router what share the canary gets.
    pub router: Option<Router>,
}

/// Reads everything that [`crate::engine::decide`] may rest on, and the answers that came since, which the caller puts back if it doesn't use them.
pub async fn observe(
    caller: &Caller,
    key: &Key,
    given: Given,
    gate: &Gate,
    mail: &Mailbox,
) -> Result<(Snapshot, Vec<Letter>), ObserveError> {
    let Key { namespace, name } = key;
    let path = |kind| collection(kind, namespace);
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let (deployments, rollouts) = (path(Kind::Deployment), path(Kind::Rollout));
    let (services, routes) = (path(Kind::Service), path(Kind::HttpRoute));
    let (deployment, rollout, services, slices, routes) = tokio::try_join!(
        caller.get(&deployments, name),
        caller.get(&rollouts, name),
        caller.list(&services, None),
        caller.list(&slices, None),
        caller.list(&routes, None),
    )?;
    let rollout = rollout.as_ref().map(read::rollout).transpose().map_err(ObserveError::Rollout)?;
    let selector = deployment.as_ref().and_then(|d| read::selector(&d["spec"]["selector"]));
    let annotation =
        deployment.as_ref().and_then(|d| read::strings(d, "/metadata/annotations").remove(POLICY));
    let (sets, pods_path) = (path(Kind::ReplicaSet), format!("/api/v1/namespaces/{namespace}/pods"));
    let (policy, sets, pods, gated) = tokio::try_join!(
        policy(caller, namespace, annotation.as_deref()),
        async { Ok(caller.list(&sets, None).await?) },
        chosen(caller, &pods_path, selector.as_deref()),
        async { Ok(gate.holds(caller, key, deployment.as_ref(), rollout.as_ref()).await?) },
    )?;
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
    let (letters, asking) = mail.take(key, revision);
    let owner = deployment.as_ref().map(|d| read::meta(d).uid).unwrap_or_default();
    let (mut of_interest, taken) = of_interest(&services, &slices, name, &template, &pinned);
    let replica_sets = sets.iter().map(read::replica_set);
    let (replica_sets, foreign): (Vec<_>, Vec<_>) =
        replica_sets.partition(|set| ownership::concerns(set, name, &owner));
    let idle = rollout.as_ref().is_some_and(|rollout| rollout.status.trial.is_none());
    let mut others = Vec::new();
    if ownership::possible_rivals(&of_interest, &foreign, idle) {
        let all = caller.list(&rollouts, None).await?;
        // One that can't be read stands still: its own looks fail.
        let readable = all.iter().filter_map(|rollout| read::rollout(rollout).ok());
        others.extend(readable.filter(|rollout| rollout.meta.name != *name));
        for service in &mut of_interest {
            service.rivals = ownership::rivals(service, &others, &foreign);
        }
    }
    if idle {
        // Asked only where the answer matters: before a rollout starts.
        let wanted = deployment.as_ref().map(|d| read::strings(d, "/spec/selector/matchLabels"));
        for service in &mut of_interest {
            let narrow = wanted.as_ref().is_some_and(|wanted| within(&service.selector, wanted));
            let behind: Vec<Backend> = if narrow {
                let selected = |pod: &&Value| {
                    ownership::selects(&service.selector, &read::strings(pod, "/metadata/labels"))
                };
                pods.iter().filter(selected).filter_map(read::backend).collect()
            } else {
                let all = caller.list(&pods_path, Some(&read::unpinned(&service.selector))).await?;
                all.iter().filter_map(read::backend).collect()
            };
            service.strangers = ownership::strangers(&behind, &foreign);
            for rival in &mut service.rivals {
                let of_rival = others.iter().find(|rollout| rollout.meta.name == rival.deployment);
                let own = of_rival.map(|rollout| ownership::pods_of(rollout, &behind, &foreign));
                rival.pods = own.unwrap_or_default().intersection(&service.strangers).cloned().collect();
            }
            for rival in &service.rivals {
                service.strangers.retain(|pod| !rival.pods.contains(pod));
            }
        }
    }
    let snapshot = Snapshot {
        now: Timestamp::now(),
        epoch: given.epoch,
        drain: given.drain,
        router: given.router,
        turn: Turn::Free,
        gated,
        namespace: namespace.clone(),
        name: name.clone(),
        deployment: deployment.as_ref().map(read::deployment),
        policy,
        replica_sets,
        services: of_interest,
        taken,
        pods: pods.iter().map(read::pod).collect(),
        routes: routes.iter().map(read::route).collect(),
        readings: letters.iter().filter_map(Letter::reading).collect(),
        answers: letters.iter().filter_map(Letter::answer).collect(),
        refused: letters.iter().filter_map(Letter::refused).collect(),
        asking,
        rollout,
    };
    Ok((snapshot, letters))
}

/// Objects that a selector matches; none without a selector.
async fn chosen(caller: &Caller, path: &str, selector: Option<&str>) -> Result<Vec<Value>, ObserveError> {
    match selector {
        Some(selector) => Ok(caller.list(path, Some(selector)).await?),
        None => Ok(Vec::new()),
    }
}

/// The policy that the annotation names.
async fn policy(caller: &Caller, namespace: &str, annotation: Option<&str>) -> Result<Policy, ObserveError> {
    let Some(named) = annotation.map(str::trim).filter(|n| !n.is_empty()) else { return Ok(Policy::Unnamed) };
    let (path, name) = match named.strip_prefix("cluster/") {
        Some(name) => ("/apis/steelyard.io/v1alpha1/clusterrolloutpolicies".to_owned(), name),
        None => (format!("/apis/steelyard.io/v1alpha1/namespaces/{namespace}/rolloutpolicies"), named),
    };
    if name.is_empty()
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    {
        return Ok(Policy::Missing(named.to_owned()));
    }
    let Some(object) = caller.get(&path, name).await? else { return Ok(Policy::Missing(named.to_owned())) };
    Ok(match policy::read(object.get("spec").unwrap_or(&Value::Null)) {
        Ok(spec) => Policy::Found(spec),
        Err(faults) => Policy::Unreadable(faults),
    })
}

/// Whether a selector asks for all of these labels, so that it matches nothing that they don't.
fn within(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !labels.is_empty() && labels.iter().all(|(key, value)| selector.get(key) == Some(value))
}

/// Services that carry the Deployment's traffic, canary Services, and those the rollout in flight names; and the names of all others.
fn of_interest(
    services: &[Value],
    slices: &[Value],
    name: &str,
    template: &BTreeMap<String, String>,
    pinned: &BTreeSet<&str>,
) -> (Vec<Service>, BTreeSet<String>) {
    let mut ready = read::endpoints(slices);
    let called = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let (ours, others): (Vec<_>, Vec<_>) = services.iter().partition(|object| {
        let labels = read::strings(object, "/metadata/labels");
        let selector = read::strings(object, "/spec/selector");
        ownership::carries(&called(object), &labels, &selector, name, template, pinned)
    });
    let service = |object: &Value| read::service(object, ready.remove(&called(object)).unwrap_or_default());
    (ours.into_iter().map(service).collect(), others.into_iter().map(called).collect())
}
