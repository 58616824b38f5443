//! Why a revision is withdrawn: it did nothing wrong, and is no longer wanted.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use crate::api::Cause;

/// Why a revision is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(name(WithdrawalKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The word of a [`Withdrawal`]: `status.history[].reason`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum Withdrawal {
    /// Two Deployments behind one Service began at once.
    Conflict {
        /// The Service.
        service: String,
        /// The Deployment that goes on.
        deployment: String,
    },
    /// Steelyard is to leave the Deployment.
    Left,
    /// The Rollout was deleted by force during a rollout.
    Orphaned,
    /// The held Deployment was resumed by another client.
    Released,
    /// A person wants it rolled out natively.
    Skipped {
        /// Who.
        by: String,
    },
    /// A newer template was pushed.
    Superseded,
    /// Stable's template was pushed again.
    Withdrawn,
}

impl Withdrawal {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        WithdrawalKind::from(self).into()
    }

    /// What it comes from: what follows depends on it.
    pub fn cause(&self) -> Cause {
        if matches!(self, Self::Skipped { .. }) { Cause::Skip } else { Cause::Withdrawal }
    }
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { service, deployment } => {
                write!(f, "Service {service} was claimed by Deployment {deployment} in the same moment")
            }
            Self::Left => f.write_str("Steelyard is asked to leave"),
            Self::Orphaned => f.write_str("a rollout was in flight that this Rollout knows nothing of"),
            Self::Released => f.write_str("the Deployment was resumed by somebody else"),
            Self::Skipped { by } => write!(f, "{by} wants it rolled out natively, unmeasured"),
            Self::Superseded => f.write_str("a newer template was pushed"),
            Self::Withdrawn => f.write_str("stable's template was pushed again"),
        }
    }
}

impl WithdrawalKind {
    /// What it means, and what helps.
    pub fn help(self) -> &'static str {
        match self {
            Self::Conflict => {
                "Two Deployments behind one Service began at once; the one that came under Steelyard \
                 first goes on."
            }
            Self::Left => "The annotation was taken off, or the Rollout or the Deployment is being deleted.",
            Self::Orphaned => {
                "The Rollout was deleted by force during a rollout; what it left behind was found, and \
                 its traffic returned to stable."
            }
            Self::Released => "The held Deployment was released by another client.",
            Self::Skipped => "A person wants it rolled out natively; the message says who.",
            Self::Superseded => "The newest template is tried; those between never serve.",
            Self::Withdrawn => "The Deployment is released; no pod starts.",
        }
    }

    /// One value for each sentence that it has, for the docs.
    pub fn examples(self) -> Vec<Withdrawal> {
        use Withdrawal as W;
        vec![match self {
            Self::Conflict => W::Conflict { service: "web".to_owned(), deployment: "shop".to_owned() },
            Self::Left => W::Left,
            Self::Orphaned => W::Orphaned,
            Self::Released => W::Released,
            Self::Skipped => W::Skipped { by: "ann".to_owned() },
            Self::Superseded => W::Superseded,
            Self::Withdrawn => W::Withdrawn,
        }]
    }
}
