//! The entry point: [`Snapshot`] in, [`Decision`] out.

use super::{
    acceptance, gate, guard, handover, idle, leave, manifests, observed_weight,
    patches::{self, Release},
    plan::{Decision, Event},
    prepare,
    reasons::{EventReason, Withdrawal},
    reconcile::{Flow, Reconcile, explained},
    refused_intents, rollback,
    snapshot::{Deployment, PolicyState, Snapshot},
    step,
};
use crate::api::Phase;

/// Decides what to do for this snapshot. Total and pure: the same snapshot gives the same decision.
pub fn decide(s: &Snapshot) -> Decision {
    let Some(d) = &s.deployment else { return explained(s, leave::without_deployment(s)) };
    let Some(rollout) = &s.rollout else { return without_rollout(s, d) };
    if !rollout.owner.is_empty() && rollout.owner != d.meta.uid {
        return explained(s, leave::without_deployment(s));
    }
    let mut r = Reconcile::new(s, d, rollout);
    let weight = r.weight();
    r.set_weight(weight);
    if r.take_over() {
        return r.finish();
    }
    observed_weight::read(&mut r);
    acceptance::observe(&mut r);
    gate::record_answers(&mut r);
    refused_intents::report(&mut r);
    // The plan shows whether a phase has something left to do.
    let _ = proceed(&mut r);
    observed_weight::ask(&mut r);
    r.finish()
}

fn proceed(r: &mut Reconcile) -> Flow {
    match r.status().phase {
        Phase::Stable | Phase::RolledBack => return idle::proceed(r),
        Phase::Preparing | Phase::Unknown if r.status().trial.is_none() => return idle::proceed(r),
        Phase::RollingBack => return rollback::proceed(r),
        Phase::Unknown => return rollback::withdraw(r, Withdrawal::UnknownPhase),
        Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting => guard::guard(r)?,
    }
    if r.status().phase == Phase::Preparing {
        prepare::proceed(r)?;
    }
    if r.status().phase == Phase::Promoting { handover::proceed(r) } else { step::proceed(r) }
}

/// Creates the Rollout if the Deployment names a policy. If it no longer does, and its template was
/// held before there was a Rollout, releases it; a person has to resume it.
fn without_rollout(s: &Snapshot, d: &Deployment) -> Decision {
    if d.meta.deleting {
        return Decision::default();
    }
    if s.policy != PolicyState::Unnamed {
        return Decision { writes: vec![manifests::rollout(s, d)], ..Decision::default() };
    }
    let Some(release) = patches::release(d, Release::StayPaused).filter(|_| d.held()) else {
        return Decision::default();
    };
    Decision { writes: vec![release], events: vec![Event::of(&EventReason::Left)], ..Decision::default() }
}
