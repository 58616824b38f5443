//! Whether a rollout may start here: conditions Accepted and Gated.

use super::{
    fit::{Setup, fit},
    refusals::Refusals,
};
use crate::{
    engine::{
        reasons::{EventReason, PolicyNotFound, Refusal},
        reconcile::Reconcile,
        snapshot::Policy,
    },
    policy::{Faults, Valid, valid},
};

/// What a rollout starts with.
pub(in crate::engine) struct Accepted {
    /// The policy.
    pub(in crate::engine) valid: Valid,
    /// What it works on.
    pub(in crate::engine) setup: Setup,
}

/// Sets both conditions; gives what a rollout would start with, unless something does not fit.
pub(in crate::engine) fn accept(r: &mut Reconcile) -> Option<Accepted> {
    let gated = r.world().gated || r.held();
    if gated {
        r.set_condition("Gated", true, "Held", "");
    } else {
        let why = "admission does not hold template changes here: see the installation notes";
        r.set_condition("Gated", false, "NotHeld", why);
    }
    match accepted(r) {
        Ok(accepted) => {
            r.set_condition("Accepted", true, "Accepted", "");
            Some(accepted)
        }
        Err(refusals) => {
            let message = refusals.to_string();
            let known = r.has_condition("Accepted", &message);
            r.set_condition("Accepted", false, refusals.word(), &message);
            if !known {
                r.report(&EventReason::NotAccepted { message });
            }
            None
        }
    }
}

fn accepted(r: &Reconcile) -> Result<Accepted, Refusals> {
    let spec = match &r.world().policy {
        Policy::Found(spec) => spec,
        Policy::Missing(name) => {
            let name = name.clone();
            let missing = if name.starts_with("cluster/") {
                PolicyNotFound::Cluster { name }
            } else {
                PolicyNotFound::Namespaced { name }
            };
            return Err(Refusal::PolicyNotFound(missing).into());
        }
        Policy::Unreadable(faults) => return Err(Refusal::PolicyInvalid(Faults(faults.clone())).into()),
        Policy::Unnamed => return Err(Refusal::PolicyNotFound(PolicyNotFound::NoAnnotation).into()),
    };
    let valid = valid(spec).map_err(Refusal::faulty)?;
    let setup = fit(r.world(), r.deployment(), spec, &valid)?;
    Ok(Accepted { valid, setup })
}
