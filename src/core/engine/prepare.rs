//! Phase Preparing: pins Services to stable, creates the canary `ReplicaSet` at 0 pods and its
//! Service. No traffic moves.

use super::{
    canary_service, manifests,
    reasons::EventReason,
    reconcile::{Flow, GO_ON, Reconcile, STOP},
    revision, unmeasured_sets,
    zero_replicas::suspended,
};
use crate::api::Phase;

/// Plans the first thing that is missing; continues once stepping may start.
pub(super) fn proceed(r: &mut Reconcile) -> Flow {
    suspended(r)?;
    unmeasured_sets::remove(r)?;
    // These writes do not depend on each other, because the canary has no pods yet; the next
    // reconcile checks all of them.
    let pinned = r.pin_to_stable();
    let Some(canary) = r.canary() else { return create(r) };
    if canary.template != r.deployment().template && r.trial().native.is_none() {
        let pushed = r.deployment().template.clone();
        r.trial().native = Some(pushed);
        r.report(&EventReason::TemplateAltered);
    }
    canary_service::ensure(r)?;
    pinned?;
    r.move_to(Phase::Stepping);
    GO_ON
}

/// Creates the canary's `ReplicaSet`. If a new template was pushed before, the revision gets a new
/// name: nothing was created for the former one.
fn create(r: &mut Reconcile) -> Flow {
    let known = r.status().canary.clone().unwrap_or_default();
    let (s, d) = (r.world(), r.deployment());
    if known.generation != d.meta.generation {
        r.set_canary(Some(revision::mint(d, &s.name)));
        return STOP;
    }
    r.write(manifests::canary(s, d, r.rollout(), &known.replica_set, &known.revision));
    canary_service::ensure(r)
}
