//! The answer of a metric source to one query.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The maximum length of an error message, in characters.
pub const MESSAGE_LIMIT: usize = 300;

/// The answer to one query at one time.
///
/// The JSON form is flat, `{"kind": "Value", "value": 0.5}` or `{"kind": "Error", "class": ..,
/// "message": ..}`, because a status field needs one schema for all variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Record", try_from = "Record")]
#[schemars(with = "Record")]
pub enum Outcome {
    /// One finite number.
    Value(f64),
    /// No data: no series matched, or the value is NaN (0/0, for example without traffic).
    NoData,
    /// Plus or minus infinity, for example a quotient whose divisor is 0.
    NonFinite,
    /// A value from too few requests.
    TooFew {
        /// The number of requests.
        found: f64,
        /// The number of requests required.
        wanted: f64,
    },
    /// No usable answer.
    Error {
        /// The kind of error.
        class: ErrorClass,
        /// A message of one line, at most [`MESSAGE_LIMIT`] characters; never a response body.
        message: String,
    },
}

impl Outcome {
    /// Classifies a number: a value, no data (NaN), or not finite.
    pub fn of(value: f64) -> Self {
        if value.is_nan() {
            Self::NoData
        } else if value.is_infinite() {
            Self::NonFinite
        } else {
            Self::Value(value)
        }
    }

    /// Returns an error with its message converted to one line and cut to [`MESSAGE_LIMIT`]
    /// characters.
    pub fn error(class: ErrorClass, message: &str) -> Self {
        let message =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_LIMIT).collect();
        Self::Error { class, message }
    }
}

/// Why there is no usable answer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display,
)]
pub enum ErrorClass {
    /// No connection, or it broke before the answer was complete.
    Unreachable,
    /// No complete answer in time.
    Timeout,
    /// The source refuses the query: the query or the address is wrong (4xx, or a redirect).
    Refused,
    /// The source has an internal error (5xx).
    Server,
    /// The source rejects the credentials (401, 403).
    Auth,
    /// More than one series, where one is expected.
    ManySeries,
    /// Neither a scalar nor an instant vector of floats.
    WrongType,
    /// An answer with warnings: some of the data is missing.
    Warnings,
    /// An answer that exceeds the size limit.
    TooLarge,
    /// An answer that is not in the format of Prometheus.
    Unparsable,
}

/// The stored form of [`Outcome`].
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// The kind of answer: Value, `NoData`, `NonFinite`, `TooFew` or Error.
    kind: Kind,
    /// The number, for kind Value; the number of requests, for kind `TooFew`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// The number of requests required, for kind `TooFew`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wanted: Option<f64>,
    /// The class of error, for kind Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<ErrorClass>,
    /// The message, for kind Error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Kind {
    Value,
    NoData,
    NonFinite,
    TooFew,
    Error,
}

#[derive(Debug, Error)]
enum RecordError {
    #[error("an outcome of kind Value needs field value")]
    Value,
    #[error("an outcome of kind TooFew needs fields value and wanted")]
    TooFew,
    #[error("an outcome of kind Error needs field class")]
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
            (Outcome::Value(0.5), json!({"kind": "Value", "value": 0.5})),
            (Outcome::NoData, json!({"kind": "NoData"})),
            (Outcome::NonFinite, json!({"kind": "NonFinite"})),
            (
                Outcome::TooFew { found: 3.0, wanted: 100.0 },
                json!({"kind": "TooFew", "value": 3.0, "wanted": 100.0}),
            ),
            (error, json!({"kind": "Error", "class": "ManySeries", "message": "3 series"})),
        ] {
            assert_eq!(serde_json::to_value(&outcome).unwrap(), stored);
            assert_eq!(serde_json::from_value::<Outcome>(stored).unwrap(), outcome);
        }
    }

    #[test]
    fn an_incomplete_stored_outcome_is_an_error() {
        assert!(serde_json::from_value::<Outcome>(json!({"kind": "Value"})).is_err());
        assert!(serde_json::from_value::<Outcome>(json!({"kind": "Error"})).is_err());
        assert!(serde_json::from_value::<Outcome>(json!({"kind": "TooFew", "value": 1.0})).is_err());
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
