//! Changes of the status. No other code changes the phase.

use super::context::Reconcile;
use crate::{
    analysis::Verdict,
    api::{Failure, Handover, Lost, Past, Phase, RolloutOutcome, ShiftedRoute, Side, Trial, Version},
    traffic::{Object, Wants, Weight},
};

/// The number of rollouts in the history.
const HISTORY: usize = 10;

impl Reconcile<'_> {
    /// Moves the rollout to a phase.
    pub(in crate::engine) fn move_to(&mut self, phase: Phase) {
        self.status.phase = phase;
    }

    /// Returns the state of the rollout in progress. It exists in the phases of a rollout; in
    /// others, an empty one does no harm.
    pub(in crate::engine) fn trial(&mut self) -> &mut Trial {
        self.status.trial.get_or_insert_default()
    }

    /// Records routes that appeared since the rollout started, and removes those that are gone.
    pub(in crate::engine) fn remember_routes(&mut self) {
        let (router, pair) = (self.router(), self.pair());
        let known = |route: &Object| {
            let trial = self.status.trial.as_ref();
            trial.and_then(|trial| trial.routes.iter().find(|known| known.is(route))).cloned()
        };
        let shifted: Vec<ShiftedRoute> = self
            .routes()
            .iter()
            .map(|route| {
                let original = || router.check(route, &pair, &Wants::default()).unwrap_or_default();
                known(route.main).unwrap_or_else(|| ShiftedRoute::of(route.main, original()))
            })
            .collect();
        if !shifted.is_empty() {
            self.trial().routes = shifted;
        }
    }

    /// Records Services that appeared since the rollout started: their pins are undone by this
    /// record even if the Deployment is deleted.
    pub(in crate::engine) fn remember_services(&mut self) {
        for service in self.services() {
            let known = &mut self.trial().services;
            if !known.contains(&service.meta.name) {
                known.push(service.meta.name.clone());
            }
        }
    }

    /// Enters a stage of the handover.
    pub(in crate::engine) fn enter(&mut self, stage: Handover) {
        let trial = self.trial();
        trial.handover = Some(stage);
        trial.stage_since = None;
    }

    /// Records the start of a rollout.
    pub(in crate::engine) fn begin(&mut self, trial: Trial, steps: usize) {
        self.status.trial = Some(trial);
        self.set_step(0, steps);
    }

    /// Records what is known of a lost rollout whose objects were found.
    pub(in crate::engine) fn recall(&mut self, trial: Trial, canary: Option<Version>) {
        self.status.trial = Some(trial);
        self.status.canary = canary;
    }

    /// Records the start of a rollback for this reason.
    pub(in crate::engine) fn roll_back(&mut self, failure: Failure) {
        self.move_to(Phase::RollingBack);
        self.status.verdict = failure.metric.as_ref().map(|_| Verdict::Fail.to_string());
        self.status.failure = Some(failure);
        let trial = self.trial();
        (trial.handover, trial.stage_since, trial.weight_accepted_at) = (None, None, None);
        (trial.side, trial.given) = (Side::Stable, Weight::ZERO);
        trial.lost = Lost::default();
    }

    /// The rollout is over, and another version or none is stable.
    pub(in crate::engine) fn end_trial(&mut self, outcome: RolloutOutcome, phase: Phase) {
        self.record(outcome);
        self.status.trial = None;
        self.status.observed_weight = None;
        self.clear_progress();
        self.status.weight = None;
        self.move_to(phase);
    }

    /// Writes the rollout that ends here into the history.
    fn record(&mut self, outcome: RolloutOutcome) {
        let Some(canary) = &self.status.canary else { return };
        let past = Past {
            revision: canary.revision.clone(),
            tag: canary.tag.clone(),
            before: self.stable_revision(),
            before_template: self.measured_stable().map(|it| it.template_hash.clone()).unwrap_or_default(),
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

    /// Returns the version that serves, unless it does so only because no other version could.
    fn measured_stable(&self) -> Option<&Version> {
        let stable = self.status.stable.as_ref()?;
        let mut past = self.status.history.iter().rev();
        let own = past.find(|past| past.revision == stable.revision);
        (own.map(|own| own.outcome) != Some(RolloutOutcome::ServesAlone)).then_some(stable)
    }

    /// Sets the version that serves.
    pub(in crate::engine) fn set_stable(&mut self, version: Version) {
        self.status.stable = Some(version);
    }

    /// Sets the version that is under analysis or was rejected.
    pub(in crate::engine) fn set_canary(&mut self, version: Option<Version>) {
        self.status.canary = version;
    }

    /// Sets why a revision was rolled back.
    pub(in crate::engine) fn set_failure(&mut self, failure: Option<Failure>) {
        self.status.failure = failure;
    }

    /// Sets the number of the attempt; `None` for the first one.
    pub(in crate::engine) fn set_attempt(&mut self, attempt: Option<u32>) {
        self.status.attempt = attempt;
    }

    /// Sets the step, counted from 1, and the number of steps.
    pub(in crate::engine) fn set_step(&mut self, step: usize, steps: usize) {
        (self.status.step, self.status.steps) = (Some(step), Some(steps));
        self.status.progress = Some(format!("{step}/{steps}"));
    }

    /// Clears the step and the attempt.
    pub(in crate::engine) fn clear_step(&mut self) {
        self.clear_progress();
        self.status.attempt = None;
    }

    fn clear_progress(&mut self) {
        (self.status.step, self.status.steps, self.status.progress) = (None, None, None);
    }

    /// Sets the verdict of the step so far.
    pub(in crate::engine) fn set_verdict(&mut self, verdict: Option<Verdict>) {
        self.status.verdict = verdict.map(|verdict| verdict.to_string());
    }

    /// Sets the canary's weight as read from the routes or Services.
    pub(in crate::engine) fn set_weight(&mut self, weight: Option<Weight>) {
        self.status.weight = weight;
    }

    /// Sets the observed weight.
    pub(in crate::engine) fn set_observed_weight(&mut self, weight: Option<Weight>) {
        self.status.observed_weight = weight;
    }

    /// Drops all changes of the status.
    pub(in crate::engine) fn leave_status(&mut self) {
        self.status = self.r.status.clone();
    }
}
