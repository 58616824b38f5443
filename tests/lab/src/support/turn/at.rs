//! The moments of a rollout at which something may come in between.

use std::fmt;

use crate::support::Rollout;

/// A moment of a rollout of two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// A template is held, its canary is being made.
    Preparing,
    /// The canary's first pod starts; it has no traffic.
    Starting,
    /// The first step's weight has been taken by the router.
    FirstStep,
    /// The last step's weight has been taken by the router.
    LastStep,
    /// The canary grows to full scale, and takes all traffic.
    Filling,
    /// The Services are widened.
    Widened,
    /// The Services are narrowed to the canary.
    Narrowed,
    /// The canary's `ReplicaSet` becomes the Deployment's.
    Adopted,
    /// The Deployment is let go.
    Released,
    /// Routes are as they were, the canary Service drains.
    Draining,
    /// Traffic is back on stable, the canary is taken down.
    RollingBack,
    /// Stable serves, the rejected template is held.
    RolledBack,
}

impl At {
    /// Whether the canary is the Deployment's own by then, so that there is no way back but a release.
    pub fn handed_over(self) -> bool {
        matches!(self, Self::Released | Self::Draining)
    }

    /// Whether a Rollout's status says that it is there.
    pub fn is(self, rollout: &Rollout) -> bool {
        let step = |index: u64| {
            let trial = &rollout.status["trial"];
            rollout.phase() == "Stepping"
                && trial["step"].as_u64().unwrap_or(0) == index
                && trial["weightedAt"].is_string()
        };
        let stage = |name: &str| rollout.phase() == "Promoting" && rollout.text("/trial/handover") == name;
        match self {
            Self::Preparing => rollout.phase() == "Preparing" && rollout.status["trial"].is_object(),
            Self::Starting => rollout.phase() == "Stepping" && rollout.text("/waiting/reason") == "Pods",
            Self::FirstStep => step(0),
            Self::LastStep => step(1),
            Self::Filling => stage("Filling"),
            Self::Widened => stage("Widened"),
            Self::Narrowed => stage("Narrowed"),
            Self::Adopted => stage("Adopted"),
            Self::Released => stage("Released"),
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
            Self::Filling => "Promoting: filling",
            Self::Widened => "Promoting: Services widened",
            Self::Narrowed => "Promoting: Services narrowed",
            Self::Adopted => "Promoting: adoption",
            Self::Released => "Promoting: let go",
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
    fn a_step_counts_from_when_the_router_took_its_weight() {
        let mut rollout = Rollout {
            status: json!({"phase": "Stepping", "trial": {"step": 1}, "waiting": {"reason": "Pods"}}),
            ..Rollout::default()
        };
        assert!(!At::LastStep.is(&rollout) && At::Starting.is(&rollout));
        rollout.status["trial"]["weightedAt"] = "2026-01-01T00:00:00Z".into();
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
