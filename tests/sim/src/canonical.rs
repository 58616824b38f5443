//! Values in which only what a rule can tell apart is different: times relative to now, names by
//! their roles, numbers that grow by their order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use steelyard_core::api::EPOCH;

use crate::time::ago;

/// A JSON value with `Eq` and `Hash`, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// Nothing.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Count(i64),
    /// A number in thousandths.
    Thousandths(i64),
    /// A time, in milliseconds before now; negative in the future.
    Ago(i64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Datum>),
    /// Values by name.
    Map(BTreeMap<String, Datum>),
}

/// What makes values canonical.
#[derive(Clone, Debug)]
pub(crate) struct Canon {
    pub(crate) now: Timestamp,
    pub(crate) horizon: SignedDuration,
    /// The present leadership epoch.
    pub(crate) epoch: u64,
    /// The present generation of the Rollout.
    pub(crate) rollout_generation: i64,
    /// Generations of the Deployment, by their order: 0 is the present one.
    pub(crate) generations: BTreeMap<i64, i64>,
    /// New names of hashes, by the old ones.
    pub(crate) names: BTreeMap<String, String>,
}

impl Canon {
    /// The value in canonical form.
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

    /// A field, unless no decision depends on it.
    fn field(&self, key: &str, value: &Value) -> Option<Datum> {
        match (key, value) {
            // Texts for people, and when a condition changed.
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
            ("revision", Value::String(text)) => {
                // An intent may name a generation of the Deployment.
                let order = text.parse().ok().and_then(|number: i64| self.generations.get(&number));
                Some(order.map_or_else(|| self.text(text), |order| Datum::Count(*order)))
            }
            _ => Some(self.datum(value)),
        }
    }

    /// How an epoch relates to the present one: that is all that is ever compared.
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

    /// The text with each hash in it renamed.
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

/// Each value's place among all of them; 0 is the lowest.
pub(crate) fn places<T: Ord + Clone>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, i64> {
    values.into_iter().collect::<BTreeSet<_>>().into_iter().zip(0..).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "the values here are small")]
fn thousandths(number: f64) -> i64 {
    (number * 1000.0).round() as i64
}
