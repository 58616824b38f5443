//! A Deployment of no replicas: nothing can be measured until there are some again.

use super::{
    patches,
    reasons::WaitReason,
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since},
};
use crate::api::Handover;

/// Goes on where the Deployment has replicas. Else a rollout in progress has no weight and no canary
/// pods until there are some again.
pub(super) fn suspended(r: &mut Reconcile) -> Flow {
    if r.deployment().replicas > 0 {
        return GO_ON;
    }
    if r.trial().handover.is_some() {
        r.enter(Handover::Filling);
    }
    let trial = r.trial();
    (trial.weighted_at, trial.traffic_since, trial.short_since) = (None, None, None);
    r.return_traffic();
    if let Some(canary) = r.canary().filter(|canary| canary.replicas > 0) {
        r.write(patches::scale(&canary.meta, 0));
    }
    awaited(r)
}

/// Waits for replicas.
pub(super) fn awaited(r: &mut Reconcile) -> Flow {
    r.wait(&WaitReason::ZeroReplicas, Since::FirstReported, EndsBy::Person)
}
