//! The original weights of a route's rules, stored in an annotation of the route while a rollout is
//! in progress, so that the weights and their originals are one write.
//!
//! A rule is recognized by its name, otherwise by its matches (rules with equal matches by their
//! order). If a user edited both, a rule that still refers to the canary counts as one of the
//! missing rules: the one with the same weights, otherwise the first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ORIGINAL,
    rule::{Named, effective},
};
use crate::traffic::Object;

/// The rules of a route, as stored by Steelyard's last write to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory(pub(super) Vec<Remembered>);

/// One stored rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// How the rule is recognized.
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// The user's weights.
    #[serde(flatten)]
    pub(super) before: Before,
    /// The weights that Steelyard wrote last: stable's and the canary's.
    pub(super) wrote: (i64, i64),
}

/// How a rule is recognized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Identity {
    /// Its name.
    Name(String),
    /// Its matches.
    Matches(Value),
}

/// A rule's weights as the user has them without a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Before {
    /// The stable ref's weight; `None` if it has no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stable: Option<i64>,
    /// The canary ref, if the user wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_canary: Option<OwnCanary>,
}

/// A canary ref that the user wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnCanary {
    /// Its weight; `None` if it has no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<i64>,
}

impl Identity {
    /// Returns how a rule is recognized.
    pub(super) fn of(rule: &Value) -> Self {
        let name = rule.get("name").and_then(Value::as_str);
        let matches = || Self::Matches(rule.get("matches").cloned().unwrap_or_default());
        name.map_or_else(matches, |name| Self::Name(name.to_owned()))
    }
}

/// A test of whether a rule with these weights may be a stored one.
type Likeness = fn(&Remembered, (i64, i64)) -> bool;

/// Returns the stored rules of this pair and of other pairs.
fn all(object: &Object) -> BTreeMap<String, Memory> {
    let written = object.meta.annotations.get(ORIGINAL);
    written.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Returns the key of a pair: several Deployments may share one route, each under the name of its
/// Service.
fn key(named: &Named) -> String {
    format!("{}/{}", named.pair.namespace, named.pair.stable)
}

impl Memory {
    /// Returns the stored rules of the pair.
    pub(super) fn of(object: &Object, named: &Named) -> Self {
        all(object).remove(&key(named)).unwrap_or_default()
    }

    /// Returns the annotation with these rules in it; `None` if no rule is left to store.
    pub(super) fn annotation(self, object: &Object, named: &Named) -> Option<String> {
        let mut all = all(object);
        all.remove(&key(named));
        if !self.0.is_empty() {
            all.insert(key(named), self);
        }
        // Maps of strings and numbers always have a JSON form.
        (!all.is_empty()).then(|| serde_json::to_string(&all).unwrap_or_default())
    }

    /// Returns the stored rule for each rule of a route.
    pub(super) fn by_rule(&self, rules: &[Value], named: &Named) -> Vec<Option<&Remembered>> {
        let mut left: Vec<&Remembered> = self.0.iter().collect();
        let mut take = |fits: &dyn Fn(&Remembered) -> bool| {
            left.iter().position(|remembered| fits(remembered)).map(|at| left.remove(at))
        };
        let mut found: Vec<Option<&Remembered>> = Vec::with_capacity(rules.len());
        for rule in rules {
            let identity = Identity::of(rule);
            found.push(take(&|remembered| remembered.identity == identity));
        }
        let likenesses: [Likeness; 2] = [|remembered, numbers| remembered.wrote == numbers, |_, _| true];
        for alike in likenesses {
            for (rule, found) in rules.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                let Some(canary) = named.canary(rule) else { continue };
                let numbers = (named.stable(rule).map_or(0, effective), effective(canary));
                *found = take(&|remembered| alike(remembered, numbers));
            }
        }
        found
    }
}

impl Before {
    /// Returns a rule's weights as the user has them: the stored ones, unless the current ones
    /// differ from what Steelyard wrote; then these are the user's new ones. Weights with the same
    /// sum are only another split of the same share.
    pub(super) fn of(rule: &Value, named: &Named, remembered: Option<&Remembered>) -> Self {
        use super::rule::{refs, written};
        let (stable, canary) = (named.stable(rule), named.canary(rule));
        match (remembered, canary) {
            (Some(Remembered { before, wrote, .. }), Some(canary))
                if stable.is_some_and(|stable| {
                    effective(stable).saturating_add(effective(canary)) == wrote.0 + wrote.1
                }) =>
            {
                before.clone()
            }
            (Some(Remembered { before, wrote, .. }), Some(canary)) => {
                let newer = stable.filter(|stable| effective(stable) != wrote.0);
                let own = before.own_canary.clone().map(|own| {
                    if effective(canary) == wrote.1 { own } else { OwnCanary { weight: written(canary) } }
                });
                Self { stable: newer.map_or(before.stable, written), own_canary: own }
            }
            // A user replaced the list: its weights are the user's.
            (_, None) => Self { stable: stable.and_then(written), own_canary: None },
            (None, Some(canary)) if effective(canary) == 0 => {
                let own = OwnCanary { weight: written(canary) };
                Self { stable: stable.and_then(written), own_canary: Some(own) }
            }
            // The annotation is lost: most routes set no weight for a single backend.
            (None, Some(canary)) => {
                let share = effective(canary).saturating_add(stable.map_or(0, effective));
                Self { stable: (refs(rule).len() != 2).then_some(share), own_canary: None }
            }
        }
    }
}
