//! What a reconcile changes in status. The phase changes here alone.

use serde_json::Value;

use super::context::Reconcile;
use crate::{
    analysis::Verdict,
    api::{End, Failure, Handover, Past, Phase, Side, Trial, Version},
};

/// How many rollouts the history keeps.
const HISTORY: usize = 10;

impl Reconcile<'_> {
    /// Moves the rollout to a phase.
    pub(in crate::engine) fn move_to(&mut self, phase: Phase) {
        self.status.phase = phase;
    }

    /// What the rollout in progress remembers. Phases in progress have it; elsewhere an empty one does no
    /// harm.
    pub(in crate::engine) fn trial(&mut self) -> &mut Trial {
        self.status.trial.get_or_insert_default()
    }

    /// Enters a stage of the handover.
    pub(in crate::engine) fn enter(&mut self, stage: Handover) {
        let trial = self.trial();
        trial.handover = Some(stage);
        trial.stage_since = None;
    }

    /// A rollout begins, with this to remember.
    pub(in crate::engine) fn begin(&mut self, trial: Trial, steps: usize) {
        self.status.trial = Some(trial);
        self.set_step(0, steps);
    }

    /// Remains of a rollout are found: traffic returns to stable, with what can be known of it.
    pub(in crate::engine) fn recall(&mut self, trial: Trial, canary: Option<Version>) {
        self.status.trial = Some(trial);
        self.status.canary = canary;
    }

    /// Traffic returns to stable, for this reason.
    pub(in crate::engine) fn roll_back(&mut self, failure: Failure) {
        self.move_to(Phase::RollingBack);
        self.status.verdict = failure.metric.as_ref().map(|_| Verdict::Fail.to_string());
        self.status.failure = Some(failure);
        let trial = self.trial();
        (trial.handover, trial.stage_since, trial.weighted_at) = (None, None, None);
        (trial.side, trial.given) = (Side::Stable, 0);
    }

    /// The rollout is over, and another version or none is stable.
    pub(in crate::engine) fn end_trial(&mut self, outcome: End, phase: Phase) {
        self.record(outcome);
        self.status.trial = None;
        self.status.observed_weight = None;
        (self.status.step, self.status.weight) = (None, None);
        self.move_to(phase);
    }

    /// Writes the rollout that ends here into the history.
    fn record(&mut self, outcome: End) {
        let Some(canary) = &self.status.canary else { return };
        let past = Past {
            revision: canary.revision.clone(),
            tag: canary.tag.clone(),
            before: self.stable_revision(),
            outcome,
            reason: self.status.failure.as_ref().map(|failure| failure.reason.clone()),
            gates: self.status.trial.as_ref().map(|trial| trial.gates.clone()).unwrap_or_default(),
            started: self.status.trial.as_ref().and_then(|trial| trial.since),
            ended: Some(self.now()),
        };
        self.status.history.push(past);
        let surplus = self.status.history.len().saturating_sub(HISTORY);
        self.status.history.drain(..surplus);
    }

    /// The version that serves.
    pub(in crate::engine) fn set_stable(&mut self, version: Version) {
        self.status.stable = Some(version);
    }

    /// The version that is under analysis, or was rejected.
    pub(in crate::engine) fn set_canary(&mut self, version: Option<Version>) {
        self.status.canary = version;
    }

    /// Why a revision was rolled back.
    pub(in crate::engine) fn set_failure(&mut self, failure: Option<Failure>) {
        self.status.failure = failure;
    }

    /// Which try of the revision it is; nothing for the first one.
    pub(in crate::engine) fn set_attempt(&mut self, attempt: Option<u32>) {
        self.status.attempt = attempt;
    }

    /// The step, counted from 1, of this many.
    pub(in crate::engine) fn set_step(&mut self, step: usize, steps: usize) {
        self.status.step = Some(format!("{step}/{steps}"));
    }

    /// No step is in progress.
    pub(in crate::engine) fn clear_step(&mut self) {
        (self.status.step, self.status.attempt) = (None, None);
    }

    /// What the metrics of the step add up to so far.
    pub(in crate::engine) fn set_verdict(&mut self, verdict: Option<Verdict>) {
        self.status.verdict = verdict.map(|verdict| verdict.to_string());
    }

    /// The canary's weight as the world shows it, in percent.
    pub(in crate::engine) fn set_weight(&mut self, weight: Option<u8>) {
        self.status.weight = weight;
    }

    /// The share of requests that the canary really gets, in percent.
    pub(in crate::engine) fn set_observed_weight(&mut self, weight: Option<u8>) {
        self.status.observed_weight = weight;
    }

    /// A template that has to wait for a native rollout.
    pub(in crate::engine) fn set_pending(&mut self, template: Option<Value>) {
        self.status.pending = template;
    }

    /// Writes nothing of this reconcile into status.
    pub(in crate::engine) fn leave_status(&mut self) {
        self.status = self.r.status.clone();
    }
}
