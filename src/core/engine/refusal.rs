//! Why a rollout can't start. Each refusal names what is wrong, where, and the cure.

use crate::{
    api::{self, RolloutPolicySpec},
    engine::Policy,
    policy::{Fault, Valid, valid},
};

/// Why a rollout can't start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word, the reason of `Accepted=False`.
    pub reason: &'static str,
    /// What is wrong, where, and what helps; at most 1 KiB.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Reads the policy that the annotation names, or says all that is wrong with it.
pub(super) fn policy(policy: &Policy) -> Result<(Valid, &RolloutPolicySpec), Refusal> {
    match policy {
        Policy::Found(spec) => match valid(spec) {
            Ok(valid) => Ok((valid, spec)),
            Err(faults) => Err(Refusal::new(Fault::reason(&faults), Fault::joined(&faults))),
        },
        Policy::Missing(name) => {
            let kind = if name.starts_with("cluster/") {
                "ClusterRolloutPolicy of this name"
            } else {
                "RolloutPolicy of this name in the namespace"
            };
            let why = format!(
                "policy {name}: there is no {kind}: create it, or name another in annotation {} of the Deployment",
                api::POLICY
            );
            Err(Refusal::new("PolicyNotFound", why))
        }
        Policy::Unreadable(why) => Err(Refusal::new("PolicyInvalid", why.clone())),
        Policy::Unnamed => {
            Err(Refusal::new("PolicyNotFound", format!("there is no annotation {}", api::POLICY)))
        }
    }
}
