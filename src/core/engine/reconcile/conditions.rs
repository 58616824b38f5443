//! Conditions of a Rollout.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::context::Reconcile;
use crate::api::Phase;

impl Reconcile<'_> {
    /// Sets a condition; its transition time moves only when its status does.
    pub(in crate::engine) fn set_condition(&mut self, type_: &str, value: bool, reason: &str, message: &str) {
        let status = if value { "True" } else { "False" };
        let before = self.status.conditions.iter().position(|condition| condition.type_ == type_);
        let since = before
            .map(|at| &self.status.conditions[at])
            .filter(|condition| condition.status == status)
            .map_or(Time(self.s.now), |condition| condition.last_transition_time.clone());
        let condition = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since,
            observed_generation: Some(self.r.meta.generation),
        };
        match before {
            Some(at) => self.status.conditions[at] = condition,
            None => self.status.conditions.push(condition),
        }
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
        let failed = self
            .status
            .failure
            .as_ref()
            .filter(|_| matches!(phase, Phase::RollingBack | Phase::RolledBack))
            .cloned();
        match failed {
            Some(failure) => self.set_condition("Healthy", false, &failure.reason, &failure.message),
            None => self.set_condition("Healthy", true, "NoFailure", ""),
        }
    }
}
