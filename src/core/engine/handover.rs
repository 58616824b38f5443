//! Promoting: the canary `ReplicaSet` becomes the Deployment's own, in an order in which every prefix is
//! safe.
//!
//! Fill, all traffic, widen the Services, narrow them to the canary, adopt, await the Deployment
//! controller's proof, unpin, release the Deployment, give the route back. No pod starts after the
//! filling.

use jiff::SignedDuration;

use super::{
    canary_service, cleanup,
    complete::complete,
    measure, native_handover,
    patches::{self, REVISION, Release},
    plan::Write,
    pods,
    reasons::{Draining, Ended, Endpoints, EventReason, ReplicaSets, Router, Unfit, WaitReason, Withdrawal},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
    rollback,
    shift::Returned,
    snapshot::{ReplicaSet, Service},
    step::kept,
    weight,
    widen::{OVERLAP, widened},
    zero_replicas::suspended,
};
use crate::api::{Handover, Side};

/// How long the Deployment controller may take to make an adopted `ReplicaSet` its own.
const PROOF: SignedDuration = SignedDuration::from_secs(10);

/// Goes on with the handover.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    let stage = r.trial().handover.unwrap_or(Handover::Filling);
    if stage <= Handover::Adopted && !r.adopted() {
        guarded(r, stage)?;
    }
    match stage {
        Handover::Filling => {
            let (native, side) = (r.trial().native.is_some(), r.trial().side);
            r.enter(match (native, side) {
                (true, _) => Handover::Native,
                // The Services lead to the canary already, and to nothing else.
                (false, Side::Canary) => Handover::Narrowed,
                (false, Side::Stable | Side::Both) => Handover::Widened,
            });
        }
        Handover::Widened => {
            widened(r)?;
            r.enter(Handover::Narrowed);
        }
        Handover::Narrowed => {
            narrowed(r)?;
            r.enter(Handover::Adopted);
        }
        Handover::Adopted => return adopt(r),
        Handover::Released => {
            released(r)?;
            r.enter(Handover::Draining);
        }
        Handover::Draining => return end(r),
        Handover::Native => return native_handover::replace(r),
        Handover::Replaced => return native_handover::end(r),
    }
    STOP
}

/// Until the adoption the canary stays full, keeps all traffic, and metrics go on guarding it.
fn guarded(r: &mut Reconcile, stage: Handover) -> Flow {
    let Some(valid) = r.policy() else { return STOP };
    suspended(r)?;
    if stage == Handover::Filling {
        kept(r)?;
    } else {
        canary_service::stands(r)?;
    }
    measure::ask(r, &valid);
    pods::filled(r, r.deployment().replicas, valid.deadline)?;
    if stage == Handover::Filling {
        weight::unpaused(r, 100)?;
    }
    weight::weighted(r, 100, valid.deadline)?;
    if stage > Handover::Filling {
        return GO_ON;
    }
    // Where a step held all traffic, the router has stopped using stable long since.
    let since = r.trial().weighted_at.unwrap_or(r.now());
    r.passed(since, r.world().drain, &WaitReason::Router(Router::ReleaseStable))
}

/// Narrows the Services to the canary, and goes on once connections to stable have drained.
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
    r.lasted(r.world().drain, &WaitReason::Draining(Draining::Stable))
}

/// Another client took the pin off in the middle of the drain. It isn't begun again, or whoever applies a
/// Service again and again would keep the handover for ever; but the proxies get their time to follow.
fn interrupted(r: &mut Reconcile) {
    let least = r.now() - (r.world().drain - OVERLAP).max(SignedDuration::ZERO);
    let trial = r.trial();
    trial.stage_since = trial.stage_since.map(|since| since.max(least));
}

/// Each precondition is checked in the reconcile that adopts; the resource version fences what was
/// checked.
fn adopt(r: &mut Reconcile) -> Flow {
    let (Some(canary), Some(stable)) = (r.canary(), r.stable()) else {
        return gone(r, ReplicaSets::OfHandover);
    };
    if r.adopted() {
        return adopted(r, canary, stable);
    }
    if let Some(unfit) = unfit(r, canary, stable) {
        return r.wait(&WaitReason::Handover(unfit), Since::FirstReported, EndsBy::Person);
    }
    let d = r.deployment();
    r.trial().handed = Some(d.replicas);
    r.write_all([patches::adopt(d, &canary.meta, &canary.hash)])
}

/// The first precondition of the adoption that does not hold.
fn unfit(r: &Reconcile, canary: &ReplicaSet, stable: &ReplicaSet) -> Option<Unfit> {
    let d = r.deployment();
    let n = d.replicas;
    let current = canary.observed_generation >= canary.meta.generation;
    let preconditions = [
        (d.paused, Unfit::NotPaused),
        (canary.template == d.template, Unfit::OtherTemplate),
        (r.twin(stable).is_none(), Unfit::Twin),
        (canary.replicas == n && stable.replicas == n, Unfit::Sizes),
        (current && canary.available >= n, Unfit::NotAvailable),
        (canary.min_ready_seconds == d.min_ready_seconds, Unfit::MinReadySeconds),
        (canary.meta.created >= stable.meta.created, Unfit::OlderThanStable),
        (!canary.meta.deleting && !stable.meta.deleting, Unfit::Deleting),
        (!canary.meta.annotations.contains_key(REVISION), Unfit::Numbered),
    ];
    preconditions.into_iter().find(|(holds, _)| !holds).map(|(_, unfit)| unfit)
}

/// The canary is the Deployment's: what its controller made of that is read from the objects alone
/// (docs/handover.md).
fn adopted(r: &mut Reconcile, canary: &ReplicaSet, stable: &ReplicaSet) -> Flow {
    let d = r.deployment();
    let stamped = canary.meta.annotations.contains_key(REVISION);
    // One that was cut below what it was handed over with; one that has yet to grow with the Deployment
    // is not.
    let least = r.trial().handed.unwrap_or(0).min(d.replicas);
    if stamped && stable.replicas == 0 {
        r.enter(Handover::Released);
        return STOP;
    }
    if stable.template == d.template {
        // Its controller takes stable for the new one again, and ends the canary at once.
        let stop = rollback::withdraw(r, Withdrawal::Withdrawn);
        // Here the Services come first: they point at the canary.
        r.write_services_first();
        r.write(patches::give_back(d, r.rollout(), canary));
        return stop;
    }
    if canary.template != d.template {
        return adopted_as_old(r, canary, stable);
    }
    if canary.replicas < least && stable.replicas >= least {
        // The Deployment's size changed just then, and its controller shrank the canary for stable's sake.
        return resized(r, canary);
    }
    r.lasted(PROOF, &WaitReason::DeploymentController)?;
    if stamped {
        // It knows the canary, and keeps some of stable while not all canary pods are available.
        r.enter(Handover::Released);
        return STOP;
    }
    r.write(patches::give_back(d, r.rollout(), canary));
    r.enter(Handover::Narrowed);
    r.report(&EventReason::NotAdopted);
    STOP
}

/// Traffic returns to stable, which has all its pods; then the canary is taken back, and the handover
/// begins again.
fn resized(r: &mut Reconcile, canary: &ReplicaSet) -> Flow {
    if r.return_traffic() == Returned::Now {
        return STOP;
    }
    r.write(patches::give_back(r.deployment(), r.rollout(), canary));
    r.trial().weighted_at = None;
    r.enter(Handover::Filling);
    r.report(&EventReason::Resized);
    STOP
}

/// The template changed just before the adoption, so the Deployment controller counts the canary as one
/// of its old `ReplicaSets`: it will neither stamp it nor shrink stable. Both are done in its place; the
/// newer template stays held.
fn adopted_as_old(r: &mut Reconcile, canary: &ReplicaSet, stable: &ReplicaSet) -> Flow {
    if !canary.meta.annotations.contains_key(REVISION) {
        let known = r.world().replica_sets.iter().filter_map(|set| patches::number(&set.meta));
        let next = known.max().unwrap_or(0) + 1;
        return r.write_all([patches::numbered(&canary.meta, next)]);
    }
    let shrink = (stable.replicas > 0).then(|| patches::scale(&stable.meta, 0));
    r.write_all(shrink)
}

/// Unpins the Services and releases the Deployment.
fn released(r: &mut Reconcile) -> Flow {
    r.pin(None)?;
    let Some(canary) = r.canary() else { return gone(r, ReplicaSets::Canary) };
    // A newer template stays held: its own rollout comes next.
    let release = (canary.template == r.deployment().template)
        .then(|| patches::release(r.deployment(), Release::Resume))
        .flatten();
    r.write_all(release)
}

fn end(r: &mut Reconcile) -> Flow {
    cleanup::cleaned(r)?;
    match r.canary().or_else(|| native_handover::successor(r)) {
        Some(stable) => complete(r, stable, Ended::Measured),
        None => gone(r, ReplicaSets::Canary),
    }
}

fn gone(r: &mut Reconcile, which: ReplicaSets) -> Flow {
    r.wait(&WaitReason::ReplicaSets(which), Since::FirstReported, EndsBy::Person)
}
