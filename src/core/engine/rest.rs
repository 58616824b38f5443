//! At rest: one version serves. What adopts a Deployment, what starts a rollout, and what leaves.

use serde_json::Value;

use super::{
    Decision, Deployment, Kind, Policy, QUEUE, ReplicaSet, Slot, Snapshot, Turn, Write, object, orphans,
    pass::{Pass, person},
    refusal, settle,
    setup::{Setup, plain, setup},
};
use crate::{
    api::{End, Failure, Phase, Trial, Version},
    policy::Valid,
    traffic::gateway::{self, Pair},
};

/// The Deployment is gone, or another one of its name has come: routes and Services are given back, and nothing of ours
/// keeps the Rollout.
pub(super) fn without_deployment(s: &Snapshot) -> Decision {
    let mut writes = Vec::new();
    if let Some(trial) = s.rollout.as_ref().and_then(|r| r.status.trial.as_ref()) {
        let pair = Pair { namespace: &s.namespace, stable: &trial.service, canary: &trial.canary_service };
        let canary = s.rollout.as_ref().and_then(|r| r.status.canary.as_ref());
        let revision = canary.map(|canary| canary.revision.as_str()).unwrap_or_default();
        let routes = s.routes.iter().filter_map(|route| Some((route, trial.routes.get(&route.meta.name)?)));
        writes.extend(routes.filter_map(|(route, original)| {
            object::restored(route, &gateway::restored(&route.spec, &pair, original), revision)
        }));
        // A canary that nobody wants any more is not to be shown by Services that lose their pin.
        let canary =
            canary.and_then(|canary| s.replica_sets.iter().find(|set| set.meta.name == canary.replica_set));
        match canary.filter(|set| set.existing > 0 || set.replicas > 0) {
            Some(canary) => {
                writes.extend((canary.replicas > 0).then(|| object::scale(&canary.meta, 0)));
                return Decision { writes, in_flight: true, ..Decision::default() };
            }
            None => writes.extend(plain(s).filter_map(|service| object::pin(service, None))),
        }
        if writes.is_empty() {
            let routes = s.routes.iter().filter(|route| trial.routes.contains_key(&route.meta.name));
            writes.extend(routes.filter_map(|route| object::disowned(Kind::HttpRoute, &route.meta)));
            let services = plain(s).map(|service| &service.meta);
            writes.extend(services.filter_map(|meta| object::disowned(Kind::Service, meta)));
        }
    }
    if writes.is_empty() {
        writes.extend(s.rollout.iter().filter_map(|r| object::finalizer(r, false)));
    }
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
    if orphans::found(pass) {
        return;
    }
    if let Some(write) = object::finalizer(pass.r, false) {
        pass.writes.push(write);
        return;
    }
    if pass.r.meta.deleting || pass.d.meta.deleting || !pass.pin(None) {
        return;
    }
    if pass.s.policy == Policy::Unnamed {
        leave(pass);
        return;
    }
    let accepted = accept(pass);
    let Some(stable) = stable(pass) else {
        settle::between(pass);
        return;
    };
    remember(pass, stable);
    if stable.template == pass.d.template {
        if !settle::brought(pass) {
            settled(pass);
        }
    } else if !pass.held() {
        pass.status.phase = Phase::Stable;
        pass.wait("NativeRollout", "the Deployment rolls out natively: its template is not held");
    } else {
        pass.status.pending = None;
        held(pass, accepted);
    }
}

/// A template that isn't stable's is held: it goes on trial, unless a person wants otherwise or it was rejected already.
fn held(pass: &mut Pass, accepted: Option<(Valid, Setup)>) {
    if skipped(pass) {
        return;
    }
    if !rejected(pass) {
        start(pass, accepted);
        return;
    }
    pass.status.phase = Phase::RolledBack;
    if let Some(accepted) = accepted {
        retry(pass, accepted);
    }
}

/// The `ReplicaSet` that serves: the only one that has pods; without any, the one that is on record while the template is
/// held, else the template's own.
fn stable<'a>(pass: &Pass<'a>) -> Option<&'a ReplicaSet> {
    let own = |set: &&ReplicaSet| pass.d.owns(set) && !set.meta.deleting;
    let sets = || pass.s.replica_sets.iter().filter(own);
    let active: Vec<_> = sets().filter(|set| set.replicas > 0).collect();
    match active.as_slice() {
        [one] => Some(*one),
        [] => {
            let recorded = pass.stable().filter(own);
            let of_template = sets().find(|set| set.template == pass.d.template);
            if pass.held() { recorded.or(of_template) } else { of_template.or(recorded) }
        }
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

/// The Deployment's template under a revision of its own.
pub(super) fn minted(pass: &Pass) -> Version {
    let revision = object::revision(pass.d);
    let name = format!("{}-{revision}", pass.s.name);
    version(&revision, &name, &pass.d.template, pass.d.meta.generation)
}

/// Stable's own template is in place: nothing is on trial, nothing is held.
fn settled(pass: &mut Pass) {
    pass.status.phase = Phase::Stable;
    // What was reverted stays on record: pushed again, it is not tried again.
    let reverted = pass.status.failure.as_ref().is_some_and(|failure| failure.reverted);
    if !reverted {
        pass.status.failure = None;
    }
    pass.status.verdict = None;
    (pass.status.step, pass.status.attempt) = (None, None);
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
    if !reverted {
        pass.discard();
        pass.status.canary = None;
    }
}

/// The held template is the one that was rejected: it is not tried again unasked.
fn rejected(pass: &mut Pass) -> bool {
    if pass.status.failure.is_none()
        && pass.status.trial.is_none()
        && let Some((set, reason)) = orphans::rejected(pass)
    {
        let generation = pass.d.meta.generation;
        pass.status.canary = Some(version(&set.hash, &set.meta.name, &set.template, generation));
        let message = "this template was rejected before this Rollout was made".to_owned();
        pass.status.failure = Some(Failure { reason, message, ..Failure::default() });
    }
    let Some(failure) = &pass.status.failure else { return false };
    let tried = failure.template.as_ref().or_else(|| pass.canary().map(|set| &set.template));
    tried == Some(&pass.d.template)
}

/// A person may want the rejected template tried again, with the `ReplicaSet` it was tried with.
fn retry(pass: &mut Pass, (valid, setup): (Valid, Setup)) {
    let tried = pass.status.attempt.unwrap_or(1);
    let wish = pass.r.spec.retry.as_ref().filter(|wish| pass.meant(&wish.revision) && wish.attempt > tried);
    let Some(wish) = wish else { return };
    let stands = |intent: Option<&String>| intent.is_some_and(|revision| pass.meant(revision));
    let (abort, promote) = (pass.r.spec.abort.as_ref(), pass.r.spec.promote.as_ref());
    if stands(abort.map(|abort| &abort.revision)) || stands(promote.map(|promote| &promote.revision)) {
        pass.wait("OldIntent", "spec.abort or spec.promote still names this revision: remove it to retry");
        return;
    }
    if must_wait(pass, &valid) {
        return;
    }
    if let Some(other) = pass.canary().filter(|set| set.template != pass.d.template) {
        pass.writes.push(object::delete(Kind::ReplicaSet, &other.meta));
    }
    let (attempt, by) = (wish.attempt, person(wish.by.as_deref()));
    let revision = pass.revision();
    pass.status.phase = Phase::Preparing;
    pass.status.failure = None;
    pass.status.attempt = Some(attempt);
    begin(pass, &valid, setup);
    pass.tell(
        false,
        "Retrying",
        format!("Retry{revision}-{attempt}"),
        format!("{by} wants {revision} tried again"),
    );
}

/// A person may want the held template rolled out natively, unmeasured. Returns whether one does.
fn skipped(pass: &mut Pass) -> bool {
    let Some(skip) = pass.r.spec.skip.as_ref().filter(|skip| pass.meant(&skip.revision)) else {
        return false;
    };
    let by = person(skip.by.as_deref());
    pass.discard();
    pass.writes.extend(object::release(pass.d, true));
    (pass.status.canary, pass.status.failure, pass.status.attempt) = (None, None, None);
    pass.status.phase = Phase::Stable;
    let note = format!("{by} wants the template rolled out natively, unmeasured");
    pass.tell(true, "Skipped", "Skip", note);
    true
}

fn accept(pass: &mut Pass) -> Option<(Valid, Setup)> {
    let found = refusal::policy(&pass.s.policy).and_then(|(valid, spec)| {
        let setup = setup(pass.s, pass.d, spec, &valid)?;
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
fn start(pass: &mut Pass, accepted: Option<(Valid, Setup)>) {
    pass.status.phase = Phase::Preparing;
    pass.status.failure = None;
    if pass.discard() {
        return;
    }
    pass.status.canary = None;
    let Some((valid, setup)) = accepted else {
        pass.wait("NotAccepted", "the template stays held: see condition Accepted");
        return;
    };
    if must_wait(pass, &valid) {
        return;
    }
    let canary = minted(pass);
    let (revision, tag) = (canary.revision.clone(), canary.tag.clone());
    pass.status.canary = Some(canary);
    pass.status.attempt = None;
    begin(pass, &valid, setup);
    let note = if pass.trial().returning {
        format!("{tag} is held; it served not long ago, so it comes back in one switch, as {revision}")
    } else {
        format!("{tag} is held; its canary {revision} is being made")
    };
    pass.tell(false, "Preparing", format!("Prepare{revision}"), note);
}

/// A rollout begins with replicas to serve with, and when it is its turn. Returns whether it waits for either.
fn must_wait(pass: &mut Pass, valid: &Valid) -> bool {
    if pass.d.replicas == 0 {
        pass.wait("ZeroReplicas", "the Deployment is scaled to zero: waiting for replicas");
        return true;
    }
    queued(pass, valid)
}

/// Others are in flight, as many as the operator allows: the rollout waits for its turn. A way back never does. Returns
/// whether it waits.
fn queued(pass: &mut Pass, valid: &Valid) -> bool {
    let Turn::Queued { place, of, in_flight } = pass.s.turn else { return false };
    if served_before(pass, valid) {
        return false;
    }
    pass.slot = Slot::Queued;
    let message =
        format!("waiting for its turn, {} of {of}: {in_flight} rollouts are in flight", ordinal(place));
    pass.wait(QUEUE, message);
    true
}

/// 1st, 2nd, 3rd, 4th, 11th, 21st.
pub(super) fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, of) if of != 11 => "st",
        (2, of) if of != 12 => "nd",
        (3, of) if of != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Writes down what the rollout works on, before anything is made of it.
fn begin(pass: &mut Pass, valid: &Valid, setup: Setup) {
    let Policy::Found(spec) = &pass.s.policy else { return };
    let returning = served_before(pass, valid);
    pass.status.trial = Some(Trial {
        policy: Some(spec.clone()),
        services: pass.services().map(|service| service.meta.name.clone()).collect(),
        service: setup.service,
        canary_service: setup.canary_service,
        shifting: valid.shifting,
        returning,
        routes: setup.route.into_iter().collect(),
        since: Some(pass.s.now),
        ..Trial::default()
    });
    let stages = if returning { 1 } else { valid.stages.len() };
    pass.status.step = Some(format!("0/{stages}"));
    pass.writes.extend(object::finalizer(pass.r, true));
}

/// Whether the template is one that served not long ago, as the policy's window counts: by the `ReplicaSet` that the
/// Deployment still has of it, and by the rollout that replaced it.
fn served_before(pass: &Pass, valid: &Valid) -> bool {
    let Some(window) = valid.window else { return false };
    let Some(set) = pass.stable().and_then(|stable| pass.twin(stable)) else { return false };
    let complete = pass.status.history.iter().rev().filter(|past| past.outcome == End::Complete);
    let mut last = complete.take(window.revisions);
    let replaced = last.find(|past| past.before == set.hash).and_then(|past| past.ended);
    replaced.is_some_and(|at| pass.s.now <= Pass::after(at, window.within))
}

/// The annotation is gone: nothing stays of Steelyard. A template that was held stays paused, for a person to resume.
fn leave(pass: &mut Pass) {
    pass.discard();
    if let Some(write) =
        object::release(pass.d, pass.stable().is_some_and(|stable| stable.template == pass.d.template))
    {
        pass.writes.push(write);
        pass.status = pass.r.status.clone();
        pass.tell(false, "Left", "Leave", "Steelyard no longer manages this Deployment; where it is paused, `kubectl rollout resume` rolls it natively");
        return;
    }
    pass.status = pass.r.status.clone();
    pass.late.push(object::delete(Kind::Rollout, &pass.r.meta));
}
