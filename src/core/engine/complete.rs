//! The end of a successful rollout.

use super::{
    reasons::{Ended, EventReason},
    reconcile::{Flow, Reconcile, STOP},
    revision,
    snapshot::ReplicaSet,
};
use crate::{
    analysis::Verdict,
    api::{Phase, Promotion, RolloutOutcome},
};

/// Ends the rollout and records this `ReplicaSet` as stable.
pub(super) fn complete(r: &mut Reconcile, stable: &ReplicaSet, ended: Ended) -> Flow {
    let pushed = r.deployment().meta.generation;
    let generation = r.status().canary.as_ref().map_or(pushed, |canary| canary.generation);
    r.set_failure(None);
    // A version that serves because no other can has passed nothing.
    let (outcome, verdict) = match r.status().trial.as_ref().map(|trial| trial.promotion) {
        Some(Promotion::Alone) => (RolloutOutcome::ServesAlone, None),
        Some(Promotion::Steps) | None => (RolloutOutcome::Complete, Some(Verdict::Pass)),
    };
    r.end_trial(outcome, Phase::Stable);
    let version = revision::of(stable, generation);
    let (tag, revision) = (version.tag.clone(), version.revision.clone());
    r.set_canary(None);
    r.set_stable(version);
    r.set_verdict(verdict);
    r.set_attempt(None);
    r.report(&EventReason::Complete { tag, revision, ended });
    STOP
}
