//! Whether and how the rollout of one template has ended, for `wait`.

use serde_json::Value;

use crate::{
    api::{Phase, Rollout, RolloutStatus, condition_with},
    engine::hash,
    view::Facts,
};

/// The progress of the rollout of one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The rollout has not ended.
    Pending,
    /// The template serves, and nothing of the rollout is left.
    Complete(String),
    /// The template does not serve and will not without a new request.
    RolledBack(String),
}

/// Returns the progress of the rollout of `template`, which was the Deployment's template when the
/// wait started.
///
/// Admission holds a changed template in the same write that changes it. A Deployment that isn't
/// held therefore has nothing left to roll out. One that is held waits for Steelyard, even if the
/// status still describes an older push.
pub(super) fn progress(facts: &Facts, template: &Value) -> Progress {
    let name = &facts.name;
    let Some(now) = facts.template() else {
        return Progress::RolledBack(format!("Deployment {name} was deleted"));
    };
    let Some(rollout) = &facts.rollout else {
        return if facts.policy().is_some() {
            Progress::Pending
        } else {
            Progress::RolledBack(format!("Deployment {name} is no longer managed by Steelyard"))
        };
    };
    let status = rollout.status.clone().unwrap_or_default();
    if now != template {
        let reverted = status.failure.as_ref().filter(|failure| failure.reverted);
        return Progress::RolledBack(match (reverted, &status.canary) {
            (Some(failure), Some(canary)) => format!(
                "{}: {}: {}; stable's template was written back",
                canary.tag, failure.reason, failure.message
            ),
            _ => "another template was pushed".to_owned(),
        });
    }
    if facts.held() {
        return held(facts, rollout, &status, template);
    }
    let complete = condition_with(&status.conditions, "Complete", "True").is_some();
    match &status.stable {
        Some(stable) if complete && facts.template_of(&stable.replica_set).as_ref() == Some(template) => {
            Progress::Complete(format!("{} serves (revision {})", stable.tag, stable.revision))
        }
        _ => Progress::Pending,
    }
}

/// Returns the progress of a held template: it has ended only if it was rejected and neither
/// `retry` nor `skip` is set.
fn held(facts: &Facts, rollout: &Rollout, status: &RolloutStatus, template: &Value) -> Progress {
    let (Phase::RolledBack, Some(canary)) = (status.phase, &status.canary) else { return Progress::Pending };
    let same = canary.generation == facts.generation()
        || status.failure.as_ref().is_some_and(|failure| failure.template_hash == hash(template))
        || facts.template_of(&canary.replica_set).as_ref() == Some(template);
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
