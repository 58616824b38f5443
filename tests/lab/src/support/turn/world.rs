//! What a rollout borrows and must give back: routes, selectors, marks.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;

use crate::support::{Failure, HttpRoute, Rollout, Space, available};

/// The prefix of everything that Steelyard writes.
const OURS: &str = "steelyard.io/";
/// The opt-in, which stays.
const POLICY: &str = "steelyard.io/policy";
/// The mark of a hold.
const HELD: &str = "steelyard.io/held";

/// The parts of a namespace that a rollout may touch only for a while.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// The routes' specs, by name.
    pub routes: BTreeMap<String, Value>,
    /// The Services' selectors, by name.
    pub services: BTreeMap<String, BTreeMap<String, String>>,
}

impl World {
    /// As it is for one Deployment: everything that has its name, alone or as a beginning.
    pub async fn of(space: &Space, name: &str) -> Result<Self, Failure> {
        let all = ListParams::default();
        let routes = space.api::<HttpRoute>().list(&all).await?;
        let services = space.api::<Service>().list(&all).await?;
        Ok(Self {
            routes: routes
                .into_iter()
                .filter(|route| route.name_any().starts_with(name))
                .map(|route| (route.name_any(), route.spec))
                .collect(),
            services: services
                .into_iter()
                .filter(|service| service.name_any().starts_with(name))
                .map(|service| {
                    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
                    (service.name_any(), selector.unwrap_or_default())
                })
                .collect(),
        })
    }
}

/// How a Deployment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Handed over: unpaused, without a mark.
    Free,
    /// Its rejected template is held.
    Held,
    /// Steelyard has left it paused, without a mark.
    Paused,
}

/// Checks that nothing on routes and Services tells of a rollout.
pub(super) async fn unmarked(space: &Space) -> Result<(), Failure> {
    let all = ListParams::default();
    let mut marks = Vec::new();
    for route in space.api::<HttpRoute>().list(&all).await? {
        marks.extend(ours(route.annotations()).map(|key| format!("HTTPRoute {}: {key}", route.name_any())));
        marks.extend(
            owner(route.managed_fields()).map(|_| format!("HTTPRoute {}: managedFields", route.name_any())),
        );
    }
    for service in space.api::<Service>().list(&all).await? {
        marks.extend(ours(service.annotations()).map(|key| format!("Service {}: {key}", service.name_any())));
        marks.extend(
            owner(service.managed_fields()).map(|_| format!("Service {}: managedFields", service.name_any())),
        );
    }
    if marks.is_empty() { Ok(()) } else { Err(format!("marks are left: {marks:?}").into()) }
}

/// Steelyard's entries on an object's record of who set its fields: left there, a tool that applies it meets a conflict.
fn owner(entries: &[ManagedFieldsEntry]) -> impl Iterator<Item = &ManagedFieldsEntry> {
    entries.iter().filter(|entry| entry.manager.as_deref() == Some("steelyard"))
}

fn ours(map: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    map.keys().filter(|key| key.starts_with(OURS) && *key != POLICY)
}

/// Checks a Deployment's marks, and that it runs `replicas` pods of `serving` in one `ReplicaSet` of its own.
pub(super) async fn stands(
    space: &Space,
    name: &str,
    state: State,
    serving: &str,
    replicas: i32,
) -> Result<(), Failure> {
    let deployment = space.api::<Deployment>().get(name).await?;
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    let labels: Vec<&String> = ours(deployment.labels()).collect();
    let marks_fit = match state {
        State::Free | State::Paused => labels.is_empty(),
        State::Held => labels.iter().any(|key| *key == HELD),
    };
    if paused != (state != State::Free) || !marks_fit {
        return Err(format!("Deployment {name}: paused {paused}, labels {labels:?}, not {state:?}").into());
    }
    if state == State::Free {
        let what = "Deployment as its template says";
        let limit = std::time::Duration::from_secs(10);
        space.until(name, what, limit, |d: &Deployment| available(d).then_some(())).await?;
    }
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let mut sets = space.api::<ReplicaSet>().list(&ListParams::default()).await?.items;
    sets.retain(|set| set.name_any().starts_with(name));
    let mut active = sets.iter().filter(|set| set.spec.as_ref().and_then(|spec| spec.replicas) != Some(0));
    let (Some(set), None) = (active.next(), active.next()) else {
        return Err(format!("not one active ReplicaSet: {}", list(&sets)).into());
    };
    let owner = set.owner_references().iter().find(|owner| owner.controller == Some(true));
    let image = image(set);
    let ready = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    let fits = owner.is_some_and(|owner| owner.uid == uid)
        && image == format!("demo:{serving}")
        && ready == replicas;
    if fits { Ok(()) } else { Err(format!("not {replicas} pods of {serving}: {}", list(&sets)).into()) }
}

fn image(set: &ReplicaSet) -> &str {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    template.and_then(|spec| spec.containers.first()?.image.as_deref()).unwrap_or_default()
}

fn list(sets: &[ReplicaSet]) -> String {
    let line = |set: &ReplicaSet| {
        let owner = set.owner_references().iter().find(|owner| owner.controller == Some(true));
        format!(
            "{} of {} for {}: {:?} pods, {:?} available",
            set.name_any(),
            image(set),
            owner.map_or("nobody", |owner| owner.kind.as_str()),
            set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(),
            set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default()
        )
    };
    sets.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// Whether a Rollout is at rest as it should be.
pub(super) fn at_rest(rollout: &Rollout, state: State, tag: &str) -> bool {
    let idle =
        rollout.status["trial"].is_null() && rollout.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
    idle && match state {
        State::Held => rollout.phase() == "RolledBack" && rollout.text("/stable/tag") == tag,
        State::Free | State::Paused => rollout.complete(tag),
    }
}
