//! Handles a template that was pushed during a native rollout. The pause froze a mix of two
//! versions, and a release of the Deployment would roll out the new template unmeasured.
//!
//! So one of the versions becomes stable first, while the Deployment stays paused: the others are
//! scaled down, and the Deployment controller gives their pods to it (`scale` in
//! `pkg/controller/deployment/sync.go`). A version without available pods gives way at once, so a
//! native rollout that has stalled blocks no fix. The template of the Deployment is never changed,
//! and none is remembered: the newest push is what the Deployment has.

use std::time::Duration;

use super::{
    patches::{self, Release},
    plan::Write,
    reasons::{EventReason, NativeRollout, WaitReason},
    reconcile::{EndsBy, Flow, Reconcile, Since, after},
    snapshot::{PolicyState, ReplicaSet},
    start,
};

/// The deadline if there is no policy.
const DEADLINE: Duration = Duration::from_mins(10);

/// Handles a Deployment of which two versions have pods. Never continues.
pub(super) fn between(r: &mut Reconcile) -> Flow {
    if !r.held() {
        return running(r);
    }
    start::not_skipped(r)?;
    let d = r.deployment();
    if active(r).any(|set| set.template == d.template) {
        // The push is one of the two versions: the native rollout goes on, to this one.
        r.plan(patches::release(d, Release::Resume));
        return running(r);
    }
    match kept(r) {
        Some(kept) => settle(r, kept),
        None => running(r),
    }
}

fn running(r: &mut Reconcile) -> Flow {
    let native = WaitReason::NativeRollout(NativeRollout::TwoVersions);
    r.wait(&native, Since::FirstReported, EndsBy::Person)
}

/// Scales the other versions down by the pods that this one has replaced, and waits. At the
/// deadline they are scaled to 0, whatever is available.
pub(super) fn settle(r: &mut Reconcile, kept: &ReplicaSet) -> Flow {
    let others: Vec<_> = active(r).filter(|set| set.meta.name != kept.meta.name).collect();
    let names = others.iter().map(|set| set.meta.name.clone()).collect();
    let reason = WaitReason::Settling { kept: kept.meta.name.clone(), others: names };
    if !r.waits_for(&reason) {
        r.report(&EventReason::Settling { kept: kept.meta.name.clone() });
    }
    let span = deadline(r);
    let late = r.now() >= after(r.waited_since(&reason), span);
    let (d, available) =
        (r.deployment(), kept.available + others.iter().map(|set| set.available).sum::<i32>());
    // Without surge, the Deployment controller starts a pod only after another one has ended.
    let mut spare = (available - d.replicas).max(i32::from(d.max_surge == 0));
    let mut writes: Vec<Write> = Vec::new();
    for set in others {
        let size = if late || d.replicas == 0 { 0 } else { (set.available - spare).max(0) };
        spare -= set.available - size;
        if size < set.replicas {
            writes.push(patches::resize(&set.meta, size));
        }
    }
    r.plan(writes);
    r.wait(&reason, Since::FirstReported, EndsBy::After(span))
}

/// Returns how long a version may take to get the pods of the others.
fn deadline(r: &Reconcile) -> Duration {
    match &r.world().policy {
        PolicyState::Found(policy) => policy.deadline,
        _ => DEADLINE,
    }
}

/// Returns the version that is kept: the largest one that has available pods, because the
/// Deployment controller gives it the pods of the others; if none has any, the one that was pushed
/// first.
pub(super) fn kept<'a>(r: &Reconcile<'a>) -> Option<&'a ReplicaSet> {
    let serving = active(r).filter(|set| set.available > 0);
    let largest = serving.max_by_key(|set| (set.replicas, set.meta.created));
    largest.or_else(|| active(r).min_by_key(|set| patches::number(&set.meta)))
}

/// The `ReplicaSets` of the Deployment that have pods.
pub(super) fn active<'a, 'b>(r: &'b Reconcile<'a>) -> impl Iterator<Item = &'a ReplicaSet> + use<'a, 'b> {
    let own = |set: &&ReplicaSet| r.deployment().owns(set) && !set.meta.deleting;
    r.world().replica_sets.iter().filter(own).filter(|set| set.replicas > 0)
}
