//! What a metrics source answered to one question.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest message kept of an error, in characters.
pub const MESSAGE_LIMIT: usize = 300;

/// The answer to one question at one moment.
///
/// As JSON it is flat, `{"kind": "value", "value": 0.5}` or `{"kind": "error", "class": .., "message": ..}`:
/// a status field needs one schema for all its variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Record", try_from = "Record")]
#[schemars(with = "Record")]
pub enum Outcome {
    /// One finite number.
    Value(f64),
    /// The question has no answer: no series matched, or the answer is NaN, which is 0/0, which is no traffic.
    NoData,
    /// Plus or minus infinity: something was counted that, for the other half of the quotient, never happened.
    NonFinite,
    /// There was an answer, made of too few requests to mean anything.
    TooFew {
        /// How many there were.
        found: f64,
        /// How many there must be.
        wanted: f64,
    },
    /// There was no answer that could be trusted.
    Error {
        /// What kind of trouble it was.
        class: ErrorClass,
        /// One line for people, at most [`MESSAGE_LIMIT`] characters; never a response body.
        message: String,
    },
}

impl Outcome {
    /// What the number `value` means: a value, nothing (NaN), or not finite.
    pub fn of(value: f64) -> Self {
        if value.is_nan() {
            Self::NoData
        } else if value.is_infinite() {
            Self::NonFinite
        } else {
            Self::Value(value)
        }
    }

    /// An error whose message is made one line and cut to [`MESSAGE_LIMIT`] characters.
    pub fn error(class: ErrorClass, message: &str) -> Self {
        let message =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect();
        Self::Error { class, message }
    }
}

/// Why there was no answer that could be trusted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display,
)]
#[serde(rename_all = "camelCase")]
pub enum ErrorClass {
    /// No connection, or it broke before the answer was complete.
    Unreachable,
    /// No complete answer in time.
    Timeout,
    /// The source won't answer this question: a wrong query or a wrong address (4xx, or a redirect).
    Refused,
    /// The source has trouble of its own (5xx).
    Server,
    /// The source wants other credentials (401, 403).
    Auth,
    /// More than one series, and no way to tell which one is meant.
    ManySeries,
    /// Neither a scalar nor an instant vector of floats.
    WrongType,
    /// An answer with warnings: some of the data is missing.
    Warnings,
    /// An answer longer than is read.
    TooLarge,
    /// An answer that isn't Prometheus' format.
    Unparsable,
}

/// [`Outcome`] as it is stored.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// What came: a value, noData, nonFinite, tooFew, or an error.
    kind: Kind,
    /// The number, if it was a value; how many requests there were, if they were too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// How many requests there must be, if they were too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<f64>,
    /// The kind of error, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<ErrorClass>,
    /// What the source said of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Value,
    NoData,
    NonFinite,
    TooFew,
    Error,
}

#[derive(Debug, Error)]
enum RecordError {
    #[error("an outcome of kind value needs a value")]
    Value,
    #[error("an outcome of kind tooFew needs a value and what is wanted")]
    TooFew,
    #[error("an outcome of kind error needs a class")]
    Class,
}

impl From<Outcome> for Record {
    fn from(outcome: Outcome) -> Self {
        let bare = |kind| Self { kind, value: None, wanted: None, class: None, message: None };
        match outcome {
            Outcome::Value(value) => Self { value: Some(value), ..bare(Kind::Value) },
            Outcome::NoData => bare(Kind::NoData),
            Outcome::NonFinite => bare(Kind::NonFinite),
            Outcome::TooFew { found, wanted } => {
                Self { value: Some(found), wanted: Some(wanted), ..bare(Kind::TooFew) }
            }
            Outcome::Error { class, message } => {
                Self { class: Some(class), message: Some(message), ..bare(Kind::Error) }
            }
        }
    }
}

impl TryFrom<Record> for Outcome {
    type Error = RecordError;

    fn try_from(record: Record) -> Result<Self, RecordError> {
        Ok(match record.kind {
            Kind::Value => Self::Value(record.value.ok_or(RecordError::Value)?),
            Kind::NoData => Self::NoData,
            Kind::NonFinite => Self::NonFinite,
            Kind::TooFew => Self::TooFew {
                found: record.value.ok_or(RecordError::TooFew)?,
                wanted: record.wanted.ok_or(RecordError::TooFew)?,
            },
            Kind::Error => Self::Error {
                class: record.class.ok_or(RecordError::Class)?,
                message: record.message.unwrap_or_default(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_outcome_is_stored_flat_and_read_back() {
        let error = Outcome::error(ErrorClass::ManySeries, "3 series");
        for (outcome, stored) in [
            (Outcome::Value(0.5), json!({"kind": "value", "value": 0.5})),
            (Outcome::NoData, json!({"kind": "noData"})),
            (Outcome::NonFinite, json!({"kind": "nonFinite"})),
            (
                Outcome::TooFew { found: 3.0, wanted: 100.0 },
                json!({"kind": "tooFew", "value": 3.0, "wanted": 100.0}),
            ),
            (error, json!({"kind": "error", "class": "manySeries", "message": "3 series"})),
        ] {
            assert_eq!(serde_json::to_value(&outcome).unwrap(), stored);
            assert_eq!(serde_json::from_value::<Outcome>(stored).unwrap(), outcome);
        }
    }

    #[test]
    fn a_value_without_its_number_is_not_read_as_one() {
        assert!(serde_json::from_value::<Outcome>(json!({"kind": "value"})).is_err());
        assert!(serde_json::from_value::<Outcome>(json!({"kind": "error"})).is_err());
        assert!(serde_json::from_value::<Outcome>(json!({"kind": "tooFew", "value": 1.0})).is_err());
    }

    #[test]
    fn a_number_is_a_value_only_if_it_is_finite() {
        assert_eq!(Outcome::of(-0.5), Outcome::Value(-0.5));
        assert_eq!(Outcome::of(f64::NAN), Outcome::NoData);
        assert_eq!(Outcome::of(f64::INFINITY), Outcome::NonFinite);
        assert_eq!(Outcome::of(f64::NEG_INFINITY), Outcome::NonFinite);
    }

    #[test]
    fn a_message_is_one_line_of_at_most_300_characters() {
        let Outcome::Error { message, .. } = Outcome::error(ErrorClass::Server, &"é\n".repeat(200)) else {
            panic!("not an error")
        };
        assert_eq!(message, "é ".repeat(150));
    }
}
