//! A rollout as users see it: one value, printed as a tree, an explanation or JSON.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::{
    facts::Facts,
    metrics::{Metric, metrics},
    versions::{Running, versions},
};
use crate::{
    api::{Failure, Handover, Opened, Past, Phase, RolloutSpec, RolloutStatus, Trial, Version, Waiting},
    engine,
    traffic::Weight,
};

/// A rollout as users see it.
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
    /// The hash of the Deployment's pod template, as in status.templateHash.
    pub template_hash: String,
    /// The phase.
    pub phase: Phase,
    /// The step, counted from 1; 0 before the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// The number of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// The stage of the handover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// Whether the Deployment already owns the canary's pods, so that a rollback is no longer
    /// possible.
    pub handed_over: bool,
    /// Whether a rollout is in progress.
    pub in_progress: bool,
    /// The Service of the preview, in blue-green. Before the switch, only its clients reach the
    /// preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The canary's desired weight, as written to the route or the Services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// The canary's observed weight, where it can be queried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_weight: Option<Weight>,
    /// The verdict of the step so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What the rollout waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The gates that have opened, and who or what opened them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Opened>,
    /// Why the traffic returned to stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The versions: stable, the canary, and other versions that still have pods.
    pub versions: Vec<Running>,
    /// The metrics of the step.
    pub metrics: Vec<Metric>,
    /// The intents.
    pub intents: RolloutSpec,
    /// The number of attempts of the revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// The rollouts that have ended, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Past>,
}

impl View {
    /// Computes the view of the objects.
    pub(crate) fn of(facts: &Facts) -> Self {
        let (spec, status) = facts
            .rollout
            .clone()
            .map_or_else(Default::default, |rollout| (rollout.spec, rollout.status.unwrap_or_default()));
        let deployment = facts.deployment.clone().unwrap_or_default();
        let trial = status.trial.as_ref();
        Self {
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            policy: facts.policy().map(str::to_owned),
            held: facts.held(),
            replicas: deployment["spec"]["replicas"].as_i64().unwrap_or(0),
            template_hash: engine::hash(&deployment["spec"]["template"]),
            phase: status.phase,
            step: status.step,
            steps: status.steps,
            handover: trial.and_then(|trial| trial.handover),
            handed_over: handed_over(facts, &status),
            in_progress: trial.is_some(),
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

    /// Returns a condition by its type.
    pub(crate) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }

    /// Returns the version in this role.
    pub(crate) fn version(&self, role: &str) -> Option<&Running> {
        self.versions.iter().find(|version| version.role == role)
    }

    /// Returns the canary, or the version that was rejected.
    pub(crate) fn candidate(&self) -> Option<&Version> {
        let candidate = |version: &&Running| matches!(version.role, "canary" | "rejected");
        self.versions.iter().find(candidate).map(|found| &found.version)
    }

    /// Returns the revision that an intent names: that of the canary or of the rejected version if
    /// it has the Deployment's template, otherwise the hash of the held template.
    pub(crate) fn revision(&self) -> Option<String> {
        match self.candidate().filter(|_| self.in_progress || self.phase == Phase::RolledBack) {
            Some(version) => Some(version.revision.clone()),
            None => self.held.then(|| self.template_hash.clone()),
        }
    }

    /// Returns whether an intent with this revision applies to the current rollout. It may name the
    /// hash of the template, if it was set before there was a revision.
    pub(crate) fn means(&self, revision: &str) -> bool {
        let by_hash = self.candidate().is_some_and(|version| version.template_hash == revision);
        by_hash || self.revision().is_some_and(|now| now == revision)
    }

    /// Returns the tag of the canary, or of the version that was rejected.
    pub(crate) fn tag(&self) -> &str {
        self.candidate().map_or("the held template", |version| &version.tag)
    }

    /// Returns whether the current revision is paused by a user.
    pub(crate) fn paused(&self) -> bool {
        self.intents.pause.as_ref().is_some_and(|pause| self.means(&pause.revision))
    }
}

/// Returns the Service of the preview, in blue-green. A return to an earlier version in one switch
/// has no preview.
fn preview(trial: &Trial) -> Option<String> {
    let blue_green = trial.policy.as_ref().is_some_and(|policy| policy["strategy"]["blueGreen"].is_object());
    (blue_green && !trial.returning).then(|| trial.canary_service.clone())
}

/// Returns whether the Deployment owns the canary, or is released to start its own pods.
fn handed_over(facts: &Facts, status: &RolloutStatus) -> bool {
    let stage = status.trial.as_ref().and_then(|trial| trial.handover);
    let owned = |name: &str| {
        let set = facts.replica_sets.iter().find(|set| set["metadata"]["name"] == name);
        let owners = set.and_then(|set| set["metadata"]["ownerReferences"].as_array());
        owners.into_iter().flatten().any(|owner| owner["kind"] == "Deployment" && owner["controller"] == true)
    };
    match stage {
        Some(Handover::Releasing | Handover::Draining | Handover::RemovingCanary) => true,
        Some(Handover::NativeRollout) => !facts.held(),
        Some(Handover::Transferring) => {
            status.canary.as_ref().is_some_and(|canary| owned(&canary.replica_set))
        }
        _ => false,
    }
}
