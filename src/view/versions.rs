//! The versions of a Deployment, and their pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use serde_json::Value;

use super::facts::Facts;
use crate::{
    api::{HASH, Phase, RolloutStatus, Version},
    engine,
    traffic::Weight,
};

/// A version and its pods.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    /// `stable`, `canary`, `rejected` or `other`.
    pub role: &'static str,
    /// Its revision, `ReplicaSet` and tag.
    #[serde(flatten)]
    pub version: Version,
    /// The share of the traffic that the route gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Weight>,
    /// The desired number of pods.
    pub replicas: i64,
    /// The pods.
    pub pods: Vec<RunningPod>,
}

/// A pod.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunningPod {
    /// The name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// The state, as kubectl prints it.
    pub state: String,
    /// The highest restart count of its containers.
    pub restarts: i32,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// Returns stable, the canary, and other versions that still have pods.
pub(super) fn versions(facts: &Facts, status: &RolloutStatus) -> Vec<Running> {
    let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in &facts.pods {
        let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH));
        pods.entry(hash.map_or("", String::as_str)).or_default().push(pod);
    }
    let trial = status.trial.is_some();
    let canary = status.weight.filter(|_| trial);
    let rejected = if status.phase == Phase::RolledBack { "rejected" } else { "canary" };
    let stable_share = if trial { canary.map(Weight::rest) } else { Some(Weight::ALL) };
    let known =
        [(status.stable.as_ref(), "stable", stable_share), (status.canary.as_ref(), rejected, canary)];
    let mut versions = Vec::new();
    for (version, role, share) in known.into_iter().filter_map(|(v, role, share)| Some((v?, role, share))) {
        let replicas = facts
            .replica_sets
            .iter()
            .find(|set| set["metadata"]["name"] == version.replica_set)
            .and_then(|set| set["spec"]["replicas"].as_i64());
        versions.push(Running {
            role,
            version: version.clone(),
            share,
            replicas: replicas.unwrap_or(0),
            pods: sorted(pods.remove(version.revision.as_str())),
        });
    }
    for (hash, pods) in pods {
        let set = facts.replica_sets.iter().find(|set| set["metadata"]["labels"][HASH] == hash);
        let text = |pointer: &str| {
            set.and_then(|set| set.pointer(pointer)).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let tag = set.and_then(|set| set.pointer("/spec/template")).map(engine::tag).unwrap_or_default();
        versions.push(Running {
            role: "other",
            version: Version {
                revision: hash.to_owned(),
                replica_set: text("/metadata/name"),
                tag,
                ..Version::default()
            },
            share: None,
            replicas: set.and_then(|set| set["spec"]["replicas"].as_i64()).unwrap_or(0),
            pods: sorted(Some(pods)),
        });
    }
    versions
}

fn sorted(pods: Option<Vec<&Pod>>) -> Vec<RunningPod> {
    let mut pods: Vec<RunningPod> = pods.unwrap_or_default().into_iter().map(pod).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

fn pod(pod: &Pod) -> RunningPod {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let containers = || status.container_statuses.iter().flatten();
    let problem = containers().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
    });
    let state = match (&pod.metadata.deletion_timestamp, problem) {
        (Some(_), _) => "Terminating".to_owned(),
        (None, Some(reason)) => reason,
        (None, None) => status.phase.clone().unwrap_or_else(|| "Pending".to_owned()),
    };
    RunningPod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        ready: ready && pod.metadata.deletion_timestamp.is_none(),
        state,
        restarts: containers().map(|container| container.restart_count).max().unwrap_or(0),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}
