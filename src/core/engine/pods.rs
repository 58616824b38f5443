//! The canary's pods: the number that a step requires, ready in the canary Service.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    patches,
    reasons::{EventReason, Failure, Obstacle, Pods, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since, after},
    rollback,
    shift::Returned,
    snapshot::ReplicaSet,
};
use crate::{api::Awaited, traffic::Weight};

/// How long a pod that is not ready counts as starting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Scales the canary to this number of pods, and continues once they are ready in its Service.
pub(super) fn ensure(r: &mut Reconcile, wanted: i32, deadline: Duration) -> Flow {
    let Some(canary) = r.canary() else { return rollback::fail(r, &Failure::CanaryGone) };
    let ready = r.canary_service().map_or(0, |service| r.ready(service, &canary.hash));
    unready(r, canary, ready)?;
    // Where stable carries nothing, the canary has to carry all.
    let lost = r.lack();
    let wanted = if lost.is_some() { r.deployment().replicas } else { wanted };
    let min_ready = r.deployment().min_ready_seconds;
    if canary.min_ready_seconds != min_ready {
        // The Deployment controller copies a change to its own ReplicaSets only.
        return r.write_all([patches::min_ready(&canary.meta, min_ready)]);
    }
    if canary.replicas != wanted {
        // Scales down too, if the Deployment was scaled down; never for a step, because weights
        // only rise.
        if let Some(lost) = lost {
            r.report(&EventReason::StableLost(lost));
        }
        return r.write_all([patches::scale(&canary.meta, wanted)]);
    }
    if canary.available >= wanted && ready >= wanted {
        r.met(Awaited::Pods);
        return GO_ON;
    }
    let since = r.lost_since(Awaited::Pods);
    let obstacle = obstacle(r, canary, since);
    if r.is_late(Awaited::Pods, deadline) {
        return rollback::fail(r, &Failure::PodsNotReady(obstacle));
    }
    let reason = WaitReason::Pods(Pods::Ready { wanted, obstacle });
    r.wait(&reason, Since::Lost(Awaited::Pods), EndsBy::After(deadline))
}

/// Returns traffic to stable if the canary has no ready pod, whatever the step says.
fn unready(r: &mut Reconcile, canary: &ReplicaSet, ready: i32) -> Flow {
    // If another client scaled it to 0, its pods are about to terminate.
    let none = ready == 0 || canary.replicas == 0;
    if !none || r.weight() == Some(Weight::ZERO) || r.return_traffic() == Returned::Before {
        return GO_ON;
    }
    r.report(&EventReason::CanaryUnready);
    r.trial().weight_accepted_at = None;
    STOP
}

/// Returns what keeps canary pods from being ready, if known.
fn obstacle(r: &mut Reconcile, canary: &ReplicaSet, since: Timestamp) -> Option<Obstacle> {
    let pods = r.world().pods.iter().filter(|pod| pod.hash == canary.hash && !pod.deleting);
    let mut troubled = pods.clone().filter_map(|pod| Some((&pod.name, pod.trouble.as_ref()?)));
    if let Some((pod, trouble)) = troubled.next() {
        return Some(Obstacle::Trouble { pod: pod.clone(), trouble: trouble.clone() });
    }
    if let Some(message) = &canary.failure {
        return Some(Obstacle::NotCreated { message: message.clone() });
    }
    // A pod that has only just started is not reported.
    let late = after(since, PATIENCE);
    if r.now() < late {
        r.wake_at(late);
        return None;
    }
    let mut unready = pods.filter_map(|pod| Some((&pod.name, pod.unready.as_ref()?)));
    let (pod, message) = unready.next()?;
    Some(Obstacle::NotReady { pod: pod.clone(), message: message.clone() })
}
