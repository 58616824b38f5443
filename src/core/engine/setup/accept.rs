//! Whether a rollout may start here: conditions `Accepted` and `HoldEnforced`.

use std::sync::Arc;

use super::{
    fit::{Setup, fit},
    refusals::Refusals,
};
use crate::{
    engine::{
        reasons::{EventReason, PolicyNotFound, Refusal},
        reconcile::Reconcile,
        snapshot::PolicyState,
    },
    policy::Policy,
};

/// What a rollout starts with.
pub(in crate::engine) struct Accepted {
    /// The policy.
    pub(in crate::engine) policy: Arc<Policy>,
    /// The Services and routes that it uses.
    pub(in crate::engine) setup: Setup,
}

/// Sets both conditions. Returns what a rollout would start with, unless something does not fit.
pub(in crate::engine) fn accept(r: &mut Reconcile) -> Option<Accepted> {
    let hold_enforced = r.world().hold_enforced || r.held();
    if hold_enforced {
        r.set_condition("HoldEnforced", true, "Enforced", "");
    } else {
        let why = "admission does not hold changes of the pod template: install the chart with \
                   admission.hold=auto on a cluster that serves MutatingAdmissionPolicy v1 (Kubernetes 1.36)";
        r.set_condition("HoldEnforced", false, "NotEnforced", why);
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
    let policy = match &r.world().policy {
        PolicyState::Found(policy) => Arc::clone(policy),
        PolicyState::Missing(name) => {
            let name = name.clone();
            let missing = if name.starts_with("cluster/") {
                PolicyNotFound::Cluster { name }
            } else {
                PolicyNotFound::Namespaced { name }
            };
            return Err(Refusal::PolicyNotFound(missing).into());
        }
        PolicyState::Invalid(faults) => return Err(Refusal::PolicyInvalid(faults.clone()).into()),
        PolicyState::Unnamed => return Err(Refusal::PolicyNotFound(PolicyNotFound::NoAnnotation).into()),
    };
    let setup = fit(r.world(), r.deployment(), &policy.spec, &policy)?;
    Ok(Accepted { policy, setup })
}
