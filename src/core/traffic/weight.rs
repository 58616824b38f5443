//! A share of the traffic.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A share of the traffic in tenths of a percent, 0 to 1000.
///
/// Users write `25` or `"0.5%"`; status, messages and webhooks show `25%` or `0.5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

/// The error of a text that is not a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a percentage from 0 to 100 with at most one decimal, such as 25 or \"0.5%\"")]
pub struct WeightError;

/// All of the traffic, in tenths of a percent.
const TENTHS: u16 = 1000;

impl Weight {
    /// None of the traffic.
    pub const ZERO: Self = Self(0);
    /// All of the traffic.
    pub const ALL: Self = Self(TENTHS);

    /// Returns a whole percentage as a weight; more than 100 counts as 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { TENTHS } else { percent as u16 * 10 })
    }

    /// Returns tenths of a percent as a weight; `None` above 1000.
    pub fn from_tenths(tenths: u16) -> Option<Self> {
        (tenths <= TENTHS).then_some(Self(tenths))
    }

    /// Returns a ratio of 0 to 1 as a weight, rounded to a tenth of a percent; `None` out of that
    /// range.
    pub fn from_ratio(ratio: f64) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        (0.0..=1.0).contains(&ratio).then(|| Self((ratio * f64::from(TENTHS)).round() as u16))
    }

    /// Returns the share of `part` in `all`, rounded up so that a small share is not 0; 0 if `all`
    /// is 0.
    pub fn of(part: i64, all: i64) -> Self {
        let (part, all) = (i128::from(part.max(0)), i128::from(all.max(0)));
        let tenths = if all == 0 { 0 } else { (part * i128::from(TENTHS) + all - 1) / all };
        Self(u16::try_from(tenths).unwrap_or(TENTHS).min(TENTHS))
    }

    /// Returns the weight in tenths of a percent, 0 to 1000.
    pub const fn tenths(self) -> u16 {
        self.0
    }

    /// Returns the weight as a ratio, 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(TENTHS)
    }

    /// Returns the rest of the traffic.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(TENTHS - self.0)
    }

    /// Returns the midpoint between this weight and another one.
    #[must_use]
    pub fn midpoint(self, other: Self) -> Self {
        Self(self.0.midpoint(other.0))
    }

    /// Returns this share of a number, if it is a whole number.
    pub fn share_of(self, whole: i64) -> Option<i64> {
        let product = i128::from(whole) * i128::from(self.0);
        let exact = product % i128::from(TENTHS) == 0;
        exact.then_some(product / i128::from(TENTHS)).and_then(|share| i64::try_from(share).ok())
    }

    /// Returns whether it is a whole percentage.
    pub const fn is_whole_percent(self) -> bool {
        self.0.is_multiple_of(10)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (percent, 0) => write!(f, "{percent}%"),
            (percent, tenths) => write!(f, "{percent}.{tenths}%"),
        }
    }
}

impl FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, WeightError> {
        let number = text.strip_suffix('%').ok_or(WeightError)?;
        let (percent, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if percent.is_empty() || percent.len() > 3 || tenths.len() != 1 || !digits(percent) || !digits(tenths)
        {
            return Err(WeightError);
        }
        let parsed = |text: &str| text.parse::<u16>().map_err(|_| WeightError);
        Self::from_tenths(parsed(percent)? * 10 + parsed(tenths)?).ok_or(WeightError)
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl de::Visitor<'_> for Written {
            type Value = Weight;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as 25 or \"0.5%\"")
            }

            fn visit_u64<E: de::Error>(self, percent: u64) -> Result<Weight, E> {
                let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
                percent.map(Weight::percent).ok_or_else(|| E::custom(WeightError))
            }

            fn visit_i64<E: de::Error>(self, percent: i64) -> Result<Weight, E> {
                self.visit_u64(u64::try_from(percent).map_err(|_| E::custom(WeightError))?)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Weight, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Weight {
    fn schema_name() -> Cow<'static, str> {
        "Weight".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<u16> {
        serde_json::from_str::<Weight>(json).ok().map(Weight::tenths)
    }

    #[test]
    fn a_weight_is_a_whole_percentage_or_a_text_with_at_most_one_decimal() {
        for (json, tenths) in
            [("0", 0), ("25", 250), ("100", 1000), (r#""25%""#, 250), (r#""0.5%""#, 5), (r#""100.0%""#, 1000)]
        {
            assert_eq!(read(json), Some(tenths), "{json}");
        }
        let bad =
            ["101", "-1", "2.5", r#""25""#, r#""%""#, r#""0.05%""#, r#"".5%""#, r#""5.%""#, r#""100.1%""#];
        for json in bad.into_iter().chain([r#""+5%""#, r#"" 5%""#, r#""9999%""#, "null", "true"]) {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn every_weight_parses_back_from_its_text() {
        for tenths in 0..=TENTHS {
            let weight = Weight::from_tenths(tenths).unwrap();
            assert_eq!(weight.to_string().parse(), Ok(weight));
            assert_eq!(read(&serde_json::to_string(&weight).unwrap()), Some(tenths));
        }
        assert_eq!([5, 250, 1000].map(|n| Weight(n).to_string()), ["0.5%", "25%", "100%"]);
        assert_eq!(Weight::from_tenths(1001), None);
    }

    #[test]
    fn a_small_share_is_never_shown_as_zero() {
        assert_eq!(Weight::of(1, 100_000).tenths(), 1);
        assert_eq!(Weight::of(5, 100).tenths(), 50);
        assert_eq!(
            [Weight::of(0, 7), Weight::of(0, 0), Weight::of(7, 7)],
            [Weight(0), Weight(0), Weight(1000)]
        );
        assert_eq!(Weight::of(i64::MAX, i64::MAX), Weight::ALL);
    }

    #[test]
    fn a_share_is_a_whole_number_or_none() {
        assert_eq!(Weight::percent(25).share_of(40), Some(10));
        assert_eq!(Weight::percent(5).share_of(10), None);
        assert_eq!(Weight(5).share_of(1000), Some(5));
        assert_eq!(Weight::ALL.share_of(i64::MAX), Some(i64::MAX));
    }
}
