//! Events: one for each thing that happened, on the Rollout.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::{
    evidence::Evidence,
    failure::{Failure, FailureKind},
    withdrawal::Withdrawal,
};

/// What happened.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(EventKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The word of an [`EventReason`]: the reason of the Event.")]
#[strum_discriminants(allow(missing_docs))]
pub enum EventReason {
    /// No canary pod is ready, so its traffic returns to stable.
    CanaryUnready,
    /// The new version serves alone.
    Complete {
        /// The tag of its image.
        tag: String,
        /// Its revision.
        revision: String,
        /// How its pods came to be.
        ended: Ended,
    },
    /// An object carries a later epoch than the leader's own.
    EpochAhead {
        /// The object.
        object: String,
        /// The epoch that it carries.
        found: u64,
        /// The leader's.
        own: u64,
    },
    /// Steelyard no longer manages the Deployment.
    Left,
    /// The rollout can't start.
    NotAccepted {
        /// The message of condition Accepted.
        message: String,
    },
    /// The Deployment controller did not take the canary in time.
    NotAdopted,
    /// Remains of a rollout were found that the Rollout does not know.
    Orphaned,
    /// A gate opened.
    GateOpened {
        /// The step, counted from 1.
        step: usize,
        /// How many steps there are.
        of: usize,
        /// What opened it.
        opener: Opener,
    },
    /// A webhook did not approve.
    GateShut {
        /// The webhook.
        webhook: String,
        /// The step, counted from 1.
        step: usize,
        /// Which call it was, counted from 1.
        attempt: u32,
        /// Its answer.
        said: String,
    },
    /// A rollout begins.
    Preparing {
        /// The tag of the new version's image.
        tag: String,
        /// Its revision.
        revision: String,
        /// Whether it served before, and returns without steps.
        returning: bool,
    },
    /// The handover begins.
    Promoting(PromotedBy),
    /// The Deployment is no longer held.
    Released,
    /// The Deployment was resized during the handover.
    Resized,
    /// A rejected revision is tried again.
    Retrying {
        /// Who wants it.
        by: String,
        /// The revision.
        revision: String,
        /// Which try it is.
        attempt: u32,
    },
    /// The old version serves alone again.
    RolledBack {
        /// The sentence of the failure.
        failure: String,
        /// The revision.
        revision: String,
        /// Whether stable's template was written back.
        reverted: bool,
    },
    /// Traffic returns to stable after a failure.
    RollingBack {
        /// The failure.
        failure: Failure,
        /// The revision.
        revision: String,
    },
    /// Another client changed the route; the weight was written again.
    RouteRestored {
        /// The weight, in percent.
        weight: u8,
    },
    /// A template was pushed during a native rollout.
    Settling,
    /// A person wants the template rolled out natively.
    Skipped {
        /// Who.
        by: String,
    },
    /// A step passed.
    StepPassed {
        /// The step, counted from 1.
        step: usize,
        /// How many steps there are.
        of: usize,
    },
    /// A step ended without a verdict, as the policy says.
    StepUnmeasured {
        /// The step, counted from 1.
        step: usize,
        /// How many steps there are.
        of: usize,
        /// Why there is no verdict.
        why: Evidence,
    },
    /// A person left a step.
    StepSkipped {
        /// Who.
        by: String,
        /// The step, counted from 1.
        step: usize,
        /// How many steps there are.
        of: usize,
    },
    /// Admission changes the template of `ReplicaSets`.
    TemplateAltered,
    /// The canary gets another weight.
    WeightShifted {
        /// The weight, in percent.
        weight: u8,
    },
    /// Traffic returns to stable, because the revision is no longer wanted.
    Withdrawing {
        /// Why.
        withdrawal: Withdrawal,
        /// The revision.
        revision: String,
    },
}

/// How the pods that serve after a rollout came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// They are the ones that were measured.
    Measured,
    /// The Deployment controller started them.
    Native,
}

/// What opened a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The gate's own condition came true.
    Itself {
        /// The webhook, or the window.
        by: String,
        /// What the webhook answered.
        said: Option<String>,
    },
    /// A person promoted the step.
    Person {
        /// Who.
        by: String,
    },
}

/// Why the handover begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromotedBy {
    /// All steps passed.
    Steps,
    /// A person promoted it past all steps.
    Person {
        /// Who.
        by: String,
    },
}

impl EventReason {
    /// The reason for programs.
    pub fn word(&self) -> &'static str {
        EventKind::from(self).into()
    }

    /// Whether the Event is a warning.
    pub fn is_warning(&self) -> bool {
        match EventKind::from(self) {
            EventKind::CanaryUnready
            | EventKind::EpochAhead
            | EventKind::NotAccepted
            | EventKind::NotAdopted
            | EventKind::Orphaned
            | EventKind::GateShut
            | EventKind::Resized
            | EventKind::RolledBack
            | EventKind::RollingBack
            | EventKind::RouteRestored
            | EventKind::Settling
            | EventKind::Skipped
            | EventKind::TemplateAltered => true,
            EventKind::Complete
            | EventKind::Left
            | EventKind::GateOpened
            | EventKind::Preparing
            | EventKind::Promoting
            | EventKind::Released
            | EventKind::Retrying
            | EventKind::StepPassed
            | EventKind::StepUnmeasured
            | EventKind::StepSkipped
            | EventKind::WeightShifted
            | EventKind::Withdrawing => false,
        }
    }

    /// What is done, in one word. Events of one reason and one action are merged by the client library
    /// for six minutes, and keep their first message: what may happen twice has its step in the action.
    pub fn action(&self) -> String {
        match self {
            Self::CanaryUnready | Self::NotAdopted | Self::Resized => "TakeBack".to_owned(),
            Self::Complete { revision, .. } => format!("Complete{revision}"),
            Self::EpochAhead { .. } => "Doubt".to_owned(),
            Self::Left => "Leave".to_owned(),
            Self::NotAccepted { .. } => "Accept".to_owned(),
            Self::Orphaned => "SendHome".to_owned(),
            Self::GateOpened { step, .. }
            | Self::StepPassed { step, .. }
            | Self::StepUnmeasured { step, .. }
            | Self::StepSkipped { step, .. } => format!("PassStep{step}"),
            Self::GateShut { attempt, .. } => format!("Ask{attempt}"),
            Self::Preparing { revision, .. } => format!("Prepare{revision}"),
            Self::Promoting(_) => "Promote".to_owned(),
            Self::Released => "Release".to_owned(),
            Self::Retrying { revision, attempt, .. } => format!("Retry{revision}-{attempt}"),
            Self::RolledBack { revision, .. } => format!("RolledBack{revision}"),
            Self::RollingBack { revision, .. } => format!("RollBack{revision}"),
            Self::RouteRestored { weight } => format!("Restore{weight}"),
            Self::Settling => "Settle".to_owned(),
            Self::Skipped { .. } => "Skip".to_owned(),
            Self::TemplateAltered => "Prepare".to_owned(),
            Self::WeightShifted { weight } => format!("ShiftTo{weight}"),
            Self::Withdrawing { revision, .. } => format!("Withdraw{revision}"),
        }
    }
}

/// What ends each sentence about traffic that returns.
const BACK: &str = "all traffic goes back to stable";

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CanaryUnready => {
                f.write_str("no canary pod is ready: its traffic goes to stable until one is")
            }
            Self::Complete { tag, ended, .. } => write!(f, "{tag} serves; {ended}"),
            Self::EpochAhead { object, found, own } => write!(
                f,
                "{object} carries epoch {found} in steelyard.io/epoch, and Steelyard is at {own}: \
                 somebody else wrote that, and nothing is written here as long as it stands: remove it"
            ),
            Self::Left => f.write_str(
                "Steelyard no longer manages this Deployment; where it is paused, `kubectl rollout \
                 resume` rolls it natively",
            ),
            Self::NotAccepted { message } => f.write_str(message),
            Self::NotAdopted => f.write_str(
                "the Deployment controller did not take the canary's ReplicaSet as its own in time: \
                 trying again",
            ),
            Self::Orphaned => write!(f, "{}: {BACK}", Withdrawal::Orphaned),
            Self::GateOpened { step, of, opener: Opener::Itself { by, said } } => {
                write!(f, "the gate of step {step} of {of} was opened by {by}")?;
                said.iter().try_for_each(|said| write!(f, ": {said}"))
            }
            Self::GateOpened { step, of, opener: Opener::Person { by } } => {
                write!(f, "{by} promoted it past the gate, step {step} of {of}")
            }
            Self::GateShut { webhook, step, said, .. } => {
                write!(f, "webhook {webhook} does not let it past step {step}: {said}")
            }
            Self::Preparing { tag, revision, returning: false } => {
                write!(f, "{tag} is held; its canary {revision} is being made")
            }
            Self::Preparing { tag, revision, returning: true } => write!(
                f,
                "{tag} is held; it served not long ago, so it comes back in one switch, as {revision}"
            ),
            Self::Promoting(by) => {
                write!(f, "{by}: the canary's pods are being handed over to the Deployment")
            }
            Self::Released => {
                f.write_str("stable's template is in place again: the Deployment is no longer held")
            }
            Self::Resized => {
                f.write_str("the Deployment was resized in the moment of the handover, which begins anew")
            }
            Self::Retrying { by, revision, .. } => write!(f, "{by} wants {revision} tried again"),
            Self::RolledBack { failure, reverted: true, .. } => {
                write!(f, "{failure}; stable's template is written back")
            }
            Self::RolledBack { failure, reverted: false, .. } => {
                write!(f, "{failure}; the template stays held: push another, or the old one again")
            }
            Self::RollingBack { failure, .. } => write!(f, "{failure}: {BACK}"),
            Self::RouteRestored { weight } => {
                write!(f, "somebody else changed the route: the canary gets its {weight} % again")
            }
            Self::Settling => f.write_str(
                "a native rollout was on when this template was pushed: it is let to its end first",
            ),
            Self::Skipped { by } => {
                write!(f, "{by} wants the template rolled out natively, unmeasured")
            }
            Self::StepPassed { step, of } => write!(f, "step {step} of {of} passed"),
            Self::StepUnmeasured { step, of, why } => {
                write!(f, "step {step} of {of} ends without a verdict, as the policy says: {why}")
            }
            Self::StepSkipped { by, step, of } => {
                write!(f, "{by} promoted it past step {step} of {of}")
            }
            Self::TemplateAltered => f.write_str(
                "admission changes the template of ReplicaSets: the canary is measured, but it can't \
                 be handed over, so the Deployment controller will start pods of its own",
            ),
            Self::WeightShifted { weight } => write!(f, "the canary gets {weight} % of the traffic"),
            Self::Withdrawing { withdrawal, .. } => write!(f, "{withdrawal}: {BACK}"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measured => "its pods are the ones that were measured",
            Self::Native => "its pods were started by the Deployment controller",
        })
    }
}

impl fmt::Display for PromotedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => f.write_str("all steps passed"),
            Self::Person { by } => write!(f, "{by} promoted it past all steps"),
        }
    }
}

impl EventKind {
    /// What it means, and what helps.
    pub fn help(self) -> &'static str {
        match self {
            Self::CanaryUnready => {
                "No canary pod is ready, so none may get traffic. The rollout goes on once one is, or \
                 is rolled back at the deadline."
            }
            Self::Complete => "The new version serves alone, and all is as it was.",
            Self::EpochAhead => {
                "The mark of a later term of leadership than the present one: a former leader may have \
                 written it in its last moment, or a tool brought it back. Steelyard never writes \
                 against it."
            }
            Self::Left => "Steelyard has released the Deployment.",
            Self::NotAccepted => "A rollout can't start: see above.",
            Self::NotAdopted => "The Deployment controller was too slow or too busy; nothing was lost.",
            Self::Orphaned => "See above.",
            Self::GateOpened => "A step that waited for something else goes on.",
            Self::GateShut => {
                "A webhook did not say yes. It is called again, or the traffic is taken back, as the \
                 policy's `onRefusal` says."
            }
            Self::Preparing => "A rollout begins.",
            Self::Promoting => "The steps are over, or a person left them.",
            Self::Released => "The Deployment is as it was before the push.",
            Self::Resized => "The Deployment's replicas changed during the handover: it begins again.",
            Self::Retrying => "A person asked for another try of what was rolled back.",
            Self::RolledBack => "The old version serves alone again.",
            Self::RollingBack => "All traffic goes back to the old version, at once.",
            Self::RouteRestored => {
                "Another client, or a GitOps tool that applies the route again and again, took the \
                 weight off; Steelyard put it back."
            }
            Self::Settling => {
                "Two native versions were in the middle of a change when a template was pushed."
            }
            Self::Skipped => "A person had the template rolled out natively.",
            Self::StepPassed => "The step's time is over and every metric passed.",
            Self::StepUnmeasured => {
                "The policy's `onInconclusive` or `onError` says `continue`: the step ends though a \
                 metric has no verdict."
            }
            Self::StepSkipped => "A person left the step.",
            Self::TemplateAltered => {
                "A webhook or policy changes templates of ReplicaSets, not of Deployments. The rollout \
                 goes on; its end starts new pods."
            }
            Self::WeightShifted => "The route gives the canary this share.",
            Self::Withdrawing => "The revision is no longer wanted: see above for why.",
        }
    }

    /// One value for each sentence that it has, for the docs.
    pub fn examples(self) -> Vec<EventReason> {
        use EventReason as E;
        let (by, tag) = (|| "ann".to_owned(), || "v2".to_owned());
        let revision = || "0a86lw5tz".to_owned();
        let failure = || FailureKind::MetricFailed.examples().swap_remove(0);
        match self {
            Self::CanaryUnready => vec![E::CanaryUnready],
            Self::Complete => [Ended::Measured, Ended::Native]
                .map(|ended| E::Complete { tag: tag(), revision: revision(), ended })
                .into(),
            Self::EpochAhead => {
                vec![E::EpochAhead { object: "Service web".to_owned(), found: 9, own: 7 }]
            }
            Self::Left => vec![E::Left],
            Self::NotAccepted => {
                vec![E::NotAccepted { message: "the message of condition Accepted".to_owned() }]
            }
            Self::NotAdopted => vec![E::NotAdopted],
            Self::Orphaned => vec![E::Orphaned],
            Self::GateOpened => {
                let webhook = Opener::Itself { by: "webhook qa".to_owned(), said: Some("200 ok".to_owned()) };
                let window = Opener::Itself { by: "its window".to_owned(), said: None };
                [webhook, window, Opener::Person { by: by() }]
                    .map(|opener| E::GateOpened { step: 2, of: 4, opener })
                    .into()
            }
            Self::GateShut => vec![E::GateShut {
                webhook: "qa".to_owned(),
                step: 2,
                attempt: 1,
                said: "409 not yet".to_owned(),
            }],
            Self::Preparing => [false, true]
                .map(|returning| E::Preparing { tag: tag(), revision: revision(), returning })
                .into(),
            Self::Promoting => [PromotedBy::Steps, PromotedBy::Person { by: by() }].map(E::Promoting).into(),
            Self::Released => vec![E::Released],
            Self::Resized => vec![E::Resized],
            Self::Retrying => vec![E::Retrying { by: by(), revision: revision(), attempt: 2 }],
            Self::RolledBack => [false, true]
                .map(|reverted| E::RolledBack {
                    failure: failure().to_string(),
                    revision: revision(),
                    reverted,
                })
                .into(),
            Self::RollingBack => {
                vec![E::RollingBack { failure: failure(), revision: revision() }]
            }
            Self::RouteRestored => vec![E::RouteRestored { weight: 25 }],
            Self::Settling => vec![E::Settling],
            Self::Skipped => vec![E::Skipped { by: by() }],
            Self::StepPassed => vec![E::StepPassed { step: 2, of: 4 }],
            Self::StepUnmeasured => {
                vec![E::StepUnmeasured { step: 2, of: 4, why: Evidence::Deadline }]
            }
            Self::StepSkipped => vec![E::StepSkipped { by: by(), step: 2, of: 4 }],
            Self::TemplateAltered => vec![E::TemplateAltered],
            Self::WeightShifted => vec![E::WeightShifted { weight: 25 }],
            Self::Withdrawing => {
                vec![E::Withdrawing { withdrawal: Withdrawal::Superseded, revision: revision() }]
            }
        }
    }
}
