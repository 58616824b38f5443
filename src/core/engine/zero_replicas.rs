//! A Deployment with 0 replicas: nothing can be measured until it is scaled up.

use super::{
    patches,
    reasons::WaitReason,
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since},
    unmeasured_sets,
};
use crate::api::Handover;

/// Continues if the Deployment has replicas. Otherwise a rollout in progress has no weight and no
/// canary pods until it is scaled up.
pub(super) fn suspended(r: &mut Reconcile) -> Flow {
    if r.deployment().replicas > 0 {
        return GO_ON;
    }
    if r.trial().handover.is_some() {
        r.enter(Handover::ScalingUp);
    }
    let trial = r.trial();
    (trial.weight_accepted_at, trial.traffic_since) = (None, None);
    r.return_traffic();
    if let Some(canary) = r.canary().filter(|canary| canary.replicas > 0) {
        r.write(patches::scale(&canary.meta, 0));
    }
    awaited(r)
}

/// Waits for replicas.
pub(super) fn awaited(r: &mut Reconcile) -> Flow {
    unmeasured_sets::remove(r)?;
    r.wait(&WaitReason::ZeroReplicas, Since::FirstReported, EndsBy::Person)
}
