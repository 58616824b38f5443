//! Canonical values, which differ only where a rule can distinguish them: times relative to now,
//! names by role, growing numbers by their order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use steelyard_core::api::{EPOCH, FAILURE};

use crate::time::ago;

/// A JSON value with `Eq` and `Hash`, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// Null.
    Null,
    /// A boolean.
    Flag(bool),
    /// An integer.
    Count(i64),
    /// A number in thousandths.
    Thousandths(i64),
    /// A time, in milliseconds before now; negative in the future.
    Ago(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Datum>),
    /// A map.
    Map(BTreeMap<String, Datum>),
}

/// The context that makes values canonical.
#[derive(Clone, Debug)]
pub(crate) struct Canon {
    pub(crate) now: Timestamp,
    pub(crate) horizon: SignedDuration,
    /// The current leadership epoch.
    pub(crate) epoch: u64,
    /// The current generation of the Rollout.
    pub(crate) rollout_generation: i64,
    /// Generations of the Deployment, by their order: 0 is the current one.
    pub(crate) generations: BTreeMap<i64, i64>,
    /// New names of hashes, by the original ones.
    pub(crate) names: BTreeMap<String, String>,
}

impl Canon {
    /// Returns the value in canonical form.
    pub(crate) fn datum(&self, value: &Value) -> Datum {
        match value {
            Value::Null => Datum::Null,
            Value::Bool(flag) => Datum::Flag(*flag),
            Value::Number(number) => number.as_i64().map_or_else(
                || Datum::Thousandths(thousandths(number.as_f64().unwrap_or_default())),
                Datum::Count,
            ),
            Value::String(text) => self.text(text),
            Value::Array(items) => Datum::List(items.iter().map(|item| self.datum(item)).collect()),
            Value::Object(fields) => Datum::Map(
                fields
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), self.field(key, value)?)))
                    .collect(),
            ),
        }
    }

    /// Returns a field in canonical form; `None` if no decision depends on it.
    fn field(&self, key: &str, value: &Value) -> Option<Datum> {
        match (key, value) {
            // Messages, and transition times of conditions.
            ("message" | "lastTransitionTime", _) => None,
            ("epoch", Value::Number(epoch)) => Some(self.relation(epoch.as_u64().unwrap_or_default())),
            (EPOCH, Value::String(epoch)) => Some(self.relation(epoch.parse().unwrap_or_default())),
            ("generation", Value::Number(number)) => {
                let number = number.as_i64().unwrap_or_default();
                Some(self.generations.get(&number).map_or(Datum::Null, |order| Datum::Count(*order)))
            }
            ("observedGeneration", Value::Number(number)) => {
                Some(Datum::Flag(number.as_i64() == Some(self.rollout_generation)))
            }
            ("observedDeploymentGeneration", Value::Number(number)) => {
                let order = number.as_i64().and_then(|number| self.generations.get(&number));
                Some(Datum::Flag(order == Some(&0)))
            }
            // The record of a failure is JSON in a text.
            (FAILURE, Value::String(text)) => {
                Some(self.datum(&serde_json::from_str(text).unwrap_or_default()))
            }
            _ => Some(self.datum(value)),
        }
    }

    /// Returns how an epoch relates to the current one: no decision compares anything else.
    pub(crate) fn relation(&self, epoch: u64) -> Datum {
        Datum::Count(match epoch.cmp(&self.epoch) {
            _ if epoch == 0 => i64::MIN,
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
        })
    }

    fn text(&self, text: &str) -> Datum {
        let time = text.ends_with('Z').then(|| text.parse().ok()).flatten();
        time.map_or_else(|| Datum::Text(self.renamed(text)), |at| Datum::Ago(ago(self.now, at, self.horizon)))
    }

    /// Returns the text with each hash renamed.
    pub(crate) fn renamed(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for part in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            out.push_str(self.names.get(word).map_or(word, String::as_str));
            out.push_str(&part[word.len()..]);
        }
        out
    }
}

/// Returns each value's rank; 0 is the lowest.
pub(crate) fn places<T: Ord + Clone>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, i64> {
    values.into_iter().collect::<BTreeSet<_>>().into_iter().zip(0..).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "the values here are small")]
fn thousandths(number: f64) -> i64 {
    (number * 1000.0).round() as i64
}
