//! The end of a rollout that went well.

use super::{
    reasons::{Ended, EventReason},
    reconcile::{Flow, Reconcile, STOP},
    revision,
    snapshot::ReplicaSet,
};
use crate::{
    analysis::Verdict,
    api::{End, Phase},
};

/// The rollout is over: this `ReplicaSet` is stable from now on.
pub(super) fn complete(r: &mut Reconcile, stable: &ReplicaSet, ended: Ended) -> Flow {
    let pushed = r.deployment().meta.generation;
    let generation = r.status().canary.as_ref().map_or(pushed, |canary| canary.generation);
    r.set_failure(None);
    r.end_trial(End::Complete, Phase::Stable);
    let version = revision::of(stable, generation);
    let (tag, revision) = (version.tag.clone(), version.revision.clone());
    r.set_canary(None);
    r.set_stable(version);
    r.set_verdict(Some(Verdict::Pass));
    r.set_attempt(None);
    r.report(&EventReason::Complete { tag, revision, ended });
    STOP
}
