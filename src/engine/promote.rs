//! Promoting: the canary `ReplicaSet` becomes the Deployment's own, in an order in which every prefix is safe.
//!
//! Fill, all traffic, widen the Services, narrow them to the canary, adopt, await the Deployment controller's proof, unpin,
//! let the Deployment go, give the route back. No pod starts after the filling.

use jiff::SignedDuration;

use serde_json::json;

use super::{Kind, ReplicaSet, judge, object, pass::Pass, step};
use crate::api::{Handover, Phase};

/// By this annotation the Deployment controller says that it has taken a `ReplicaSet` as its own.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// How long both versions stand behind the Services before they are narrowed: kube-proxy's own pace.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Goes on with the handover.
pub(super) fn go_on(pass: &mut Pass) {
    let stage = pass.trial().handover.unwrap_or(Handover::Filling);
    if stage < Handover::Adopted && !pass.adopted() && !guarded(pass, stage) {
        return;
    }
    match stage {
        Handover::Filling => pass.enter(Handover::Widened),
        Handover::Widened => widen(pass),
        Handover::Narrowed => narrow(pass),
        Handover::Adopted => adopt(pass),
        Handover::Released => release(pass),
        Handover::Draining => end(pass),
    }
}

/// Until the adoption the canary stays full, keeps all traffic, and metrics go on guarding it.
fn guarded(pass: &mut Pass, stage: Handover) -> bool {
    let Some(valid) = judge::policy(pass) else { return false };
    if pass.d.replicas == 0 {
        pass.wait("ZeroReplicas", "the Deployment is scaled to zero: waiting for replicas");
        return false;
    }
    if !step::filled(pass, pass.d.replicas, valid.deadline) || !step::weighted(pass, 100) {
        return false;
    }
    judge::ask(pass, &valid);
    stage > Handover::Filling
        || pass.lasted(pass.s.drain, "Router", "all traffic is on the canary: the router lets go of stable")
}

fn widen(pass: &mut Pass) {
    if !pass.pin(None) {
        pass.trial().stage_since = None;
        return;
    }
    let (stable, canary, n) = (pass.stable_revision(), pass.revision(), pass.d.replicas);
    let behind = |service| pass.ready(service, &canary) >= n && pass.ready(service, &stable) > 0;
    if !pass.services().all(behind) {
        pass.trial().stage_since = None;
        pass.wait("Endpoints", "waiting for both versions behind the Services");
    } else if pass.lasted(OVERLAP, "Endpoints", "both versions stand behind the Services") {
        pass.enter(Handover::Narrowed);
    }
}

fn narrow(pass: &mut Pass) {
    let (stable, canary, n) = (pass.stable_revision(), pass.revision(), pass.d.replicas);
    let pins: Vec<_> = pass
        .services()
        .filter(|service| !service.widen_only)
        .filter_map(|s| object::pin(s, Some(&canary)))
        .collect();
    if !pins.is_empty() {
        pass.writes.extend(pins);
        pass.trial().stage_since = None;
        return;
    }
    let behind = |service: &super::Service| {
        pass.ready(service, &canary) >= n && (service.widen_only || pass.ready(service, &stable) == 0)
    };
    if !pass.services().all(behind) {
        pass.trial().stage_since = None;
        pass.wait("Endpoints", "waiting for the canary alone behind the Services");
    } else if pass.lasted(pass.s.drain, "Draining", "connections to stable drain") {
        pass.enter(Handover::Adopted);
    }
}

/// Each precondition is looked at in the pass that adopts; the resource version fences what was looked at.
fn adopt(pass: &mut Pass) {
    let (Some(canary), Some(stable)) = (pass.canary(), pass.stable()) else {
        pass.wait("ReplicaSets", "a ReplicaSet of the handover is gone");
        return;
    };
    if canary.meta.annotations.contains_key(REVISION) && pass.adopted() && stable.replicas == 0 {
        pass.enter(Handover::Released);
        return;
    }
    if pass.adopted() && canary.template != pass.d.template {
        adopted_as_old(pass, canary, stable);
        return;
    }
    if pass.adopted() {
        pass.wait(
            "DeploymentController",
            "waiting for the Deployment controller to take the canary's ReplicaSet as its own",
        );
        return;
    }
    let n = pass.d.replicas;
    let twin = pass.s.replica_sets.iter().any(|set| {
        set.controller.as_deref() == Some(&pass.d.meta.uid)
            && set.meta.name != stable.meta.name
            && set.template == pass.d.template
    });
    let fit = [
        (pass.d.paused, "the Deployment is not paused"),
        (canary.template == pass.d.template, "the canary's template is not the Deployment's"),
        (!twin, "another ReplicaSet of the Deployment has this template"),
        (canary.replicas == n && stable.replicas == n, "the ReplicaSets' sizes are not the Deployment's"),
        (
            canary.observed_generation >= canary.meta.generation && canary.available >= n,
            "not all canary pods are available",
        ),
        (canary.min_ready_seconds == pass.d.min_ready_seconds, "minReadySeconds differs"),
        (canary.meta.created >= stable.meta.created, "the canary's ReplicaSet is older than stable's"),
        (!canary.meta.deleting && !stable.meta.deleting, "a ReplicaSet is being deleted"),
        (!canary.meta.annotations.contains_key(REVISION), "the canary carries a revision already"),
    ];
    if let Some((_, why)) = fit.iter().find(|(holds, _)| !holds) {
        if canary.replicas > n {
            pass.writes.push(object::scale(&canary.meta, n));
        } else {
            pass.wait("Handover", format!("the handover waits: {why}"));
        }
        return;
    }
    pass.writes.push(object::adoption(pass.d, &canary.meta, &canary.hash));
}

/// The template changed just before the adoption, so the Deployment controller counts the canary as one of its old
/// `ReplicaSets`: it will neither stamp it nor shrink stable. Both are done in its place; the newer template stays held.
fn adopted_as_old(pass: &mut Pass, canary: &ReplicaSet, stable: &ReplicaSet) {
    if !canary.meta.annotations.contains_key(REVISION) {
        let known = pass
            .s
            .replica_sets
            .iter()
            .filter_map(|set| set.meta.annotations.get(REVISION)?.parse::<u64>().ok());
        let next = known.max().unwrap_or(0) + 1;
        let path = "/metadata/annotations/deployment.kubernetes.io~1revision";
        let op = json!({"op": "add", "path": path, "value": next.to_string()});
        pass.writes.push(object::unstamped(Kind::ReplicaSet, &canary.meta, vec![op]));
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
    if !super::back::cleaned(pass) {
        return;
    }
    pass.status.stable = pass.status.canary.take();
    pass.status.trial = None;
    pass.status.phase = Phase::Stable;
    pass.status.failure = None;
    pass.status.verdict = Some("Pass".to_owned());
    pass.status.step = None;
    pass.status.weight = None;
    let tag = pass.status.stable.as_ref().map(|stable| stable.tag.clone()).unwrap_or_default();
    pass.tell(
        false,
        "Complete",
        format!("Complete{}", pass.stable_revision()),
        format!("{tag} serves; its pods are the ones that were measured"),
    );
}
