//! Promoting: the canary `ReplicaSet` becomes the Deployment's own, in an order in which every prefix is safe.
//!
//! Fill, all traffic, widen the Services, narrow them to the canary, adopt, await the Deployment controller's proof, unpin,
//! let the Deployment go, give the route back. No pod starts after the filling.

use jiff::SignedDuration;

use super::{Kind, ReplicaSet, Write, back, judge, native, object, pass::Pass, prepare, rest, step};
use crate::api::{End, Handover, Phase, Side};

/// How long both versions stand behind the Services before they are narrowed: kube-proxy's own pace.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// How long the Deployment controller may take to make an adopted `ReplicaSet` its own.
const PROOF: SignedDuration = SignedDuration::from_secs(10);

/// Goes on with the handover.
pub(super) fn go_on(pass: &mut Pass) {
    let stage = pass.trial().handover.unwrap_or(Handover::Filling);
    if stage <= Handover::Adopted && !pass.adopted() && !guarded(pass, stage) {
        return;
    }
    match stage {
        Handover::Filling if pass.trial().native.is_some() => pass.enter(Handover::Native),
        // The Services lead to the canary already, and to nothing else.
        Handover::Filling if pass.trial().side == Side::Canary => pass.enter(Handover::Narrowed),
        Handover::Filling => pass.enter(Handover::Widened),
        Handover::Widened => {
            if widened(pass) {
                pass.enter(Handover::Narrowed);
            }
        }
        Handover::Narrowed => narrow(pass),
        Handover::Adopted => adopt(pass),
        Handover::Released => release(pass),
        Handover::Draining => end(pass),
        Handover::Native => native::replace(pass),
        Handover::Replaced => native::end(pass),
    }
}

/// Until the adoption the canary stays full, keeps all traffic, and metrics go on guarding it.
fn guarded(pass: &mut Pass, stage: Handover) -> bool {
    let Some(valid) = judge::policy(pass) else { return false };
    let stands = if stage == Handover::Filling { step::kept } else { prepare::canary_service };
    if step::suspended(pass) || !stands(pass) {
        return false;
    }
    judge::ask(pass, &valid);
    if !step::filled(pass, pass.d.replicas, valid.deadline)
        || stage == Handover::Filling && step::held_back(pass, 100)
        || !step::weighted(pass, 100, valid.deadline)
    {
        return false;
    }
    // Where a step held all traffic, the router has let go of stable long since.
    let taken = pass.trial().weighted_at.unwrap_or(pass.s.now);
    let message = "all traffic is on the canary: the router lets go of stable";
    stage > Handover::Filling || pass.lasted_since(taken, pass.s.drain, "Router", message)
}

/// Puts both versions behind the Services. Returns whether they have stood there long enough.
pub(super) fn widened(pass: &mut Pass) -> bool {
    if !pass.pin(None) {
        pass.trial().stage_since = None;
        return false;
    }
    let (stable, canary, n) = (pass.stable_revision(), pass.revision(), pass.d.replicas);
    let behind = |service| pass.ready(service, &canary) >= n && pass.ready(service, &stable) > 0;
    if !pass.services().all(behind) {
        pass.trial().stage_since = None;
        pass.wait("Endpoints", "waiting for both versions behind the Services");
        return false;
    }
    pass.lasted(OVERLAP, "Endpoints", "both versions stand behind the Services")
}

fn narrow(pass: &mut Pass) {
    let (stable, canary, n) = (pass.stable_revision(), pass.revision(), pass.d.replicas);
    let pins: Vec<_> = pass
        .services()
        .filter(|service| pass.flips(service))
        .filter_map(|s| object::pin(s, Some(&canary)))
        .collect();
    if !pins.is_empty() {
        pass.writes.extend(pins);
        interrupted(pass);
        return;
    }
    let behind = |service: &super::Service| {
        pass.ready(service, &canary) >= n && (!pass.flips(service) || pass.ready(service, &stable) == 0)
    };
    if !pass.services().all(behind) {
        interrupted(pass);
        pass.wait("Endpoints", "waiting for the canary alone behind the Services");
    } else if pass.lasted(pass.s.drain, "Draining", "connections to stable drain") {
        pass.enter(Handover::Adopted);
    }
}

/// Somebody took the pin off in the middle of the drain. It isn't begun anew, or whoever applies a Service again and again
/// would hold the handover for ever; but the proxies get their time to follow.
fn interrupted(pass: &mut Pass) {
    let least = pass.s.now - (pass.s.drain - OVERLAP).max(SignedDuration::ZERO);
    let trial = pass.trial();
    trial.stage_since = trial.stage_since.map(|since| since.max(least));
}

/// Each precondition is looked at in the pass that adopts; the resource version fences what was looked at.
fn adopt(pass: &mut Pass) {
    let (Some(canary), Some(stable)) = (pass.canary(), pass.stable()) else {
        pass.wait("ReplicaSets", "a ReplicaSet of the handover is gone");
        return;
    };
    if pass.adopted() {
        adopted(pass, canary, stable);
        return;
    }
    let n = pass.d.replicas;
    let fit = [
        (pass.d.paused, "the Deployment is not paused"),
        (canary.template == pass.d.template, "the canary's template is not the Deployment's"),
        (pass.twin(stable).is_none(), "another ReplicaSet of the Deployment has this template"),
        (canary.replicas == n && stable.replicas == n, "the ReplicaSets' sizes are not the Deployment's"),
        (
            canary.observed_generation >= canary.meta.generation && canary.available >= n,
            "not all canary pods are available",
        ),
        (canary.min_ready_seconds == pass.d.min_ready_seconds, "minReadySeconds differs"),
        (canary.meta.created >= stable.meta.created, "the canary's ReplicaSet is older than stable's"),
        (!canary.meta.deleting && !stable.meta.deleting, "a ReplicaSet is being deleted"),
        (!canary.meta.annotations.contains_key(object::REVISION), "the canary carries a revision already"),
    ];
    if let Some((_, why)) = fit.iter().find(|(holds, _)| !holds) {
        pass.wait("Handover", format!("the handover waits: {why}"));
        return;
    }
    pass.trial().handed = Some(n);
    pass.writes.push(object::adoption(pass.d, &canary.meta, &canary.hash));
}

/// The canary is the Deployment's: what its controller made of that is read from the objects alone (docs/handover.md).
fn adopted(pass: &mut Pass, canary: &ReplicaSet, stable: &ReplicaSet) {
    let stamped = canary.meta.annotations.contains_key(object::REVISION);
    // One that was cut below what it was handed over with; one that has yet to grow with the Deployment is not.
    let least = pass.trial().handed.unwrap_or(0).min(pass.d.replicas);
    if stamped && stable.replicas == 0 {
        pass.enter(Handover::Released);
    } else if stable.template == pass.d.template {
        // Its controller takes stable for the new one again, and ends the canary at once.
        back::withdraw(pass, "Withdrawn", "stable's template was pushed again");
        // Here the Services come first: they point at the canary.
        pass.writes.sort_by_key(|write| !matches!(write, Write::Patch { kind: Kind::Service, .. }));
        pass.writes.push(object::return_to(pass.d, pass.r, canary));
    } else if canary.template != pass.d.template {
        adopted_as_old(pass, canary, stable);
    } else if canary.replicas < least && stable.replicas >= least {
        // The Deployment's size changed in this very moment, and its controller shrank the canary for stable's sake.
        take_home(pass, canary);
    } else if !pass.lasted(
        PROOF,
        "DeploymentController",
        "waiting for the Deployment controller to take the canary's ReplicaSet as its own",
    ) {
    } else if stamped {
        // It knows the canary, and keeps some of stable while not all canary pods are available.
        pass.enter(Handover::Released);
    } else {
        pass.writes.push(object::return_to(pass.d, pass.r, canary));
        pass.enter(Handover::Narrowed);
        pass.tell(
            true,
            "NotAdopted",
            "TakeBack",
            "the Deployment controller did not take the canary's ReplicaSet as its own in time: trying again",
        );
    }
}

/// Traffic goes to stable, which has all its pods; then the canary is taken back, and the handover begins anew.
fn take_home(pass: &mut Pass, canary: &ReplicaSet) {
    if pass.send_home() {
        return;
    }
    pass.writes.push(object::return_to(pass.d, pass.r, canary));
    pass.trial().weighted_at = None;
    pass.enter(Handover::Filling);
    pass.tell(
        true,
        "Resized",
        "TakeBack",
        "the Deployment was resized in the moment of the handover, which begins anew",
    );
}

/// The template changed just before the adoption, so the Deployment controller counts the canary as one of its old
/// `ReplicaSets`: it will neither stamp it nor shrink stable. Both are done in its place; the newer template stays held.
fn adopted_as_old(pass: &mut Pass, canary: &ReplicaSet, stable: &ReplicaSet) {
    if !canary.meta.annotations.contains_key(object::REVISION) {
        let known = pass.s.replica_sets.iter().filter_map(|set| object::number(&set.meta));
        pass.writes.push(object::numbered(&canary.meta, known.max().unwrap_or(0) + 1));
    } else if stable.replicas > 0 {
        pass.writes.push(object::scale(&stable.meta, 0));
    }
}

fn release(pass: &mut Pass) {
    if !pass.pin(None) {
        return;
    }
    let Some(canary) = pass.canary() else {
        pass.wait("ReplicaSets", "the canary's ReplicaSet is gone");
        return;
    };
    // A newer template stays held: its own trial comes next.
    if canary.template == pass.d.template
        && let Some(write) = object::release(pass.d, true)
    {
        pass.writes.push(write);
        return;
    }
    pass.enter(Handover::Draining);
}

fn end(pass: &mut Pass) {
    if !back::cleaned(pass) {
        return;
    }
    match pass.canary().or_else(|| native::successor(pass)) {
        Some(stable) => complete(pass, stable, "its pods are the ones that were measured"),
        None => pass.wait("ReplicaSets", "the canary's ReplicaSet is gone"),
    }
}

/// The rollout is over: this `ReplicaSet` is stable from now on.
pub(super) fn complete(pass: &mut Pass, stable: &ReplicaSet, note: &str) {
    pass.status.failure = None;
    pass.record(End::Complete);
    let generation = pass.status.canary.take().map_or(pass.d.meta.generation, |canary| canary.generation);
    let version = rest::version(&stable.hash, &stable.meta.name, &stable.template, generation);
    let tag = version.tag.clone();
    pass.status.stable = Some(version);
    pass.status.trial = None;
    pass.status.observed_weight = None;
    pass.status.phase = Phase::Stable;
    pass.status.verdict = Some("Pass".to_owned());
    (pass.status.step, pass.status.weight, pass.status.attempt) = (None, None, None);
    pass.tell(
        false,
        "Complete",
        format!("Complete{}", pass.stable_revision()),
        format!("{tag} serves; {note}"),
    );
}
