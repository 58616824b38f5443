//! What can be wrong with the meaning of a field: a sentence for people, and help for the docs.

use std::fmt;

use serde::Serialize;
use strum::{EnumDiscriminants, EnumIter};

use super::template::{NAMES, TemplateError};
use crate::analysis::ThresholdError;

/// What sort of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sort {
    /// A field of a name that no field has.
    UnknownField,
    /// Something that has to be there isn't.
    Missing,
    /// A value that can't be.
    Invalid,
    /// A field or value that a later version will serve.
    NotYetSupported,
    /// Allowed, but seldom meant.
    Warning,
}

/// What is wrong with a field. In the order of the policy's fields.
#[derive(Clone, Debug, PartialEq, EnumDiscriminants)]
#[strum_discriminants(name(ProblemKind), derive(EnumIter))]
#[strum_discriminants(doc = "The kinds of [`Problem`].")]
#[strum_discriminants(allow(missing_docs))]
pub enum Problem {
    /// A field that a later version will serve.
    Unserved,
    /// None of fields of which one is needed.
    NoneOf {
        /// The fields.
        fields: &'static str,
    },
    /// Several of fields that exclude each other.
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
    /// Not a share in percent.
    WeightRange(u8),
    /// A weight that is not above the one before it.
    WeightNotRising {
        /// The weight.
        weight: u8,
        /// The one before it.
        before: u8,
    },
    /// A weight that pods can't share by their number.
    WeightByPods,
    /// A gate with a time.
    GateWithHold,
    /// A person's gate without a message.
    GateWithoutMessage,
    /// A window without days.
    NoDays,
    /// Not a day.
    Day(String),
    /// Not a time of the day.
    From(String),
    /// Not a time of the day, nor its end.
    To(String),
    /// A window of no length.
    EmptyWindow,
    /// Not a time zone.
    Zone(String),
    /// A webhook without a name.
    NoWebhook,
    /// Retries of a webhook that is called until it approves.
    RetriesWithoutFail,
    /// Replicas of a step without a weight.
    ReplicasWithoutWeight,
    /// Replicas where they follow from the weight.
    ReplicasByPods,
    /// Not a percentage.
    Percentage,
    /// A rollback window that says nothing.
    NoRollbackWindow,
    /// Not a number of revisions.
    Revisions,
    /// A route without a name.
    NoRouteName,
    /// A route that is listed twice.
    RouteTwice(String),
    /// A negative duration.
    Negative,
    /// A deadline of zero.
    DeadlineZero,
    /// The name of another metric.
    MetricNameTaken(String),
    /// A query without a name.
    NoMetricName,
    /// A step that needs no measurement.
    NoMeasurements,
    /// A threshold that can't judge anything.
    Threshold(ThresholdError),
    /// A comparison of nothing.
    CompareNothing,
    /// A comparison with a threshold.
    CompareBounded,
    /// A query that can't be rendered or parsed.
    Query(TemplateError),
    /// A query that measures both versions at once.
    BothVersions,
}

impl Problem {
    /// What sort of fault it is.
    pub fn sort(&self) -> Sort {
        match self {
            Self::Unserved => Sort::NotYetSupported,
            Self::NoneOf { .. }
            | Self::NoWeight
            | Self::GateWithoutMessage
            | Self::NoDays
            | Self::NoWebhook
            | Self::NoRollbackWindow
            | Self::NoMetricName
            | Self::Threshold(ThresholdError::Unbounded) => Sort::Missing,
            _ => Sort::Invalid,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unserved => f.write_str("is not supported yet: leave it out"),
            Self::NoneOf { fields } => write!(f, "set exactly one of {fields}; none is"),
            Self::SeveralOf { fields, set } => write!(f, "set exactly one of {fields}; {set} are"),
            Self::StepCount(count) => write!(f, "must have 1 to 32 items, not {count}"),
            Self::NoWeight => f.write_str("at least one step needs a weight"),
            Self::WeightRange(weight) => write!(f, "must be from 1 to 100, not {weight}"),
            Self::WeightNotRising { weight, before } => {
                write!(f, "weights must rise from step to step: {weight} is not above {before}")
            }
            Self::WeightByPods => f.write_str(
                "without a router pods share by their number, and stable never shrinks: at most 50, or \
                 100",
            ),
            Self::GateWithHold => f.write_str("a gate has no hold: it lasts until it opens"),
            Self::GateWithoutMessage => f.write_str("must say what to look at"),
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
            Self::Zone(text) => write!(f, "{text:?} is no IANA time zone, such as Europe/Berlin or UTC"),
            Self::NoWebhook => f.write_str("must name an endpoint of the operator's configuration"),
            Self::RetriesWithoutFail => f.write_str("retries go with onRefusal: fail"),
            Self::ReplicasWithoutWeight => f.write_str("replicas go with a weight"),
            Self::ReplicasByPods => {
                f.write_str("without a router the number of pods follows from the weight: leave it out")
            }
            Self::Percentage => f.write_str("must be a percentage from 1% to 100%"),
            Self::NoRollbackWindow => f.write_str("set revisions, within, or both"),
            Self::Revisions => f.write_str("must be from 1 to 10"),
            Self::NoRouteName => f.write_str("must be the name of an HTTPRoute"),
            Self::RouteTwice(name) => write!(f, "{name} is named twice"),
            Self::Negative => f.write_str("must not be negative"),
            Self::DeadlineZero => f.write_str("must be longer than nothing"),
            Self::MetricNameTaken(name) => {
                write!(f, "each metric needs a name of its own: {name} is taken")
            }
            Self::NoMetricName => f.write_str("a query needs a name"),
            Self::NoMeasurements => f.write_str("must be at least 1"),
            Self::Threshold(error) => error.fmt(f),
            Self::CompareNothing => f.write_str("set errors and requests, or histogram"),
            Self::CompareBounded => f.write_str("a comparison has neither min nor max"),
            Self::Query(error @ TemplateError::Unknown { .. }) => {
                write!(f, "{error}; there are ${}", NAMES.join(", $"))
            }
            Self::Query(error) => error.fmt(f),
            Self::BothVersions => f.write_str(
                "names neither $canary_pods, $canary_hash nor $canary_service, so it can't tell the \
                 versions apart: add one, or say scope: deployment",
            ),
        }
    }
}

impl ProblemKind {
    /// What it means, and what helps.
    pub fn help(self) -> &'static str {
        match self {
            Self::Unserved => {
                "The field has its place in the definitions, but this version does not serve it."
            }
            Self::NoneOf => "The fields that are named exclude each other, and one of them is needed.",
            Self::SeveralOf => "The fields that are named exclude each other: keep one.",
            Self::StepCount => "A policy has 1 to 32 steps.",
            Self::NoWeight => "Steps without any weight would move no traffic.",
            Self::WeightRange => "A weight is a share in percent.",
            Self::WeightNotRising => "Each step gives the canary more than the one before it.",
            Self::WeightByPods => {
                "With `traffic.service` as many canary pods as stable ones are half of the traffic; \
                 then comes the switch."
            }
            Self::GateWithHold => "Take `hold` away, or make it a step of its own.",
            Self::GateWithoutMessage => "A person who is asked to promote has to know what for.",
            Self::NoDays => "A window without days never opens.",
            Self::Day => "Days are written in English, by their first three letters: `Mon`, `Sat-Sun`.",
            Self::From => "Such as `\"09:00\"`: two digits, a colon, two digits.",
            Self::To => "Such as `\"16:00\"`; `\"24:00\"` is the end of the day.",
            Self::EmptyWindow => {
                "A window of no length never opens; one to an earlier time ends on the next day."
            }
            Self::Zone => {
                "Abbreviations such as CET or PST don't say when clocks change: name a city of the zone."
            }
            Self::NoWebhook => "`webhook.name` is empty.",
            Self::RetriesWithoutFail => {
                "A webhook that is waited for is called again until it says yes: it needs no number."
            }
            Self::ReplicasWithoutWeight => "`replicas` says how many pods carry the weight of the same step.",
            Self::ReplicasByPods => "With `traffic.service` the number of pods is the weight.",
            Self::Percentage => "Such as `50%`, of the Deployment's replicas.",
            Self::NoRollbackWindow => "`rollbackWindow` has to say which versions it means.",
            Self::Revisions => "`rollbackWindow.revisions` counts the last versions that served.",
            Self::NoRouteName => "The name is empty.",
            Self::RouteTwice => "A route is listed twice.",
            Self::Negative => "A duration is below zero.",
            Self::DeadlineZero => "With a deadline of 0s every rollout would be rolled back at once.",
            Self::MetricNameTaken => "Status and history tell metrics apart by name.",
            Self::NoMetricName => "Name the metric: its name is in status, Events and the history.",
            Self::NoMeasurements => "A step that needs no measurement could pass unmeasured.",
            Self::Threshold => {
                "Without a bound, or with bounds between which no value lies, nothing can be judged."
            }
            Self::CompareNothing => "A comparison is of error rates, or of durations.",
            Self::CompareBounded => "It is judged against stable, not against a number.",
            Self::Query => {
                "A query is `PromQL` that gives one number: wrap a range in `rate(...)`, or the like. \
                 Write `$` before anything but a variable as it is."
            }
            Self::BothVersions => {
                "A query that measures both versions at once hides a bad canary behind a good stable."
            }
        }
    }

    /// One value for each sentence that it has, for the docs.
    pub fn examples(self) -> Vec<Problem> {
        use Problem as P;
        match self {
            Self::Unserved => vec![P::Unserved],
            Self::NoneOf => vec![P::NoneOf { fields: "canary and blueGreen" }],
            Self::SeveralOf => vec![P::SeveralOf { fields: "canary and blueGreen", set: 2 }],
            Self::StepCount => vec![P::StepCount(33)],
            Self::NoWeight => vec![P::NoWeight],
            Self::WeightRange => vec![P::WeightRange(0)],
            Self::WeightNotRising => vec![P::WeightNotRising { weight: 20, before: 25 }],
            Self::WeightByPods => vec![P::WeightByPods],
            Self::GateWithHold => vec![P::GateWithHold],
            Self::GateWithoutMessage => vec![P::GateWithoutMessage],
            Self::NoDays => vec![P::NoDays],
            Self::Day => vec![P::Day("Monday".to_owned())],
            Self::From => vec![P::From("9 am".to_owned())],
            Self::To => vec![P::To("24:30".to_owned())],
            Self::EmptyWindow => vec![P::EmptyWindow],
            Self::Zone => vec![P::Zone("CET+1".to_owned())],
            Self::NoWebhook => vec![P::NoWebhook],
            Self::RetriesWithoutFail => vec![P::RetriesWithoutFail],
            Self::ReplicasWithoutWeight => vec![P::ReplicasWithoutWeight],
            Self::ReplicasByPods => vec![P::ReplicasByPods],
            Self::Percentage => vec![P::Percentage],
            Self::NoRollbackWindow => vec![P::NoRollbackWindow],
            Self::Revisions => vec![P::Revisions],
            Self::NoRouteName => vec![P::NoRouteName],
            Self::RouteTwice => vec![P::RouteTwice("web".to_owned())],
            Self::Negative => vec![P::Negative],
            Self::DeadlineZero => vec![P::DeadlineZero],
            Self::MetricNameTaken => vec![P::MetricNameTaken("success-rate".to_owned())],
            Self::NoMetricName => vec![P::NoMetricName],
            Self::NoMeasurements => vec![P::NoMeasurements],
            Self::Threshold => [
                ThresholdError::Unbounded,
                ThresholdError::NotFinite,
                ThresholdError::Empty { min: 0.9, max: 0.1 },
            ]
            .map(P::Threshold)
            .into(),
            Self::CompareNothing => vec![P::CompareNothing],
            Self::CompareBounded => vec![P::CompareBounded],
            Self::Query => [
                TemplateError::Unknown { name: "canary_pod".to_owned(), offset: 10 },
                TemplateError::Unclosed { offset: 10 },
                TemplateError::Syntax { message: "unexpected end of input".to_owned() },
                TemplateError::WrongType { found: "range vector".to_owned() },
            ]
            .map(P::Query)
            .into(),
            Self::BothVersions => vec![P::BothVersions],
        }
    }
}
