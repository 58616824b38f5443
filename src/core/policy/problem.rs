//! The errors that a policy can have: a message for users, and help for the docs.

use std::fmt;

use serde::Serialize;
use strum::{EnumDiscriminants, EnumIter};

use super::query::{QueryError, names};
use crate::{analysis::ThresholdError, traffic::Weight};

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sort {
    /// An unknown field.
    UnknownField,
    /// A required value is missing.
    Missing,
    /// An invalid value.
    Invalid,
    /// A valid value that is seldom intended.
    Warning,
}

/// An error of a field, in the order of the policy's fields.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(ProblemKind), derive(EnumIter))]
#[strum_discriminants(doc = "The kinds of [`Problem`].")]
#[strum_discriminants(allow(missing_docs))]
pub enum Problem {
    /// None of several fields is set.
    NoneOf {
        /// The fields.
        fields: &'static str,
    },
    /// Several fields are set that exclude each other.
    SeveralOf {
        /// The fields.
        fields: &'static str,
        /// How many are set.
        set: usize,
    },
    /// No step, or too many.
    StepCount(usize),
    /// No step has a weight.
    NoWeight,
    /// A weight of zero.
    WeightZero,
    /// A weight that is not above the one before it.
    WeightNotRising {
        /// The weight.
        weight: Weight,
        /// The one before it.
        before: Weight,
    },
    /// A weight that needs a router.
    WeightByPods,
    /// A gate with a duration.
    GateWithDuration,
    /// A window without days.
    NoDays,
    /// Not a day.
    Day(String),
    /// Not a time of the day.
    From(String),
    /// Not a time of the day, nor 24:00.
    To(String),
    /// A window without a length.
    EmptyWindow,
    /// Not a time zone.
    TimeZone(String),
    /// A webhook without a name.
    NoWebhook,
    /// Retries without `onRefusal: RollBack`.
    RetriesWithoutRollBack,
    /// Replicas of a step without a weight.
    ReplicasWithoutWeight,
    /// Replicas without a router, where they follow from the weight.
    ReplicasByPods,
    /// Fewer replicas than the weight needs.
    ReplicasBelowWeight {
        /// The percentage of the Deployment's replicas.
        percent: u8,
        /// The weight.
        weight: Weight,
    },
    /// Fewer replicas than a step before.
    ReplicasFalling {
        /// The percentage of the Deployment's replicas.
        percent: u8,
        /// That of the step before.
        before: u8,
    },
    /// Not a percentage.
    Percentage,
    /// A rollback window without fields.
    NoRollbackWindow,
    /// Not a number of revisions.
    Revisions,
    /// A route that is listed twice.
    RouteTwice(String),
    /// A negative duration.
    Negative,
    /// A deadline of zero.
    DeadlineZero,
    /// The name of a metric is not unique.
    MetricNameTaken(String),
    /// A required text is empty.
    EmptyField,
    /// A minimum of zero measurements.
    NoMeasurements,
    /// An invalid threshold.
    Threshold(ThresholdError),
    /// An invalid query.
    Query(QueryError),
    /// A query that measures both versions.
    BothVersions,
}

impl Problem {
    /// The kind of an error.
    pub fn sort(&self) -> Sort {
        match self {
            Self::NoneOf { .. }
            | Self::NoWeight
            | Self::NoDays
            | Self::NoWebhook
            | Self::NoRollbackWindow
            | Self::EmptyField
            | Self::Threshold(ThresholdError::Unbounded) => Sort::Missing,
            _ => Sort::Invalid,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneOf { fields } => write!(f, "set exactly one of {fields}; none is"),
            Self::SeveralOf { fields, set } => write!(f, "set exactly one of {fields}; {set} are"),
            Self::StepCount(count) => write!(f, "must have 1 to 32 items, not {count}"),
            Self::NoWeight => f.write_str("at least one step needs a weight"),
            Self::WeightZero => f.write_str("must be more than 0%"),
            Self::WeightNotRising { weight, before } => {
                write!(f, "weights must rise from step to step: {weight} is not above {before}")
            }
            Self::WeightByPods => f.write_str(
                "without a router the weight must be at most 50, or 100: the share is the share of the \
                 pods, and stable keeps all of its pods",
            ),
            Self::GateWithDuration => f.write_str("a gate has no duration: it lasts until it opens"),
            Self::NoDays => f.write_str("name at least one day"),
            Self::Day(text) => write!(
                f,
                "must be one of Mon, Tue, Wed, Thu, Fri, Sat, Sun, or a range of two such as Mon-Fri, \
                 not {text:?}"
            ),
            Self::From(text) => write!(f, "must be a time of the day, HH:MM, in quotes, not {text:?}"),
            Self::To(text) => {
                write!(f, "must be a time of the day, HH:MM or 24:00, in quotes, not {text:?}")
            }
            Self::EmptyWindow => f.write_str("from and to must differ; a whole day is from 00:00 to 24:00"),
            Self::TimeZone(text) => {
                write!(f, "must be an IANA time zone such as Europe/Berlin or UTC, not {text:?}")
            }
            Self::NoWebhook => f.write_str("must be the name of an endpoint in Steelyard's configuration"),
            Self::RetriesWithoutRollBack => f.write_str("retries requires onRefusal: RollBack"),
            Self::ReplicasWithoutWeight => f.write_str("replicas requires a weight"),
            Self::ReplicasByPods => {
                f.write_str("without a router the number of pods follows from the weight: remove it")
            }
            Self::ReplicasBelowWeight { percent, weight } => write!(
                f,
                "{percent}% of the replicas can't serve {weight} of the traffic: set at least the \
                 percentage of the weight, or remove it"
            ),
            Self::ReplicasFalling { percent, before } => write!(
                f,
                "{percent}% is less than the {before}% of a step before: the canary would lose pods while \
                 it has traffic; set at least {before}%, or remove it"
            ),
            Self::Percentage => f.write_str("must be a percentage from 1% to 100%"),
            Self::NoRollbackWindow => f.write_str("set revisions, within, or both"),
            Self::Revisions => f.write_str("must be from 1 to 10"),
            Self::RouteTwice(name) => write!(f, "{name} is listed twice"),
            Self::Negative => f.write_str("must not be negative"),
            Self::DeadlineZero => f.write_str("must be longer than 0s"),
            Self::MetricNameTaken(name) => {
                write!(f, "the name must be unique: another metric is named {name}")
            }
            Self::EmptyField => f.write_str("must not be empty"),
            Self::NoMeasurements => f.write_str("must be at least 1"),
            Self::Threshold(error) => error.fmt(f),
            Self::Query(error @ QueryError::Unknown { .. }) => {
                write!(f, "{error}; the variables are {}", names().collect::<Vec<_>>().join(", "))
            }
            Self::Query(error) => error.fmt(f),
            Self::BothVersions => f.write_str(
                "the query uses none of $canary_pods, $canary_hash and $canary_service, so it measures \
                 both versions: add one of them, or set scope: Deployment",
            ),
        }
    }
}

impl ProblemKind {
    /// Returns the meaning and the fix.
    pub fn help(self) -> &'static str {
        match self {
            Self::NoneOf => "Exactly one of these fields is required.",
            Self::SeveralOf => "Only one of these fields can be set.",
            Self::StepCount => "A policy has 1 to 32 steps.",
            Self::NoWeight => "Without a weight, no step would move traffic.",
            Self::WeightZero => "Each step gives the canary a share of the traffic.",
            Self::WeightNotRising => "Each step gives the canary more than the one before it.",
            Self::WeightByPods => {
                "With `traffic.serviceSelector` the canary gets at most as many pods as stable, which is half \
                 of the traffic. The next step is the switch of all traffic."
            }
            Self::GateWithDuration => "Remove `duration`, or move it to a step with a weight.",
            Self::NoDays => "A window without days never opens.",
            Self::Day => "Days are the first three letters of their English names: `Mon`, `Sat-Sun`.",
            Self::From => "Such as `\"09:00\"`: two digits, a colon, two digits.",
            Self::To => "Such as `\"16:00\"`; `\"24:00\"` is the end of the day.",
            Self::EmptyWindow => {
                "A window without a length never opens. A window whose `to` is before `from` ends on the next day."
            }
            Self::TimeZone => {
                "Abbreviations such as CET do not define when clocks change: use the name of a city in the zone."
            }
            Self::NoWebhook => "`webhook.name` is empty.",
            Self::RetriesWithoutRollBack => {
                "With `onRefusal: Wait` the webhook is called until it approves, so it needs no limit."
            }
            Self::ReplicasWithoutWeight => {
                "`replicas` sets the number of pods for the weight of the same step."
            }
            Self::ReplicasByPods => {
                "With `traffic.serviceSelector` the number of pods follows from the weight."
            }
            Self::ReplicasBelowWeight => {
                "Each pod of the canary would get more traffic than a pod of the Deployment is made for."
            }
            Self::ReplicasFalling => "The canary grows from step to step, as its weight does.",
            Self::Percentage => "Such as `50%`, of the Deployment's replicas.",
            Self::NoRollbackWindow => "`rollbackWindow` needs a limit.",
            Self::Revisions => "`rollbackWindow.revisions` is the number of revisions that served last.",
            Self::RouteTwice => "A route is listed twice.",
            Self::Negative => "A duration is below zero.",
            Self::DeadlineZero => "With a deadline of 0s every rollout would be rolled back at once.",
            Self::MetricNameTaken => "Status and history identify metrics by name.",
            Self::EmptyField => "The field is required.",
            Self::NoMeasurements => "A step without measurements could pass unmeasured.",
            Self::Threshold => "A threshold needs a bound, and at least one value must be within its bounds.",
            Self::Query => {
                "A query is `PromQL` that returns one number: wrap a range in a function such as `rate(...)`. \
                 `$` is special only before the name of a variable."
            }
            Self::BothVersions => {
                "A query that measures both versions hides the errors of the canary among the requests of stable."
            }
        }
    }

    /// Returns one value for each message, for the docs.
    pub fn examples(self) -> Vec<Problem> {
        use Problem as P;
        match self {
            Self::NoneOf => vec![P::NoneOf { fields: "canary and blueGreen" }],
            Self::SeveralOf => vec![P::SeveralOf { fields: "canary and blueGreen", set: 2 }],
            Self::StepCount => vec![P::StepCount(33)],
            Self::NoWeight => vec![P::NoWeight],
            Self::WeightZero => vec![P::WeightZero],
            Self::WeightNotRising => {
                vec![P::WeightNotRising { weight: Weight::percent(20), before: Weight::percent(25) }]
            }
            Self::WeightByPods => vec![P::WeightByPods],
            Self::GateWithDuration => vec![P::GateWithDuration],
            Self::NoDays => vec![P::NoDays],
            Self::Day => vec![P::Day("Monday".to_owned())],
            Self::From => vec![P::From("9 am".to_owned())],
            Self::To => vec![P::To("24:30".to_owned())],
            Self::EmptyWindow => vec![P::EmptyWindow],
            Self::TimeZone => vec![P::TimeZone("CET+1".to_owned())],
            Self::NoWebhook => vec![P::NoWebhook],
            Self::RetriesWithoutRollBack => vec![P::RetriesWithoutRollBack],
            Self::ReplicasWithoutWeight => vec![P::ReplicasWithoutWeight],
            Self::ReplicasByPods => vec![P::ReplicasByPods],
            Self::ReplicasBelowWeight => {
                vec![P::ReplicasBelowWeight { percent: 1, weight: Weight::ALL }]
            }
            Self::ReplicasFalling => vec![P::ReplicasFalling { percent: 30, before: 50 }],
            Self::Percentage => vec![P::Percentage],
            Self::NoRollbackWindow => vec![P::NoRollbackWindow],
            Self::Revisions => vec![P::Revisions],
            Self::RouteTwice => vec![P::RouteTwice("web".to_owned())],
            Self::Negative => vec![P::Negative],
            Self::DeadlineZero => vec![P::DeadlineZero],
            Self::MetricNameTaken => vec![P::MetricNameTaken("success-rate".to_owned())],
            Self::EmptyField => vec![P::EmptyField],
            Self::NoMeasurements => vec![P::NoMeasurements],
            Self::Threshold => [
                ThresholdError::Unbounded,
                ThresholdError::NotFinite,
                ThresholdError::Empty { min: 0.9, max: 0.1 },
            ]
            .map(P::Threshold)
            .into(),
            Self::Query => [
                QueryError::Unknown { name: "canary_pod".to_owned(), offset: 10 },
                QueryError::Unclosed { offset: 10 },
                QueryError::Syntax { message: "unexpected end of input".to_owned() },
                QueryError::WrongType { found: "range vector".to_owned() },
            ]
            .map(P::Query)
            .into(),
            Self::BothVersions => vec![P::BothVersions],
        }
    }
}
