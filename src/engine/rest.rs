//! At rest: one version serves. What adopts a Deployment, what starts a rollout, and what leaves.

use serde_json::Value;

use super::{Decision, Deployment, Kind, Policy, ReplicaSet, Snapshot, Write, object, pass::Pass, valid};
use crate::api::{Phase, Trial, Version};

/// The Deployment is gone: nothing of ours may keep the Rollout.
pub(super) fn without_deployment(s: &Snapshot) -> Decision {
    let writes = s.rollout.iter().filter_map(|r| object::finalizer(r, false)).collect();
    Decision { writes, ..Decision::default() }
}

/// There is no Rollout: one is made if the Deployment asks for it.
pub(super) fn without_rollout(s: &Snapshot, d: &Deployment) -> Decision {
    if s.policy == Policy::Unnamed || d.meta.deleting {
        return Decision::default();
    }
    let create = Write::Create { kind: Kind::Rollout, object: object::rollout(s, d) };
    Decision { writes: vec![create], ..Decision::default() }
}

/// One version serves: adopt it, start a rollout, let go, or do nothing.
pub(super) fn at_rest(pass: &mut Pass) {
    if let Some(write) = object::finalizer(pass.r, false) {
        pass.writes.push(write);
        return;
    }
    if pass.r.meta.deleting || pass.d.meta.deleting {
        return;
    }
    if !pass.pin(None) {
        return;
    }
    if pass.s.policy == Policy::Unnamed {
        leave(pass);
        return;
    }
    let accepted = accept(pass);
    let Some(stable) = stable(pass) else {
        pass.wait(
            "Settling",
            "the Deployment's pods are between two versions: waiting for one of them to serve alone",
        );
        return;
    };
    remember(pass, stable);
    if stable.template == pass.d.template {
        settle(pass);
    } else if !pass.held() {
        pass.status.phase = Phase::Stable;
        pass.wait("NativeRollout", "the Deployment rolls out natively: its template is not held");
    } else if rejected(pass) {
        pass.status.phase = Phase::RolledBack;
    } else {
        start(pass, accepted);
    }
}

/// The `ReplicaSet` that serves: the one on record while the template is held; else the one that is alone.
fn stable<'a>(pass: &Pass<'a>) -> Option<&'a ReplicaSet> {
    let own = |set: &&ReplicaSet| set.controller.as_deref() == Some(&pass.d.meta.uid) && !set.meta.deleting;
    let sets = || pass.s.replica_sets.iter().filter(own);
    let recorded = pass.stable().filter(own);
    if pass.held() && recorded.is_some() {
        return recorded;
    }
    let active: Vec<_> = sets().filter(|set| set.replicas > 0).collect();
    match active.as_slice() {
        [one] => Some(*one),
        [] => sets().find(|set| set.template == pass.d.template).or(recorded),
        _ => None,
    }
}

fn remember(pass: &mut Pass, stable: &ReplicaSet) {
    let generation = pass.status.stable.as_ref().filter(|known| known.revision == stable.hash);
    let generation = generation.map_or(pass.d.meta.generation, |known| known.generation);
    pass.status.stable = Some(version(&stable.hash, &stable.meta.name, &stable.template, generation));
}

/// The status's words for a version.
pub(super) fn version(revision: &str, replica_set: &str, template: &Value, generation: i64) -> Version {
    Version {
        revision: revision.to_owned(),
        replica_set: replica_set.to_owned(),
        tag: object::tag(template),
        generation,
    }
}

/// Stable's own template is in place: nothing is on trial, nothing is held.
fn settle(pass: &mut Pass) {
    pass.status.phase = Phase::Stable;
    pass.status.failure = None;
    pass.status.verdict = None;
    pass.status.step = None;
    if pass.held()
        && let Some(write) = object::release(pass.d, true)
    {
        pass.writes.push(write);
        pass.tell(
            false,
            "Released",
            "Release",
            "stable's template is in place again: the Deployment is no longer held",
        );
    }
    if let Some(rejected) = pass.canary().filter(|set| set.controller.as_deref() == Some(&pass.r.meta.uid)) {
        pass.writes.push(object::delete(Kind::ReplicaSet, &rejected.meta));
    }
    pass.status.canary = None;
}

/// The held template is the one that was rejected: it is not tried again unasked.
fn rejected(pass: &Pass) -> bool {
    pass.status.failure.is_some() && pass.canary().is_some_and(|set| set.template == pass.d.template)
}

fn accept(pass: &mut Pass) -> Option<(valid::Valid, valid::Setup)> {
    let found = valid::policy(&pass.s.policy).and_then(|(valid, spec)| {
        let setup = valid::setup(pass.s, pass.d, spec, &valid)?;
        Ok((valid, setup))
    });
    let gated = pass.s.gated || pass.held();
    let why =
        if gated { "" } else { "admission does not hold template changes here: see the installation notes" };
    pass.condition("Gated", gated, if gated { "Held" } else { "NotHeld" }, why);
    match found {
        Ok(found) => {
            pass.condition("Accepted", true, "Accepted", "");
            Some(found)
        }
        Err(refusal) => {
            let known = pass
                .r
                .status
                .conditions
                .iter()
                .any(|c| c.type_ == "Accepted" && c.message == refusal.message);
            pass.condition("Accepted", false, refusal.reason, &refusal.message);
            if !known {
                pass.tell(true, "NotAccepted", "Accept", refusal.message);
            }
            None
        }
    }
}

/// A new template is held: a revision is minted and written down before anything is made of it.
fn start(pass: &mut Pass, accepted: Option<(valid::Valid, valid::Setup)>) {
    pass.status.phase = Phase::Preparing;
    pass.status.failure = None;
    if let Some(old) = pass.canary().filter(|set| set.controller.as_deref() == Some(&pass.r.meta.uid)) {
        pass.writes.push(object::delete(Kind::ReplicaSet, &old.meta));
        return;
    }
    pass.status.canary = None;
    let Some((valid, setup)) = accepted else {
        pass.wait("NotAccepted", "the template stays held: see condition Accepted");
        return;
    };
    if pass.d.replicas == 0 {
        pass.wait("ZeroReplicas", "the Deployment is scaled to zero: waiting for replicas");
        return;
    }
    let Policy::Found(spec) = &pass.s.policy else { return };
    let revision = object::revision(pass.d, 0);
    let name = format!("{}-{revision}", pass.s.name);
    let tag = object::tag(&pass.d.template);
    pass.status.canary = Some(version(&revision, &name, &pass.d.template, pass.d.meta.generation));
    let (route, original) = setup.route;
    pass.status.trial = Some(Trial {
        policy: Some(spec.clone()),
        services: pass.services().map(|service| service.meta.name.clone()).collect(),
        service: setup.service,
        canary_service: setup.canary_service,
        routes: [(route, original)].into(),
        since: Some(pass.s.now),
        step_since: Some(pass.s.now),
        ..Trial::default()
    });
    pass.status.step = Some(format!("0/{}", valid.steps.len()));
    pass.writes.extend(object::finalizer(pass.r, true));
    pass.tell(
        false,
        "Preparing",
        format!("Prepare{revision}"),
        format!("{tag} is held; its canary {revision} is being made"),
    );
}

/// The annotation is gone: nothing stays of Steelyard. A template that was held stays paused, for a person to resume.
fn leave(pass: &mut Pass) {
    if let Some(write) =
        object::release(pass.d, pass.stable().is_some_and(|stable| stable.template == pass.d.template))
    {
        pass.writes.push(write);
        pass.tell(false, "Left", "Leave", "Steelyard no longer manages this Deployment; where it is paused, `kubectl rollout resume` rolls it natively");
        return;
    }
    pass.status = pass.r.status.clone();
    pass.late.push(object::delete(Kind::Rollout, &pass.r.meta));
}
