//! A rollout as people look at it: one value, made from what was read, printed as a tree, an explanation or JSON.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::{
    facts::Facts,
    metrics::{Metric, metrics},
    versions::{Running, versions},
};
use crate::api::{
    Failure, Handover, Opened, Past, Phase, RolloutSpec, RolloutStatus, Trial, Version, Waiting,
};

/// A rollout as people look at it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
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

impl View {
    /// Puts together what was read.
    pub(crate) fn of(facts: &Facts) -> Self {
        let (spec, status) = facts
            .rollout
            .clone()
            .map_or_else(Default::default, |rollout| (rollout.spec, rollout.status.unwrap_or_default()));
        let deployment = facts.deployment.clone().unwrap_or_default();
        let trial = status.trial.as_ref();
        let (step, steps) = status.step.as_deref().and_then(steps).unzip();
        Self {
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            policy: facts.policy().map(str::to_owned),
            held: facts.held(),
            replicas: deployment["spec"]["replicas"].as_i64().unwrap_or(0),
            generation: facts.generation(),
            phase: status.phase,
            step,
            steps,
            handover: trial.and_then(|trial| trial.handover),
            handed_over: handed_over(facts, &status),
            in_flight: trial.is_some(),
            preview: trial.and_then(preview),
            weight: status.weight,
            observed_weight: status.observed_weight,
            verdict: status.verdict.clone(),
            waiting: status.waiting.clone(),
            gates: trial.map(|trial| trial.gates.clone()).unwrap_or_default(),
            failure: status.failure.clone(),
            versions: versions(facts, &status),
            metrics: metrics(facts, &status),
            intents: spec,
            attempt: status.attempt,
            conditions: status.conditions,
            history: status.history,
        }
    }

    /// A condition.
    pub(crate) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }

    /// The version in this role.
    pub(crate) fn version(&self, role: &str) -> Option<&Running> {
        self.versions.iter().find(|version| version.role == role)
    }

    /// The version on trial, or the one that was rejected.
    pub(crate) fn candidate(&self) -> Option<&Version> {
        let tried = |version: &&Running| matches!(version.role, "canary" | "rejected");
        self.versions.iter().find(tried).map(|found| &found.version)
    }

    /// The revision that an intent is for: the one on trial or rejected, else the generation of a held Deployment.
    pub(crate) fn revision(&self) -> Option<String> {
        match self.candidate().filter(|_| self.in_flight || self.phase == Phase::RolledBack) {
            Some(version) => Some(version.revision.clone()),
            None => self.held.then(|| self.generation.to_string()),
        }
    }

    /// Whether an intent of this revision is for the rollout of now: it may have been set by generation, before there was
    /// a revision.
    pub(crate) fn means(&self, revision: &str) -> bool {
        let minted = self.candidate().is_some_and(|version| version.generation.to_string() == revision);
        minted || self.revision().is_some_and(|now| now == revision)
    }

    /// The tag of the version on trial, or of the one that was rejected.
    pub(crate) fn tag(&self) -> &str {
        self.candidate().map_or("the held template", |version| &version.tag)
    }

    /// Whether a person's pause stands for the revision of now.
    pub(crate) fn paused(&self) -> bool {
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
fn handed_over(facts: &Facts, status: &RolloutStatus) -> bool {
    let stage = status.trial.as_ref().and_then(|trial| trial.handover);
    let owned = |name: &str| {
        let set = facts.replica_sets.iter().find(|set| set["metadata"]["name"] == name);
        let owners = set.and_then(|set| set["metadata"]["ownerReferences"].as_array());
        owners.into_iter().flatten().any(|owner| owner["kind"] == "Deployment" && owner["controller"] == true)
    };
    match stage {
        Some(Handover::Released | Handover::Draining | Handover::Replaced) => true,
        Some(Handover::Native) => !facts.held(),
        Some(Handover::Adopted) => status.canary.as_ref().is_some_and(|canary| owned(&canary.replica_set)),
        _ => false,
    }
}
