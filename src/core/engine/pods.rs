//! The canary's pods: as many as a step needs, ready behind the canary Service.

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

/// How long a pod that is not ready is taken for one that is starting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Makes the canary this large, and goes on once it is ready behind its Service.
pub(super) fn filled(r: &mut Reconcile, wanted: i32, deadline: Duration) -> Flow {
    let Some(canary) = r.canary() else { return rollback::fail(r, &Failure::CanaryGone) };
    let ready = r.canary_service().map_or(0, |service| r.ready(service, &canary.hash));
    unready(r, canary, ready)?;
    if canary.replicas != wanted {
        // Also down: the Deployment was made smaller, and never by a step, for weights only rise.
        return r.write_all([patches::scale(&canary.meta, wanted)]);
    }
    if canary.available >= wanted && ready >= wanted {
        r.trial().short_since = None;
        return GO_ON;
    }
    let now = r.now();
    let since = *r.trial().short_since.get_or_insert(now);
    let obstacle = obstacle(r, canary, since);
    let until = after(since, deadline);
    if now >= until {
        return rollback::fail(r, &Failure::PodsNotReady(obstacle));
    }
    let reason = WaitReason::Pods(Pods::Ready { wanted, obstacle });
    r.wait(&reason, Since::At(since), EndsBy::Deadline(until))
}

/// A canary without a ready pod gets no traffic, whatever the step says.
fn unready(r: &mut Reconcile, canary: &ReplicaSet, ready: i32) -> Flow {
    // Another client may have scaled it to zero: its pods are as good as gone.
    let none = ready == 0 || canary.replicas == 0;
    if !none || r.weight() == Some(0) || r.return_traffic() == Returned::Before {
        return GO_ON;
    }
    r.report(&EventReason::CanaryUnready);
    r.trial().weighted_at = None;
    STOP
}

/// What keeps canary pods from being ready, if that is known.
fn obstacle(r: &mut Reconcile, canary: &ReplicaSet, since: Timestamp) -> Option<Obstacle> {
    let pods = r.world().pods.iter().filter(|pod| pod.hash == canary.hash && !pod.deleting);
    let mut troubled = pods.clone().filter_map(|pod| Some((&pod.name, pod.trouble.as_ref()?)));
    if let Some((pod, (reason, message))) = troubled.next() {
        let (pod, reason, message) = (pod.clone(), reason.clone(), message.clone());
        return Some(Obstacle::Trouble { pod, reason, message });
    }
    if let Some(message) = &canary.failure {
        return Some(Obstacle::NotCreated { message: message.clone() });
    }
    // A pod that is only just starting is no news.
    let late = after(since, PATIENCE);
    if r.now() < late {
        r.wake_at(late);
        return None;
    }
    let mut unready = pods.filter_map(|pod| Some((&pod.name, pod.unready.as_ref()?)));
    let (pod, message) = unready.next()?;
    Some(Obstacle::NotReady { pod: pod.clone(), message: message.clone() })
}
