//! Durations in policies: their schema, and how a schema of theirs is recognized.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// The longest duration of a policy.
const ANY: &str = "self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) <= duration('720h')";
const SOME: &str = "self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) <= duration('720h') && duration(self) >= duration('1s')";

/// Which durations a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// From 0s to 720h.
    Any,
    /// From 1s to 720h.
    Some,
}

impl Span {
    /// Returns the requirement, for messages.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Any => "must be a duration of at most 720h, such as 30s, 5m or 1h30m",
            Self::Some => "must be a duration from 1s to 720h, such as 30s, 5m or 1h30m",
        }
    }

    /// Returns whether the text is such a duration. The CEL rule of the CRD does the same.
    pub fn takes(self, text: &str) -> bool {
        let least = match self {
            Self::Any => Duration::ZERO,
            Self::Some => Duration::from_secs(1),
        };
        let within = |parsed: kube::core::Duration| {
            (least..=Duration::from_hours(720)).contains(&Duration::from(parsed))
        };
        text.len() <= 32 && shaped(text) && text.parse().is_ok_and(within)
    }

    fn schema(self) -> Schema {
        let rule = match self {
            Self::Any => ANY,
            Self::Some => SOME,
        };
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [{"rule": rule, "message": self.wanted()}],
        })
    }
}

/// Returns whether the text is a sequence of numbers with units, as in the regular expression of
/// the CRD.
fn shaped(mut text: &str) -> bool {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut any = false;
    while !text.is_empty() {
        let whole = digits(text);
        // Longer numbers exceed every limit and could overflow.
        if whole == 0 || whole > 10 {
            return false;
        }
        let mut rest = &text[whole..];
        if let Some(fraction) = rest.strip_prefix('.') {
            let length = digits(fraction);
            if length == 0 {
                return false;
            }
            rest = &fraction[length..];
        }
        let Some(next) = ["ms", "s", "m", "h"].iter().find_map(|unit| rest.strip_prefix(unit)) else {
            return false;
        };
        text = next;
        any = true;
    }
    any
}

/// Returns which durations a field with this schema takes, if it takes durations.
pub fn span_of(schema: &Value) -> Option<Span> {
    let rules = schema.get("x-kubernetes-validations")?.as_array()?;
    let is = |wanted: &str| rules.iter().any(|rule| rule["rule"] == wanted);
    if is(ANY) { Some(Span::Any) } else { is(SOME).then_some(Span::Some) }
}

pub(super) fn any(_: &mut SchemaGenerator) -> Schema {
    Span::Any.schema()
}

pub(super) fn some(_: &mut SchemaGenerator) -> Schema {
    Span::Some.schema()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_a_limit_and_no_sign() {
        for good in ["0s", "30s", "1h30m", "1.5s", "250ms", "720h"] {
            assert!(Span::Any.takes(good), "{good}");
        }
        for bad in [
            "",
            "30",
            "0",
            "-1s",
            "+1s",
            "1d",
            "1 m",
            "721h",
            "99999999999999999999h",
            "s",
            "1h.",
            "1e3s",
            "1us",
        ] {
            assert!(!Span::Any.takes(bad), "{bad}");
        }
        assert!(Span::Some.takes("1s") && Span::Some.takes("0.5s0.5s") && !Span::Some.takes("999ms"));
    }
}
