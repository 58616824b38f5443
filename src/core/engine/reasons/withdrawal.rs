//! Why a revision is withdrawn: it did not fail, but is no longer wanted.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use crate::api::Cause;

/// Why a revision is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(name(WithdrawalKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The kind of a [`Withdrawal`]: `status.history[].reason`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum Withdrawal {
    /// Two Deployments that share a Service started rollouts at the same time.
    Conflict {
        /// The Service.
        service: String,
        /// The Deployment that continues.
        deployment: String,
    },
    /// Steelyard no longer manages the Deployment.
    Left,
    /// The Rollout was deleted by force during a rollout.
    Orphaned,
    /// The held Deployment was resumed by another client.
    Resumed,
    /// A person asked for a native rollout.
    Skipped {
        /// Who.
        by: String,
    },
    /// A newer template was pushed.
    Superseded,
    /// A later version of Steelyard wrote a phase that this one does not know.
    UnknownPhase,
    /// Stable's template was pushed again.
    StableTemplate,
}

impl Withdrawal {
    /// Returns the reason, in one word.
    pub fn word(&self) -> &'static str {
        WithdrawalKind::from(self).into()
    }

    /// Returns the cause, which decides what follows.
    pub fn cause(&self) -> Cause {
        if matches!(self, Self::Skipped { .. }) { Cause::Skip } else { Cause::Withdrawal }
    }
}

impl fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { service, deployment } => {
                write!(
                    f,
                    "Deployment {deployment} claimed Service {service} at the same time and has \
                     precedence"
                )
            }
            Self::Left => {
                f.write_str("the annotation was removed, or the Rollout or the Deployment is being deleted")
            }
            Self::Orphaned => {
                f.write_str("objects of a rollout exist that the Rollout's status does not record")
            }
            Self::Resumed => f.write_str("another client resumed the Deployment"),
            Self::Skipped { by } => write!(f, "{by} asked for a native rollout without analysis"),
            Self::Superseded => f.write_str("a newer template was pushed"),
            Self::UnknownPhase => {
                f.write_str("a later version of Steelyard wrote a phase that this one does not know")
            }
            Self::StableTemplate => f.write_str("stable's template was pushed again"),
        }
    }
}

impl WithdrawalKind {
    /// Returns the meaning and the fix, for the docs.
    pub fn help(self) -> &'static str {
        match self {
            Self::Conflict => {
                "Two Deployments that share a Service started rollouts at the same time; the one that \
                 was adopted first continues."
            }
            Self::Left => "Steelyard no longer manages the Deployment.",
            Self::Orphaned => {
                "The Rollout was deleted by force during a rollout. Its objects were found, and \
                 traffic returned to stable."
            }
            Self::Resumed => {
                "Another client resumed the held Deployment or removed its label `steelyard.io/held`."
            }
            Self::Skipped => "A person asked for a native rollout; the message names the person.",
            Self::Superseded => {
                "Only the newest template is rolled out; the templates pushed before it never serve."
            }
            Self::UnknownPhase => {
                "Steelyard was downgraded during a rollout. The older version rolls out the next push."
            }
            Self::StableTemplate => "The Deployment is released (unpaused and unlabeled); no pod starts.",
        }
    }

    /// Returns one value per message, for the docs.
    pub fn examples(self) -> Vec<Withdrawal> {
        use Withdrawal as W;
        vec![match self {
            Self::Conflict => W::Conflict { service: "web".to_owned(), deployment: "shop".to_owned() },
            Self::Left => W::Left,
            Self::Orphaned => W::Orphaned,
            Self::Resumed => W::Resumed,
            Self::Skipped => W::Skipped { by: "ann".to_owned() },
            Self::Superseded => W::Superseded,
            Self::UnknownPhase => W::UnknownPhase,
            Self::StableTemplate => W::StableTemplate,
        }]
    }
}
