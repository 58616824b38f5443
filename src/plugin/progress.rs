//! Whether the rollout of one template has ended, and how: what `wait` waits for.

use serde_json::Value;

use crate::{
    api::{Phase, Rollout, RolloutStatus},
    view::Facts,
};

/// How far the rollout of a template has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// On its way.
    Pending,
    /// It serves, and everything else is as it was.
    Complete(String),
    /// It doesn't, and won't unasked.
    RolledBack(String),
}

/// How far the rollout of `template`, the Deployment's when the wait began, has come.
///
/// Admission holds a changed template in the very write that changes it, so a Deployment that isn't held has nothing
/// left to roll out; one that is held waits for Steelyard, whatever an older status still says.
pub(super) fn progress(world: &Facts, template: &Value) -> Progress {
    let name = &world.name;
    let Some(now) = world.template() else {
        return Progress::RolledBack(format!("Deployment {name} was deleted"));
    };
    let Some(rollout) = &world.rollout else {
        return if world.policy().is_some() {
            Progress::Pending
        } else {
            Progress::RolledBack(format!("Deployment {name} is no longer managed by Steelyard"))
        };
    };
    let status = rollout.status.clone().unwrap_or_default();
    if now != template {
        // While an older rollout settles, Steelyard keeps the new template in the status and the old one in place.
        if status.pending.as_ref() == Some(template) {
            return Progress::Pending;
        }
        let reverted = status.failure.as_ref().filter(|failure| failure.reverted);
        return Progress::RolledBack(match (reverted, &status.canary) {
            (Some(failure), Some(canary)) => format!(
                "{}: {}: {}; stable's template was written back",
                canary.tag, failure.reason, failure.message
            ),
            _ => "another template was pushed over it".to_owned(),
        });
    }
    if world.held() {
        return held(world, rollout, &status, template);
    }
    let complete = status.conditions.iter().any(|c| c.type_ == "Complete" && c.status == "True");
    match &status.stable {
        Some(stable) if complete && world.template_of(&stable.replica_set).as_ref() == Some(template) => {
            Progress::Complete(format!("{} serves (revision {})", stable.tag, stable.revision))
        }
        _ => Progress::Pending,
    }
}

/// A held template has ended only if it is the one that was rejected, and nobody asked for it again.
fn held(world: &Facts, rollout: &Rollout, status: &RolloutStatus, template: &Value) -> Progress {
    let (Phase::RolledBack, Some(canary)) = (status.phase, &status.canary) else { return Progress::Pending };
    let same = canary.generation == world.generation()
        || status.failure.as_ref().and_then(|failure| failure.template.as_ref()) == Some(template)
        || world.template_of(&canary.replica_set).as_ref() == Some(template);
    let tried = status.attempt.unwrap_or(1);
    let again =
        rollout.spec.retry.as_ref().is_some_and(|r| r.revision == canary.revision && r.attempt > tried);
    let skipped = rollout.spec.skip.as_ref().is_some_and(|skip| skip.revision == canary.revision);
    if !same || again || skipped {
        return Progress::Pending;
    }
    let failure = status.failure.clone().unwrap_or_default();
    Progress::RolledBack(format!("{}: {}: {}", canary.tag, failure.reason, failure.message))
}
