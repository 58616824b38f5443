//! Conditions of a Rollout.

use super::context::Reconcile;
use crate::api::{self, Cause, Phase, condition_with};

impl Reconcile<'_> {
    /// Sets a condition; its transition time moves only when its status does.
    pub(in crate::engine) fn set_condition(&mut self, type_: &str, value: bool, reason: &str, message: &str) {
        let (generation, now) = (self.r.meta.generation, self.s.now);
        let conditions = &mut self.status.conditions;
        api::set_condition(conditions, (type_, value), (reason, message), generation, now);
    }

    /// Sets the conditions that follow from the rest of the status.
    pub(super) fn set_conditions(&mut self) {
        let phase = self.status.phase;
        let progressing = self.status.trial.is_some();
        let complete =
            phase == Phase::Stable && !progressing && !self.held() && self.status.waiting.is_none();
        let (reason, message) = self.status.waiting.as_ref().map_or_else(
            || (phase.to_string(), String::new()),
            |waiting| (waiting.reason.clone(), waiting.message.clone()),
        );
        self.set_condition("Progressing", progressing, &reason, &message);
        self.set_condition("Complete", complete, &reason, &message);
        let returns = matches!(phase, Phase::RollingBack | Phase::RolledBack);
        let of_revision = |failure: &&api::Failure| matches!(failure.cause, Cause::Failure | Cause::Abort);
        let failed = self.status.failure.as_ref().filter(|_| returns).filter(of_revision).cloned();
        match failed {
            Some(failure) => self.set_condition("Healthy", false, &failure.reason, &failure.message),
            None => self.set_condition("Healthy", true, "NoFailure", ""),
        }
        self.set_summary(complete, &reason, &message);
    }

    /// Sets `Ready` and `Stalled`, for tools that know only these conditions (kstatus, and with it
    /// Flux): a Rollout is Stalled where only a person can help.
    fn set_summary(&mut self, complete: bool, reason: &str, message: &str) {
        let is_false = |type_: &str| condition_with(&self.status.conditions, type_, "False").cloned();
        let rejected = || is_false("Healthy").filter(|_| self.status.phase == Phase::RolledBack);
        if let Some(why) = is_false("Accepted").or_else(|| is_false("HoldEnforced")).or_else(rejected) {
            self.set_condition("Stalled", true, &why.reason, &why.message);
            self.set_condition("Ready", false, &why.reason, &why.message);
        } else {
            self.set_condition("Stalled", false, "NotStalled", "");
            self.set_condition("Ready", complete, reason, message);
        }
    }
}
