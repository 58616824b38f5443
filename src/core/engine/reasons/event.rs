//! Events: one for each thing that happened, on the Rollout.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::{
    evidence::{Evidence, Lack},
    failure::FailureKind,
    newer_epoch::NewerEpoch,
    withdrawal::Withdrawal,
};
use crate::{analysis::Miss, api::EPOCH, engine::written::RefusedWrite, traffic::Weight};

/// What happened.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(EventKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The kind of an [`EventReason`]: the reason of the Event.")]
#[strum_discriminants(allow(missing_docs))]
pub enum EventReason {
    /// No canary pod is ready, so its traffic returns to stable.
    CanaryUnready,
    /// The new version serves all traffic.
    Complete {
        /// The tag of its image.
        tag: String,
        /// Its revision.
        revision: String,
        /// Where its pods come from.
        ended: Ended,
    },
    /// A dry-run metric would have rolled back.
    DryRunFailed {
        /// The metric.
        metric: String,
        /// How its last result missed its criterion.
        miss: Miss,
        /// Where the rollout is.
        during: During,
        /// The revision.
        revision: String,
    },
    /// An object has a later epoch than the leader.
    NewerEpoch(NewerEpoch),
    /// Steelyard no longer manages the Deployment.
    Left,
    /// The rollout can't start.
    NotAccepted {
        /// The message of condition Accepted.
        message: String,
    },
    /// The Deployment controller did not use the transferred canary in time.
    HandoverRetried,
    /// Objects of a rollout were found that the Rollout's status does not record.
    Orphaned,
    /// A gate opened.
    GateOpened {
        /// The step, counted from 1.
        step: usize,
        /// The number of steps.
        of: usize,
        /// What opened it.
        opener: Opener,
    },
    /// A webhook did not approve.
    GateNotApproved {
        /// The webhook.
        webhook: String,
        /// The step, counted from 1.
        step: usize,
        /// The attempt, counted from 1.
        attempt: u32,
        /// Its answer.
        response: String,
    },
    /// A rollout starts.
    Preparing {
        /// The tag of the new version's image.
        tag: String,
        /// Its revision.
        revision: String,
        /// Whether it was stable before, and returns without steps.
        returning: bool,
    },
    /// The handover starts.
    Promoting(PromotedBy),
    /// The Deployment is no longer held.
    Released,
    /// The Deployment was resized during the handover.
    Resized,
    /// A person retries a rejected revision.
    Retrying {
        /// Who.
        by: String,
        /// The revision.
        revision: String,
        /// The number of the attempt.
        attempt: u32,
    },
    /// Stable serves all traffic again.
    RolledBack {
        /// The message of the failure.
        failure: String,
        /// The revision.
        revision: String,
        /// Whether stable's template was written back.
        reverted: bool,
    },
    /// Traffic returns to stable after a failure.
    RollingBack {
        /// The message of the failure.
        failure: String,
        /// The revision.
        revision: String,
    },
    /// Another client changed the route; the weight was written again.
    RouteRestored {
        /// The weight.
        weight: Weight,
    },
    /// A template was pushed during a native rollout.
    Settling {
        /// The `ReplicaSet` that is kept.
        kept: String,
    },
    /// A person asked for a native rollout.
    Skipped {
        /// Who.
        by: String,
    },
    /// An intent that a person set has no effect.
    IntentIgnored {
        /// Its field in `spec`.
        intent: String,
        /// Why.
        why: Ignored,
    },
    /// Stable can't carry the traffic.
    StableLost(Lack),
    /// A step passed.
    StepPassed {
        /// The step, counted from 1.
        step: usize,
        /// The number of steps.
        of: usize,
    },
    /// A step ended without a verdict, as the policy says.
    StepInconclusive {
        /// The step, counted from 1.
        step: usize,
        /// The number of steps.
        of: usize,
        /// Why there is no verdict.
        why: Evidence,
    },
    /// A person promoted the rollout past a step.
    StepSkipped {
        /// Who.
        by: String,
        /// The step, counted from 1.
        step: usize,
        /// The number of steps.
        of: usize,
    },
    /// Admission changes the template of `ReplicaSets`.
    TemplateAltered,
    /// The canary's weight changed.
    WeightShifted {
        /// The weight.
        weight: Weight,
    },
    /// Traffic returns to stable, because the revision is no longer wanted.
    Withdrawing {
        /// Why.
        withdrawal: Withdrawal,
        /// The revision.
        revision: String,
    },
    /// The API server, or an admission policy, refuses a write.
    WriteRefused(RefusedWrite),
}

/// The part of a rollout in which a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum During {
    /// In a step.
    Step {
        /// The step, counted from 1.
        step: usize,
        /// The number of steps.
        of: usize,
    },
    /// After its last step.
    Handover,
}

/// Where the pods of a completed rollout come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// They are the measured pods.
    Measured,
    /// The Deployment controller started them.
    Native,
}

/// What opened a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The gate's condition became true.
    Itself {
        /// The webhook, or the window.
        by: String,
        /// The webhook's answer.
        response: Option<String>,
    },
    /// A person promoted the step.
    Person {
        /// Who.
        by: String,
    },
}

/// Why the handover starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromotedBy {
    /// All steps passed.
    Steps,
    /// A person promoted the rollout past all steps.
    Person {
        /// Who.
        by: String,
    },
    /// The canary is the only version that serves.
    Alone(Lack),
}

impl EventReason {
    /// Returns the reason, in one word.
    pub fn word(&self) -> &'static str {
        EventKind::from(self).into()
    }

    /// Returns whether the Event is a warning.
    pub fn is_warning(&self) -> bool {
        match EventKind::from(self) {
            EventKind::CanaryUnready
            | EventKind::DryRunFailed
            | EventKind::NewerEpoch
            | EventKind::NotAccepted
            | EventKind::HandoverRetried
            | EventKind::Orphaned
            | EventKind::GateNotApproved
            | EventKind::Resized
            | EventKind::RolledBack
            | EventKind::RollingBack
            | EventKind::RouteRestored
            | EventKind::Settling
            | EventKind::StableLost
            | EventKind::IntentIgnored
            | EventKind::Skipped
            | EventKind::TemplateAltered
            | EventKind::WriteRefused => true,
            EventKind::Complete
            | EventKind::Left
            | EventKind::GateOpened
            | EventKind::Preparing
            | EventKind::Promoting
            | EventKind::Released
            | EventKind::Retrying
            | EventKind::StepPassed
            | EventKind::StepInconclusive
            | EventKind::StepSkipped
            | EventKind::WeightShifted
            | EventKind::Withdrawing => false,
        }
    }

    /// Returns the action, one word.
    pub fn action(&self) -> &'static str {
        match EventKind::from(self) {
            EventKind::CanaryUnready | EventKind::HandoverRetried | EventKind::Resized => "ReturnTraffic",
            EventKind::Complete => "Complete",
            EventKind::DryRunFailed => "Measure",
            EventKind::NewerEpoch => "CheckEpoch",
            EventKind::Left => "Leave",
            EventKind::NotAccepted => "Accept",
            EventKind::Orphaned | EventKind::Withdrawing => "Withdraw",
            EventKind::GateOpened
            | EventKind::StepPassed
            | EventKind::StepInconclusive
            | EventKind::StepSkipped => "PassStep",
            EventKind::GateNotApproved => "CallWebhook",
            EventKind::Preparing | EventKind::TemplateAltered => "Prepare",
            EventKind::Promoting => "Promote",
            EventKind::Released => "Release",
            EventKind::Retrying => "Retry",
            EventKind::RolledBack | EventKind::RollingBack => "RollBack",
            EventKind::RouteRestored => "RestoreRoute",
            EventKind::Settling => "Settle",
            EventKind::StableLost => "Scale",
            EventKind::IntentIgnored => "IgnoreIntent",
            EventKind::Skipped => "Skip",
            EventKind::WeightShifted => "ShiftWeight",
            EventKind::WriteRefused => "Write",
        }
    }
}

/// The end of each message about traffic that returns.
const BACK: &str = "all traffic returns to stable";

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CanaryUnready => {
                f.write_str("no canary pod is ready: all traffic returns to stable until one is")
            }
            Self::Complete { tag, ended, .. } => write!(f, "{tag} serves all traffic; {ended}"),
            Self::DryRunFailed { metric, miss, during, .. } => {
                write!(f, "metric {metric} {miss}: without dryRun, it would roll back {during}")
            }
            Self::NewerEpoch(newer) => newer.fmt(f),
            Self::Left => f.write_str(
                "Steelyard no longer manages this Deployment; if it is paused, `kubectl rollout \
                 resume` rolls it out natively",
            ),
            Self::NotAccepted { message } => f.write_str(message),
            Self::HandoverRetried => f.write_str(
                "the Deployment controller did not use the canary's ReplicaSet as the new one in \
                 time: trying again",
            ),
            Self::Orphaned => write!(f, "{}: {BACK}", Withdrawal::Orphaned),
            Self::GateOpened { step, of, opener: Opener::Itself { by, response } } => {
                write!(f, "the gate of step {step} of {of} was opened by {by}")?;
                response.iter().try_for_each(|response| write!(f, ": {response}"))
            }
            Self::GateOpened { step, of, opener: Opener::Person { by } } => {
                write!(f, "{by} promoted the rollout past the gate of step {step} of {of}")
            }
            Self::GateNotApproved { webhook, step, response, .. } => {
                write!(f, "webhook {webhook} did not approve step {step}: {response}")
            }
            Self::Preparing { tag, revision, returning: false } => {
                write!(f, "{tag} is held; its canary {revision} is being created")
            }
            Self::Preparing { tag, revision, returning: true } => write!(
                f,
                "{tag} is held; it was stable within rollbackWindow, so it returns in one step, as \
                 {revision}"
            ),
            Self::Promoting(by) => {
                write!(f, "{by}: the canary's pods are being handed over to the Deployment")
            }
            Self::Released => f.write_str("the Deployment has stable's template again and is no longer held"),
            Self::Resized => f.write_str("the Deployment was scaled during the handover, which starts again"),
            Self::Retrying { by, revision, .. } => write!(f, "{by} retries revision {revision}"),
            Self::RolledBack { failure, reverted: true, .. } => {
                write!(f, "{failure}; stable's template was written back")
            }
            Self::RolledBack { failure, reverted: false, .. } => {
                write!(f, "{failure}; the template stays held: push another one, or stable's template again")
            }
            Self::RollingBack { failure, .. } => write!(f, "{failure}: {BACK}"),
            Self::RouteRestored { weight } => {
                write!(f, "another client changed the route: the canary's weight is {weight} again")
            }
            Self::StableLost(lost) => {
                write!(f, "{lost}: the canary serves as soon as it is ready, and is scaled to full size")
            }
            Self::IntentIgnored { intent, why } => write!(f, "spec.{intent} has no effect: {why}"),
            Self::Settling { kept } => write!(
                f,
                "this template was pushed during a native rollout: ReplicaSet {kept} gets the pods of \
                 the other versions first"
            ),
            Self::Skipped { by } => {
                write!(f, "{by} asked for a native rollout of the template, without analysis")
            }
            Self::StepPassed { step, of } => write!(f, "step {step} of {of} passed"),
            Self::StepInconclusive { step, of, why } => {
                write!(f, "step {step} of {of} ended without a verdict, as the policy allows: {why}")
            }
            Self::StepSkipped { by, step, of } => {
                write!(f, "{by} promoted the rollout past step {step} of {of}")
            }
            Self::TemplateAltered => f.write_str(
                "admission changes the template of ReplicaSets, so the canary can't be handed over: \
                 after the steps, the Deployment controller starts its own pods",
            ),
            Self::WeightShifted { weight } => write!(f, "the canary gets {weight} of the traffic"),
            Self::Withdrawing { withdrawal, .. } => write!(f, "{withdrawal}: {BACK}"),
            Self::WriteRefused(write) => write.fmt(f),
        }
    }
}

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { step, of } => write!(f, "the rollout in step {step} of {of}"),
            Self::Handover => f.write_str("the rollout in its handover"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measured => "its pods are the ones that were measured",
            Self::Native => "the Deployment controller started its pods",
        })
    }
}

/// Why an intent has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It names another template than the Deployment's.
    OtherTemplate,
    /// No template is held, and no rollout is in progress.
    NothingHeld,
    /// The traffic returns to stable, or has returned.
    RolledBack,
    /// The canary has all traffic, or is handed over.
    HandedOver,
    /// The rollout is at another step.
    OtherStep,
    /// The revision was not rolled back.
    NotRolledBack,
    /// This attempt, or a later one, was made.
    OldAttempt,
    /// No other version serves.
    Alone,
}

impl Ignored {
    /// All values, for the docs.
    const EXAMPLES: [Self; 8] = [
        Self::OtherTemplate,
        Self::NothingHeld,
        Self::RolledBack,
        Self::HandedOver,
        Self::OtherStep,
        Self::NotRolledBack,
        Self::OldAttempt,
        Self::Alone,
    ];
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherTemplate => "it names another template than the Deployment has",
            Self::NothingHeld => "no template of the Deployment is held",
            Self::RolledBack => "the revision is rolled back; set spec.retry to try it again",
            Self::HandedOver => "the canary is being handed over",
            Self::OtherStep => "the rollout is at another step",
            Self::NotRolledBack => "the revision was not rolled back",
            Self::OldAttempt => "its attempt was made: set one more than status.attempt",
            Self::Alone => "no other version of the Deployment serves",
        })
    }
}

impl fmt::Display for PromotedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => f.write_str("all steps passed"),
            Self::Person { by } => write!(f, "{by} promoted the rollout past all steps"),
            Self::Alone(lost) => write!(f, "{lost}, so the canary is the only version that serves"),
        }
    }
}

impl EventKind {
    /// Returns the meaning and the fix, for the docs.
    pub fn help(self) -> &'static str {
        match self {
            Self::CanaryUnready => {
                "Without a ready pod the canary gets no traffic. The rollout continues once a pod is \
                 ready, or rolls back at the deadline."
            }
            Self::Complete => "The new version serves all traffic; routes and Services are restored.",
            Self::DryRunFailed => {
                "A metric with `dryRun: true` missed its criterion more often than its limits allow. \
                 It is reported once per step, and the rollout continues."
            }
            Self::NewerEpoch => {
                "The object has a later leadership epoch than the current one, from a former leader \
                 or another tool. Steelyard does not write to the rollout's objects until the label \
                 or annotation `steelyard.io/epoch`, or the field `status.epoch` of the Rollout, is \
                 removed."
            }
            Self::Left => "Steelyard has released the Deployment.",
            Self::NotAccepted => "A rollout can't start: see the reasons of `Accepted=False` above.",
            Self::HandoverRetried => "The Deployment controller was too slow or too busy; nothing was lost.",
            Self::Orphaned => "See the withdrawal reason of the same name above.",
            Self::GateOpened => "The gate is open, and the rollout continues.",
            Self::GateNotApproved => {
                "A webhook did not approve. It is called again, or the rollout rolls back, as the \
                 policy's `onRefusal` says."
            }
            Self::Preparing => "A rollout starts.",
            Self::Promoting => "The steps are over, or a person promoted the rollout past them.",
            Self::Released => "The Deployment is released (unpaused and unlabeled), as before the push.",
            Self::Resized => "The Deployment's replicas changed during the handover, which starts again.",
            Self::Retrying => "A person retries a revision that was rolled back.",
            Self::RolledBack => "Stable serves all traffic again.",
            Self::RollingBack => "All traffic returns to stable at once.",
            Self::RouteRestored => {
                "Another client, such as a GitOps tool that keeps applying the route, changed the \
                 weight; Steelyard restored it."
            }
            Self::Settling => "A template was pushed while a native rollout was in progress.",
            Self::StableLost => {
                "Stable's ReplicaSet was deleted, none of its pods is available, or the Service no longer \
                 selects them. The first ready version serves."
            }
            Self::IntentIgnored => {
                "A person set an intent that can't act now, or that names another template. \
                 `kubectl steelyard` refuses such intents before it sets them."
            }
            Self::Skipped => "A person asked for a native rollout of the template.",
            Self::StepPassed => "The step's `duration` is over and every metric passed.",
            Self::StepInconclusive => {
                "The policy has `onInconclusive: Continue` or `onError: Continue`: the step ends \
                 although a metric has no verdict."
            }
            Self::StepSkipped => "A person promoted the rollout past the step.",
            Self::TemplateAltered => {
                "A webhook or policy changes templates of ReplicaSets but not of Deployments. The \
                 rollout continues, and new pods start at its end."
            }
            Self::WeightShifted => "The route gives the canary this weight.",
            Self::WriteRefused => {
                "The API server or an admission policy refuses a write: see the wait reason of the same \
                 name above."
            }
            Self::Withdrawing => "The revision is no longer wanted: see the withdrawal reasons above.",
        }
    }

    /// Returns one value per message, for the docs.
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
            Self::DryRunFailed => [During::Step { step: 2, of: 4 }, During::Handover]
                .map(|during| {
                    let (metric, miss) = ("success-rate".to_owned(), Miss::Below { value: 0.89, min: 0.99 });
                    E::DryRunFailed { metric, miss, during, revision: revision() }
                })
                .into(),
            Self::NewerEpoch => {
                let object = "Service web".to_owned();
                vec![E::NewerEpoch(NewerEpoch { object, field: EPOCH, found: 9, own: 7 })]
            }
            Self::Left => vec![E::Left],
            Self::NotAccepted => {
                vec![E::NotAccepted { message: "the message of condition Accepted".to_owned() }]
            }
            Self::HandoverRetried => vec![E::HandoverRetried],
            Self::Orphaned => vec![E::Orphaned],
            Self::GateOpened => {
                let webhook =
                    Opener::Itself { by: "webhook qa".to_owned(), response: Some("200 ok".to_owned()) };
                let window = Opener::Itself { by: "its window".to_owned(), response: None };
                [webhook, window, Opener::Person { by: by() }]
                    .map(|opener| E::GateOpened { step: 2, of: 4, opener })
                    .into()
            }
            Self::GateNotApproved => vec![E::GateNotApproved {
                webhook: "qa".to_owned(),
                step: 2,
                attempt: 1,
                response: "409 not yet".to_owned(),
            }],
            Self::Preparing => [false, true]
                .map(|returning| E::Preparing { tag: tag(), revision: revision(), returning })
                .into(),
            Self::Promoting => {
                [PromotedBy::Steps, PromotedBy::Person { by: by() }, PromotedBy::Alone(Lack::Gone)]
                    .map(E::Promoting)
                    .into()
            }
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
                vec![E::RollingBack { failure: failure().to_string(), revision: revision() }]
            }
            Self::RouteRestored => vec![E::RouteRestored { weight: Weight::percent(25) }],
            Self::StableLost => Lack::examples().map(E::StableLost).into(),
            Self::IntentIgnored => {
                Ignored::EXAMPLES.map(|why| E::IntentIgnored { intent: "retry".to_owned(), why }).into()
            }
            Self::Settling => vec![E::Settling { kept: "web-5d8c9b7f4".to_owned() }],
            Self::Skipped => vec![E::Skipped { by: by() }],
            Self::StepPassed => vec![E::StepPassed { step: 2, of: 4 }],
            Self::StepInconclusive => {
                vec![E::StepInconclusive { step: 2, of: 4, why: Evidence::Deadline }]
            }
            Self::StepSkipped => vec![E::StepSkipped { by: by(), step: 2, of: 4 }],
            Self::TemplateAltered => vec![E::TemplateAltered],
            Self::WeightShifted => vec![E::WeightShifted { weight: Weight::percent(25) }],
            Self::WriteRefused => vec![E::WriteRefused(RefusedWrite::example())],
            Self::Withdrawing => {
                vec![E::Withdrawing { withdrawal: Withdrawal::Superseded, revision: revision() }]
            }
        }
    }
}
