//! A rollout as people look at it: one value, made from what was read, printed as a tree, an explanation or JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Condition};
use serde::Serialize;
use serde_json::Value;

use super::world::World;
use crate::{
    analysis::{self, Outcome, Tally},
    api::{
        Failure, HASH, Handover, Opened, Past, Phase, RolloutSpec, RolloutStatus, Trial, Version, Waiting,
    },
    engine,
    policy::{self, template},
};

/// A rollout as people look at it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    /// The namespace.
    pub namespace: String,
    /// The name of the Deployment and of its Rollout.
    pub name: String,
    /// The policy that the annotation names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Whether the Deployment's template is held.
    pub held: bool,
    /// The Deployment's replicas.
    pub replicas: i64,
    /// The Deployment's generation.
    pub generation: i64,
    /// Where the rollout is.
    pub phase: Phase,
    /// The step, counted from 1; 0 while none has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Where the handover is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// Whether the canary's pods are the Deployment's already, so that there is no way back.
    pub handed_over: bool,
    /// Whether a rollout is in flight.
    pub in_flight: bool,
    /// The Service of a preview, where the rollout has one: nobody else is sent there before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The canary's weight as the route or the Services say, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// The canary's share as clients see it, in percent, where it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<u8>,
    /// The verdict of the step so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What is awaited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The gates that opened so far, and who or what opened them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Opened>,
    /// Why traffic was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The versions: stable, the canary, and others that still have pods.
    pub versions: Vec<Running>,
    /// The metrics of the step.
    pub metrics: Vec<Metric>,
    /// What people asked for.
    pub intents: RolloutSpec,
    /// How often the revision was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// The rollouts that ended, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
}

/// A version and its pods.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Running {
    /// `stable`, `canary`, `rejected` or `other`.
    pub role: &'static str,
    /// Its revision, `ReplicaSet` and tag.
    #[serde(flatten)]
    pub version: Version,
    /// Its share of the routed traffic, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<u8>,
    /// How many pods it is to have.
    pub replicas: i64,
    /// Its pods.
    pub pods: Vec<RunningPod>,
}

/// A pod.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunningPod {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Its state in a word, as kubectl prints it.
    pub state: String,
    /// The most restarts of one of its containers.
    pub restarts: i32,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// A metric of the step.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metric {
    /// Its name.
    pub name: String,
    /// The query as it is sent.
    pub query: String,
    /// The smallest value that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What it answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// When it was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Its looks in this step.
    pub looks: Tally,
    /// How many of them it needs.
    pub needs: u32,
    /// How many of them may fail.
    pub may_fail: u32,
    /// What they come to.
    pub verdict: String,
}

impl View {
    /// Puts together what was read.
    pub(super) fn of(world: &World) -> Self {
        let (spec, status) = world
            .rollout
            .clone()
            .map_or_else(Default::default, |rollout| (rollout.spec, rollout.status.unwrap_or_default()));
        let deployment = world.deployment.clone().unwrap_or_default();
        let trial = status.trial.as_ref();
        let (step, steps) = status.step.as_deref().and_then(steps).unzip();
        Self {
            namespace: world.namespace.clone(),
            name: world.name.clone(),
            policy: world.policy().map(str::to_owned),
            held: world.held(),
            replicas: deployment["spec"]["replicas"].as_i64().unwrap_or(0),
            generation: world.generation(),
            phase: status.phase,
            step,
            steps,
            handover: trial.and_then(|trial| trial.handover),
            handed_over: handed_over(world, &status),
            in_flight: trial.is_some(),
            preview: trial.and_then(preview),
            weight: status.weight,
            observed_weight: status.observed_weight,
            verdict: status.verdict.clone(),
            waiting: status.waiting.clone(),
            gates: trial.map(|trial| trial.gates.clone()).unwrap_or_default(),
            failure: status.failure.clone(),
            versions: versions(world, &status),
            metrics: metrics(world, &status),
            intents: spec,
            attempt: status.attempt,
            conditions: status.conditions,
            history: status.history,
        }
    }

    /// A condition.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }

    /// The version in this role.
    pub(super) fn version(&self, role: &str) -> Option<&Running> {
        self.versions.iter().find(|version| version.role == role)
    }

    /// The version on trial, or the one that was rejected.
    pub(super) fn candidate(&self) -> Option<&Version> {
        let tried = |version: &&Running| matches!(version.role, "canary" | "rejected");
        self.versions.iter().find(tried).map(|found| &found.version)
    }

    /// The revision that an intent is for: the one on trial or rejected, else the generation of a held Deployment.
    pub(super) fn revision(&self) -> Option<String> {
        match self.candidate().filter(|_| self.in_flight || self.phase == Phase::RolledBack) {
            Some(version) => Some(version.revision.clone()),
            None => self.held.then(|| self.generation.to_string()),
        }
    }

    /// Whether an intent of this revision is for the rollout of now: it may have been set by generation, before there was
    /// a revision.
    pub(super) fn means(&self, revision: &str) -> bool {
        let minted = self.candidate().is_some_and(|version| version.generation.to_string() == revision);
        minted || self.revision().is_some_and(|now| now == revision)
    }

    /// The tag of the version on trial, or of the one that was rejected.
    pub(super) fn tag(&self) -> &str {
        self.candidate().map_or("the held template", |version| &version.tag)
    }

    /// Whether a person's pause stands for the revision of now.
    pub(super) fn paused(&self) -> bool {
        self.intents.pause.as_ref().is_some_and(|pause| self.means(&pause.revision))
    }
}

/// The Service of the preview, if the rollout has one. A version that comes back in one switch has none.
fn preview(trial: &Trial) -> Option<String> {
    let blue_green = trial.policy.as_ref().is_some_and(|policy| policy.strategy.blue_green.is_some());
    (blue_green && !trial.returning).then(|| trial.canary_service.clone())
}

/// `2/4` as two numbers.
fn steps(text: &str) -> Option<(usize, usize)> {
    let (step, steps) = text.split_once('/')?;
    Some((step.parse().ok()?, steps.parse().ok()?))
}

/// The Deployment owns the canary, or is let go for its own pods.
fn handed_over(world: &World, status: &RolloutStatus) -> bool {
    let stage = status.trial.as_ref().and_then(|trial| trial.handover);
    let owned = |name: &str| {
        let set = world.replica_sets.iter().find(|set| set["metadata"]["name"] == name);
        let owners = set.and_then(|set| set["metadata"]["ownerReferences"].as_array());
        owners.into_iter().flatten().any(|owner| owner["kind"] == "Deployment" && owner["controller"] == true)
    };
    match stage {
        Some(Handover::Released | Handover::Draining | Handover::Replaced) => true,
        Some(Handover::Native) => !world.held(),
        Some(Handover::Adopted) => status.canary.as_ref().is_some_and(|canary| owned(&canary.replica_set)),
        _ => false,
    }
}

fn versions(world: &World, status: &RolloutStatus) -> Vec<Running> {
    let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in &world.pods {
        let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH));
        pods.entry(hash.map_or("", String::as_str)).or_default().push(pod);
    }
    let trial = status.trial.is_some();
    let canary = status.weight.filter(|_| trial);
    let rejected = if status.phase == Phase::RolledBack { "rejected" } else { "canary" };
    let stable_share = if trial { canary.map(|weight| 100 - weight.min(100)) } else { Some(100) };
    let known =
        [(status.stable.as_ref(), "stable", stable_share), (status.canary.as_ref(), rejected, canary)];
    let mut versions = Vec::new();
    for (version, role, share) in known.into_iter().filter_map(|(v, role, share)| Some((v?, role, share))) {
        let replicas = world
            .replica_sets
            .iter()
            .find(|set| set["metadata"]["name"] == version.replica_set)
            .and_then(|set| set["spec"]["replicas"].as_i64());
        versions.push(Running {
            role,
            version: version.clone(),
            share,
            replicas: replicas.unwrap_or(0),
            pods: of(pods.remove(version.revision.as_str())),
        });
    }
    for (hash, pods) in pods {
        let set = world.replica_sets.iter().find(|set| set["metadata"]["labels"][HASH] == hash);
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
                generation: 0,
            },
            share: None,
            replicas: set.and_then(|set| set["spec"]["replicas"].as_i64()).unwrap_or(0),
            pods: of(Some(pods)),
        });
    }
    versions
}

fn of(pods: Option<Vec<&Pod>>) -> Vec<RunningPod> {
    let mut pods: Vec<RunningPod> = pods.unwrap_or_default().into_iter().map(pod).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

fn pod(pod: &Pod) -> RunningPod {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let containers = || status.container_statuses.iter().flatten();
    let trouble = containers().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
    });
    let state = match (&pod.metadata.deletion_timestamp, trouble) {
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

/// The metrics of the policy that the rollout began with, as the controller understands it.
fn metrics(world: &World, status: &RolloutStatus) -> Vec<Metric> {
    let Some(trial) = &status.trial else { return Vec::new() };
    let Some(valid) = trial.policy.as_ref().and_then(|spec| policy::valid(spec).ok()) else {
        return Vec::new();
    };
    let variables = engine::variables(&world.namespace, &world.name, status, valid.interval);
    let metric = |metric: &policy::Metric| {
        let state = trial.metrics.get(&metric.name).cloned().unwrap_or_default();
        Metric {
            name: metric.name.clone(),
            query: template::render(&metric.query, &variables).unwrap_or_else(|_| metric.query.clone()),
            min: metric.threshold.min,
            max: metric.threshold.max,
            last: state.last,
            asked_at: state.asked_at,
            needs: metric.limits.min_measurements,
            may_fail: metric.limits.failure_limit,
            verdict: format!("{:?}", analysis::verdict(&metric.limits, &state.tally)),
            looks: state.tally,
        }
    };
    valid.metrics.iter().map(metric).collect()
}
