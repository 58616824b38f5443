//! What a rollout changes temporarily and must restore: routes, selectors, labels and annotations.

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
/// The opt-in annotation, which remains.
const POLICY: &str = "steelyard.io/policy";
/// The label of a held Deployment.
const HELD: &str = "steelyard.io/held";

/// The parts of a namespace that a rollout may change only temporarily.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// The routes' specs, by name.
    pub routes: BTreeMap<String, Value>,
    /// The Services' selectors, by name.
    pub services: BTreeMap<String, BTreeMap<String, String>>,
}

impl World {
    /// Returns the current state for one Deployment: all objects whose name is its name or begins
    /// with it.
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

/// The expected final state of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Handed over: not paused, without Steelyard's label.
    Free,
    /// Its rejected template is held.
    Held,
    /// Steelyard has left it paused, without Steelyard's label.
    Paused,
}

/// Checks that routes and Services have no labels or annotations of a rollout.
pub(super) async fn check_unmarked(space: &Space) -> Result<(), Failure> {
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
    if marks.is_empty() {
        Ok(())
    } else {
        Err(format!("Steelyard's labels or annotations remain: {marks:?}").into())
    }
}

/// Returns Steelyard's entries in an object's managed fields: if they remain, a tool that applies
/// the object gets a conflict.
fn owner(entries: &[ManagedFieldsEntry]) -> impl Iterator<Item = &ManagedFieldsEntry> {
    entries.iter().filter(|entry| entry.manager.as_deref() == Some("steelyard"))
}

fn ours(map: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    map.keys().filter(|key| key.starts_with(OURS) && *key != POLICY)
}

/// Checks a Deployment's labels and annotations, and that it runs `replicas` pods of `serving` in
/// one `ReplicaSet` that it owns.
pub(super) async fn check_deployment(
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
        let what = "Deployment rolled out with its template";
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
            "{} with image {}, owned by {}: {:?} pods, {:?} available",
            set.name_any(),
            image(set),
            owner.map_or("no controller", |owner| owner.kind.as_str()),
            set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(),
            set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default()
        )
    };
    sets.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// Returns whether a Rollout has reached the expected final state.
pub(super) fn is_final(rollout: &Rollout, state: State, tag: &str) -> bool {
    let idle =
        rollout.status["trial"].is_null() && rollout.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
    idle && match state {
        State::Held => rollout.phase() == "RolledBack" && rollout.text("/stable/tag") == tag,
        State::Free | State::Paused => rollout.complete(tag),
    }
}
