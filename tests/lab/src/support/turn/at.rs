//! The points of a rollout at which a test interferes.

use std::fmt;

use crate::support::Rollout;

/// A point of a rollout with two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// A template is held, and its canary is being created.
    Preparing,
    /// The canary's first pod starts; it has no traffic.
    Starting,
    /// The router has applied the first step's weight.
    FirstStep,
    /// The router has applied the last step's weight.
    LastStep,
    /// The canary is scaled to full size, and gets all traffic.
    ScalingUp,
    /// The Services are widened.
    Widening,
    /// The Services are narrowed to the canary.
    Narrowing,
    /// The canary's `ReplicaSet` becomes the Deployment's own.
    Transferring,
    /// The Deployment is released (unpaused and unlabeled).
    Releasing,
    /// Routes are restored, and the canary Service drains.
    Draining,
    /// Traffic is on stable again, and the canary is being removed.
    RollingBack,
    /// Stable serves, the rejected template is held.
    RolledBack,
}

impl At {
    /// Returns whether the Deployment owns the canary at this point, so that only another release
    /// can undo it.
    pub fn handed_over(self) -> bool {
        matches!(self, Self::Releasing | Self::Draining)
    }

    /// Returns whether a Rollout's status shows this point.
    pub fn is(self, rollout: &Rollout) -> bool {
        let step = |index: u64| {
            let trial = &rollout.status["trial"];
            rollout.phase() == "Stepping"
                && trial["step"].as_u64().unwrap_or(0) == index
                && trial["weightAcceptedAt"].is_string()
        };
        let stage = |name: &str| rollout.phase() == "Promoting" && rollout.text("/trial/handover") == name;
        match self {
            Self::Preparing => rollout.phase() == "Preparing" && rollout.status["trial"].is_object(),
            Self::Starting => rollout.phase() == "Stepping" && rollout.text("/waiting/reason") == "Pods",
            Self::FirstStep => step(0),
            Self::LastStep => step(1),
            Self::ScalingUp => stage("ScalingUp"),
            Self::Widening => stage("Widening"),
            Self::Narrowing => stage("Narrowing"),
            Self::Transferring => stage("Transferring"),
            Self::Releasing => stage("Releasing"),
            Self::Draining => stage("Draining"),
            Self::RollingBack => rollout.phase() == "RollingBack",
            Self::RolledBack => rollout.phase() == "RolledBack",
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preparing => "while Preparing",
            Self::Starting => "before the first step's pod is ready",
            Self::FirstStep => "at the first step",
            Self::LastStep => "at the last step",
            Self::ScalingUp => "Promoting: filling",
            Self::Widening => "Promoting: Services widened",
            Self::Narrowing => "Promoting: Services narrowed",
            Self::Transferring => "Promoting: transfer",
            Self::Releasing => "Promoting: released",
            Self::Draining => "Promoting: draining",
            Self::RollingBack => "while RollingBack",
            Self::RolledBack => "RolledBack",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_begins_when_the_router_has_applied_its_weight() {
        let mut rollout = Rollout {
            status: json!({"phase": "Stepping", "trial": {"step": 1}, "waiting": {"reason": "Pods"}}),
            ..Rollout::default()
        };
        assert!(!At::LastStep.is(&rollout) && At::Starting.is(&rollout));
        rollout.status["trial"]["weightAcceptedAt"] = "2026-01-01T00:00:00Z".into();
        assert!(At::LastStep.is(&rollout) && !At::FirstStep.is(&rollout));
    }

    #[test]
    fn preparing_begins_with_the_trial() {
        let mut rollout = Rollout { status: json!({"phase": "Preparing"}), ..Rollout::default() };
        assert!(!At::Preparing.is(&rollout));
        rollout.status["trial"] = json!({});
        assert!(At::Preparing.is(&rollout));
    }
}
