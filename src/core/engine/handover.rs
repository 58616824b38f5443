//! Phase Promoting: the canary `ReplicaSet` becomes the Deployment's own. The order of writes is
//! safe after each one.
//!
//! Scale the canary up, shift all traffic, widen the Services, narrow them to the canary, transfer,
//! wait until the Deployment controller confirms, unpin, release the Deployment, restore the route.
//! No pod starts after the canary is at full scale.

use jiff::SignedDuration;

use super::{
    canary_service, cleanup,
    complete::complete,
    measure, native_handover,
    patches::{self, REVISION, Release},
    plan::{Kind, Write},
    pods,
    reasons::{Draining, Ended, Endpoints, EventReason, Router, Unfit, WaitReason, Withdrawal},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
    rollback,
    shift::Returned,
    snapshot::{ReplicaSet, Service},
    step::restore_services,
    weight,
    widen::{OVERLAP, widened},
    zero_replicas::suspended,
};
use crate::{
    api::{Handover, Side},
    traffic::Weight,
};

/// How long the Deployment controller may take to use a transferred `ReplicaSet` as the new one.
const PROOF: SignedDuration = SignedDuration::from_secs(10);

/// Runs the current stage of the handover.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    let stage = r.trial().handover.unwrap_or(Handover::ScalingUp);
    // The only version that serves is handed over as it is.
    let alone = stage == Handover::Transferring && r.alone().is_some();
    if stage <= Handover::Transferring && !r.deployment_owns_canary() && !alone {
        guarded(r, stage)?;
    }
    match stage {
        Handover::ScalingUp => {
            let (native, side) = (r.trial().native.is_some(), r.trial().side);
            r.enter(match (native, side) {
                (true, _) => Handover::NativeRollout,
                // The Services already select the canary only.
                (false, Side::Canary) => Handover::Narrowing,
                (false, Side::Stable | Side::Both) => Handover::Widening,
            });
        }
        Handover::Widening => {
            widened(r)?;
            r.enter(Handover::Narrowing);
        }
        Handover::Narrowing => {
            narrowed(r)?;
            r.enter(Handover::Transferring);
        }
        Handover::Transferring => return transfer(r),
        Handover::Releasing => {
            released(r)?;
            r.enter(Handover::Draining);
        }
        Handover::Draining => return end(r),
        Handover::NativeRollout => return native_handover::replace(r),
        Handover::RemovingCanary => return native_handover::end(r),
    }
    STOP
}

/// Keeps the canary at full scale with all traffic, guarded by metrics, until it is transferred.
fn guarded(r: &mut Reconcile, stage: Handover) -> Flow {
    let policy = r.runnable()?;
    suspended(r)?;
    if stage == Handover::ScalingUp {
        restore_services(r)?;
    } else {
        canary_service::ensure(r)?;
    }
    measure::ask(r, &policy);
    pods::ensure(r, r.deployment().replicas, policy.deadline)?;
    if stage == Handover::ScalingUp {
        weight::unpaused(r, Weight::ALL)?;
    }
    weight::ensure(r, Weight::ALL, policy.deadline)?;
    if stage > Handover::ScalingUp {
        return GO_ON;
    }
    // After a step at weight 100, the router stopped using stable long ago.
    let since = r.trial().weight_accepted_at.unwrap_or(r.now());
    r.passed(since, r.world().drain, &WaitReason::Router(Router::ReleaseStable))
}

/// Narrows the Services to the canary, and continues once connections to stable have drained.
fn narrowed(r: &mut Reconcile) -> Flow {
    let (stable, canary, n) = (r.stable_revision(), r.revision(), r.deployment().replicas);
    let pins: Vec<Write> = r
        .services()
        .filter(|service| r.flips(service))
        .filter_map(|service| patches::pin(service, Some(&canary)))
        .collect();
    if let stop @ Flow::Break(_) = r.write_all(pins) {
        interrupted(r);
        return stop;
    }
    let behind = |service: &Service| {
        r.ready(service, &canary) >= n && (!r.flips(service) || r.ready(service, &stable) == 0)
    };
    if !r.services().all(behind) {
        interrupted(r);
        let alone = WaitReason::Endpoints(Endpoints::CanaryAlone);
        return r.wait(&alone, Since::FirstReported, EndsBy::Person);
    }
    r.lasted(r.drain(), &WaitReason::Draining(Draining::Stable))
}

/// Handles a pin that another client removed during the drain. The drain does not start again,
/// because a client that keeps applying a Service would block the handover forever; but the proxies
/// get time to follow.
fn interrupted(r: &mut Reconcile) {
    let least = r.now() - (r.drain() - OVERLAP).max(SignedDuration::ZERO);
    let trial = r.trial();
    trial.stage_since = trial.stage_since.map(|since| since.max(least));
}

/// Transfers the canary to the Deployment. Each precondition is checked in the reconcile that
/// transfers; the resource versions of canary and Deployment fence what was checked.
fn transfer(r: &mut Reconcile) -> Flow {
    let Some(canary) = r.canary() else { return gone(r) };
    let stable = r.stable();
    if r.deployment_owns_canary() {
        return transferred(r, canary, stable);
    }
    if let Some(unfit) = unfit(r, canary, stable) {
        return r.wait(&WaitReason::Handover(unfit), Since::FirstReported, EndsBy::Person);
    }
    let d = r.deployment();
    // The Deployment controller has its time from this transfer on, not from an earlier one.
    let trial = r.trial();
    (trial.replicas_at_handover, trial.stage_since) = (Some(canary.replicas.min(d.replicas)), None);
    // The Deployment controller deletes the pods of a canary that it gets while the Deployment has
    // stable's template again.
    let fence = patches::fence(Kind::Deployment, &d.meta);
    r.write_all([fence, patches::transfer_to_deployment(d, &canary.meta, &canary.hash)])
}

/// Returns the first precondition of the transfer that is not met.
fn unfit(r: &Reconcile, canary: &ReplicaSet, stable: Option<&ReplicaSet>) -> Option<Unfit> {
    let d = r.deployment();
    let n = d.replicas;
    let current = canary.observed_generation >= canary.meta.generation;
    // The only version that serves is handed over at any size; the Deployment controller scales it.
    let alone = r.alone().is_some();
    let deleting = stable.is_some_and(|stable| stable.meta.deleting && !alone);
    let preconditions = [
        (d.paused, Unfit::NotPaused),
        (alone || canary.template == d.template, Unfit::OtherTemplate),
        (r.same_template().is_none(), Unfit::SameTemplate),
        (alone || canary.replicas == n && stable.is_some_and(|stable| stable.replicas == n), Unfit::Sizes),
        (alone || current && canary.available >= n, Unfit::NotAvailable),
        (alone || canary.min_ready_seconds == d.min_ready_seconds, Unfit::MinReadySeconds),
        (stable.is_none_or(|stable| canary.meta.created >= stable.meta.created), Unfit::OlderThanStable),
        (!canary.meta.deleting && !deleting, Unfit::Deleting),
        (!canary.meta.annotations.contains_key(REVISION), Unfit::Numbered),
    ];
    preconditions.into_iter().find(|(holds, _)| !holds).map(|(_, unfit)| unfit)
}

/// Handles a transferred canary. What the Deployment controller did with it is read from the
/// objects alone (docs/handover.md).
fn transferred(r: &mut Reconcile, canary: &ReplicaSet, stable: Option<&ReplicaSet>) -> Flow {
    let d = r.deployment();
    let stamped = canary.meta.annotations.contains_key(REVISION);
    // Below this, the canary was scaled down after the handover; a canary that has yet to grow with
    // the Deployment is not below.
    let least = r.trial().replicas_at_handover.unwrap_or(0).min(d.replicas);
    if stamped && stable.is_none_or(|stable| stable.replicas == 0) {
        r.enter(Handover::Releasing);
        return STOP;
    }
    if stable.is_some_and(|stable| stable.template == d.template) {
        // The Deployment controller uses stable as the new one again and scales the canary down at
        // once.
        let stop = rollback::withdraw(r, Withdrawal::StableTemplate);
        // Services are written first here, because they select the canary.
        r.write_services_first();
        r.write(patches::transfer_to_rollout(d, r.rollout(), canary));
        return stop;
    }
    if canary.template != d.template {
        return transferred_as_old(r, canary, stable);
    }
    if canary.replicas < least && stable.is_some_and(|stable| stable.replicas >= least) {
        // The Deployment was scaled at that time, and its controller scaled the canary down in
        // favor of stable.
        return resized(r, canary);
    }
    r.lasted(PROOF, &WaitReason::DeploymentController)?;
    if stamped {
        // The controller uses the canary as the new one, and keeps some stable pods while not all
        // canary pods are available.
        r.enter(Handover::Releasing);
        return STOP;
    }
    r.write(patches::transfer_to_rollout(d, r.rollout(), canary));
    r.enter(Handover::Narrowing);
    r.report(&EventReason::HandoverRetried);
    STOP
}

/// Returns traffic to stable, which has all its pods; then takes the canary back and starts the
/// handover again.
fn resized(r: &mut Reconcile, canary: &ReplicaSet) -> Flow {
    if r.return_traffic() == Returned::Now {
        return STOP;
    }
    r.write(patches::transfer_to_rollout(r.deployment(), r.rollout(), canary));
    r.trial().weight_accepted_at = None;
    r.enter(Handover::ScalingUp);
    r.report(&EventReason::Resized);
    STOP
}

/// Completes the transfer if the template changed just before it. The Deployment controller then
/// counts the canary as an old `ReplicaSet`: it neither stamps it nor scales stable down, so
/// Steelyard does both. The newer template stays held.
fn transferred_as_old(r: &mut Reconcile, canary: &ReplicaSet, stable: Option<&ReplicaSet>) -> Flow {
    if !canary.meta.annotations.contains_key(REVISION) {
        let known = r.world().replica_sets.iter().filter_map(|set| patches::number(&set.meta));
        let next = known.max().unwrap_or(0) + 1;
        return r.write_all([patches::numbered(&canary.meta, next)]);
    }
    let serving = stable.filter(|stable| stable.replicas > 0);
    let shrink = serving.map(|stable| patches::scale(&stable.meta, 0));
    r.write_all(shrink)
}

/// Unpins the Services and releases the Deployment.
fn released(r: &mut Reconcile) -> Flow {
    r.pin(None)?;
    let Some(canary) = r.canary() else { return gone(r) };
    // A newer template stays held: its rollout is next.
    let release = (canary.template == r.deployment().template)
        .then(|| patches::release(r.deployment(), Release::Resume))
        .flatten();
    r.write_all(release)
}

fn end(r: &mut Reconcile) -> Flow {
    cleanup::cleaned(r)?;
    match r.canary().or_else(|| native_handover::successor(r)) {
        Some(stable) => complete(r, stable, Ended::Measured),
        None => gone(r),
    }
}

fn gone(r: &mut Reconcile) -> Flow {
    r.wait(&WaitReason::ReplicaSets, Since::FirstReported, EndsBy::Person)
}
