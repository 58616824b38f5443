//! The one entry: [`Snapshot`] in, [`Decision`] out.

use super::{
    gate, guard, handover, idle, leave, manifests, observed_weight,
    plan::Decision,
    prepare,
    reconcile::{Flow, Reconcile},
    rollback,
    snapshot::{Deployment, Policy, Snapshot},
    step,
};
use crate::api::Phase;

/// Decides what is to be done in this world. Total and pure: the same snapshot gives the same decision.
pub fn decide(s: &Snapshot) -> Decision {
    let Some(d) = &s.deployment else { return leave::without_deployment(s) };
    let Some(rollout) = &s.rollout else { return without_rollout(s, d) };
    if !rollout.owner.is_empty() && rollout.owner != d.meta.uid {
        return leave::without_deployment(s);
    }
    let mut r = Reconcile::new(s, d, rollout);
    let weight = r.weight();
    r.set_weight(weight);
    if r.take_over() {
        return r.finish();
    }
    observed_weight::read(&mut r);
    gate::hear(&mut r);
    // Whether a phase has something left to do is in what it has planned.
    let _ = proceed(&mut r);
    observed_weight::ask(&mut r);
    r.finish()
}

fn proceed(r: &mut Reconcile) -> Flow {
    match r.status().phase {
        Phase::Stable | Phase::RolledBack => return idle::proceed(r),
        Phase::Preparing if r.status().trial.is_none() => return idle::proceed(r),
        Phase::RollingBack => return rollback::proceed(r),
        Phase::Preparing | Phase::Stepping | Phase::Waiting | Phase::Promoting => guard::guard(r)?,
    }
    if r.status().phase == Phase::Preparing {
        prepare::proceed(r)?;
    }
    if r.status().phase == Phase::Promoting { handover::proceed(r) } else { step::proceed(r) }
}

/// There is no Rollout: one is created if the Deployment asks for it.
fn without_rollout(s: &Snapshot, d: &Deployment) -> Decision {
    if s.policy == Policy::Unnamed || d.meta.deleting {
        return Decision::default();
    }
    Decision { writes: vec![manifests::rollout(s, d)], ..Decision::default() }
}
