//! Weights in a Gateway API route (`HTTPRoute` or `GRPCRoute`), as a function from one `spec` to the next.
//!
//! The route is taken to live in the namespace of the Services: a `backendRef` without a namespace means that one.
//! Only `backendRefs` of rules are read and written; filters (mirrors among them) and everything else stay.
//!
//! A canary ref that the user wrote himself must have weight 0 when a rollout begins: anything else would be
//! traffic for the canary that no step allows, and its weight would have no meaning of its own afterwards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The weight of a `backendRef` that names none (Gateway API, `BackendRef.weight`).
const DEFAULT_WEIGHT: i64 = 1;

/// The two Services between which a rollout shares traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The namespace of both.
    pub namespace: &'a str,
    /// The user's own Service.
    pub stable: &'a str,
    /// The Service of the canary's pods.
    pub canary: &'a str,
}

/// What a route was before a rollout touched it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Original {
    /// One for each rule that names the stable Service, in the route's order.
    #[serde(default)]
    pub rules: Vec<RuleOriginal>,
}

/// What a rule was before a rollout touched it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleOriginal {
    /// The rule's place in `spec.rules`, from 0.
    pub index: usize,
    /// The stable ref's weight; none if it had no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_weight: Option<i64>,
    /// The canary ref if the user had written it himself; none if Steelyard adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_canary: Option<OwnCanary>,
}

/// A canary ref that the user wrote himself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnCanary {
    /// Its weight; none if it had no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
}

/// Why a route can't carry a weight. Rules are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No rule names the stable Service.
    #[error("no rule names Service {service}")]
    NotNamed {
        /// The stable Service.
        service: String,
    },
    /// One rule names a Service twice, so that a share of it is not one number.
    #[error("rule {rule} names Service {service} more than once")]
    Ambiguous {
        /// The rule.
        rule: usize,
        /// The Service named twice.
        service: String,
    },
    /// The rule names the canary Service, but not, or no longer, the stable one.
    #[error("rule {rule} names the canary but not Service {service}")]
    StableMissing {
        /// The rule.
        rule: usize,
        /// The stable Service.
        service: String,
    },
    /// The Deployment has no share of the rule's traffic to divide.
    #[error("rule {rule} gives Service {service} weight 0")]
    StableUnweighted {
        /// The rule.
        rule: usize,
        /// The stable Service.
        service: String,
    },
    /// The user's own canary ref already gets traffic.
    #[error("rule {rule} gives Service {service} weight {weight} before the rollout: it must be 0")]
    CanaryWeighted {
        /// The rule.
        rule: usize,
        /// The canary Service.
        service: String,
        /// Its weight there.
        weight: i64,
    },
    /// The rule has other backends too, and no whole number is this percentage of the Deployment's share.
    #[error("rule {rule} shares with other backends: {weight}% of weight {share} is no whole number")]
    WeightNotExpressible {
        /// The rule.
        rule: usize,
        /// The percentage asked for.
        weight: u8,
        /// The Deployment's weight in the rule.
        share: i64,
    },
    /// More than everything.
    #[error("weight {weight} is more than 100 percent")]
    TooHigh {
        /// The percentage asked for.
        weight: u8,
    },
}

/// What the gateways say about a route as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// A gateway has taken it, and none has refused it.
    Accepted,
    /// A gateway can't use it, or not all of it.
    Rejected {
        /// The condition's reason.
        reason: String,
        /// The condition's message.
        message: String,
    },
    /// No gateway has spoken about this generation yet.
    Pending,
}

/// Whether any rule sends traffic to the stable Service.
pub fn names(spec: &Value, pair: &Pair) -> bool {
    rules(spec).iter().any(|rule| position(rule, pair, pair.stable).is_some())
}

/// Whether any rule sends traffic to the canary Service, or could.
pub fn names_canary(spec: &Value, pair: &Pair) -> bool {
    rules(spec).iter().any(|rule| position(rule, pair, pair.canary).is_some())
}

/// What to undo where nothing was remembered: the canary ref that was added goes, and the stable ref says no weight where
/// it is alone, as most routes do.
pub fn unknown(spec: &Value, pair: &Pair) -> Original {
    let of_rule = |(index, rule): (usize, &Value)| {
        let (stable, canary) = (position(rule, pair, pair.stable)?, position(rule, pair, pair.canary)?);
        let share = effective(&refs(rule)[stable]).saturating_add(effective(&refs(rule)[canary]));
        let alone = refs(rule).len() == 2;
        Some(RuleOriginal { index, stable_weight: (!alone).then_some(share), own_canary: None })
    };
    Original { rules: rules(spec).iter().enumerate().filter_map(of_rule).collect() }
}

/// What has to be remembered to undo a rollout; to be read before anything is touched.
pub fn original(spec: &Value, pair: &Pair) -> Original {
    let of_rule = |(index, rule): (usize, &Value)| {
        let stable = &refs(rule)[position(rule, pair, pair.stable)?];
        let own = position(rule, pair, pair.canary).map(|at| OwnCanary { weight: written(&refs(rule)[at]) });
        Some(RuleOriginal { index, stable_weight: written(stable), own_canary: own })
    };
    Original { rules: rules(spec).iter().enumerate().filter_map(of_rule).collect() }
}

/// Whether the route can carry each of `weights` (percentages of the Deployment's traffic).
///
/// # Errors
/// The first thing that stands in the way.
pub fn check(spec: &Value, pair: &Pair, original: &Original, weights: &[u8]) -> Result<(), RouteError> {
    if !names(spec, pair) {
        return Err(RouteError::NotNamed { service: pair.stable.to_owned() });
    }
    for rule in &original.rules {
        let service = pair.canary.to_owned();
        let weight = rule.own_canary.as_ref().map_or(0, |own| own.weight.unwrap_or(DEFAULT_WEIGHT));
        if weight != 0 {
            return Err(RouteError::CanaryWeighted { rule: rule.index, service, weight });
        }
    }
    // Weight 0 as well: it finds what no weight can cure.
    weights.iter().chain(&[0]).try_for_each(|weight| with_weight(spec, pair, original, *weight).map(drop))
}

/// The spec in which the canary gets `weight` percent of what each rule gives to the Deployment.
///
/// A rule in which no other backend has any weight shares 100 between the two. Where others take part, they keep
/// their weights, and the stable ref's original weight is what is divided. A canary ref that isn't there is made
/// from the stable ref and put right behind it; at weight 0 it stays. A rule that appeared since `original` was
/// read is divided like the others, by the weight it has now.
///
/// # Errors
/// If a rule can't express the weight, see [`RouteError`]. [`restored`] takes all traffic away without errors.
pub fn with_weight(spec: &Value, pair: &Pair, original: &Original, weight: u8) -> Result<Value, RouteError> {
    if weight > 100 {
        return Err(RouteError::TooHigh { weight });
    }
    let mut spec = spec.clone();
    let mut named = false;
    for (index, rule) in rules_mut(&mut spec).iter_mut().enumerate() {
        let before = original.rules.iter().find(|rule| rule.index == index);
        named |= weigh(rule, pair, index, before, weight)?;
    }
    if named { Ok(spec) } else { Err(RouteError::NotNamed { service: pair.stable.to_owned() }) }
}

/// The spec as it was: without the canary refs that were added, with the weights of before.
///
/// What was changed in the route meanwhile stays. A rule that `original` doesn't know loses its canary ref, for
/// the canary Service may vanish, and its stable ref gets the weight of both.
pub fn restored(spec: &Value, pair: &Pair, original: &Original) -> Value {
    let mut spec = spec.clone();
    for (index, rule) in rules_mut(&mut spec).iter_mut().enumerate() {
        let before = original.rules.iter().find(|rule| rule.index == index);
        let stable = position(rule, pair, pair.stable);
        let canary = position(rule, pair, pair.canary);
        let Some(refs) = refs_mut(rule) else { continue };
        match (before, stable, canary) {
            (Some(before), Some(stable), _) => write(&mut refs[stable], before.stable_weight),
            (None, Some(stable), Some(canary)) => {
                let share = effective(&refs[stable]).saturating_add(effective(&refs[canary]));
                write(&mut refs[stable], Some(share));
            }
            _ => {}
        }
        match (before.and_then(|before| before.own_canary.as_ref()), canary) {
            (Some(own), Some(canary)) => write(&mut refs[canary], own.weight),
            (None, Some(canary)) => drop(refs.remove(canary)),
            (_, None) => {}
        }
    }
    spec
}

/// The percentage that the canary gets of the pair's traffic, rounded up so that no traffic goes unseen; none if
/// no rule names either Service, or the rules disagree.
pub fn seen(spec: &Value, pair: &Pair) -> Option<u8> {
    let of_rule = |rule: &Value| {
        let weight = |service| position(rule, pair, service).map(|at| effective(&refs(rule)[at]).max(0));
        let (stable, canary) = (weight(pair.stable), weight(pair.canary));
        if stable.is_none() && canary.is_none() {
            return None;
        }
        let (stable, canary) = (i128::from(stable.unwrap_or(0)), i128::from(canary.unwrap_or(0)));
        let all = stable + canary;
        Some(if all == 0 { 0 } else { (canary * 100 + all - 1) / all })
    };
    let mut percentages = rules(spec).iter().filter_map(of_rule);
    let first = percentages.next()?;
    percentages.all(|other| other == first).then(|| u8::try_from(first).ok()).flatten()
}

/// What the gateways say about the route's `generation`, from `status.parents[].conditions`.
///
/// A gateway refuses by `Accepted` or `ResolvedRefs` False (the canary Service isn't known to it), or by
/// `PartiallyInvalid` True. Gateways that haven't seen the generation have no say: one that was taken down would
/// be waited for in vain.
pub fn accepted(status: &Value, generation: i64) -> Acceptance {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut acceptance = Acceptance::Pending;
    let conditions = array(&status["parents"]).iter().flat_map(|parent| array(&parent["conditions"]));
    for condition in conditions {
        if condition["observedGeneration"].as_i64().is_none_or(|seen| seen < generation) {
            continue;
        }
        match (text(condition, "type").as_str(), text(condition, "status").as_str()) {
            ("Accepted" | "ResolvedRefs", "False") | ("PartiallyInvalid", "True") => {
                return Acceptance::Rejected {
                    reason: text(condition, "reason"),
                    message: text(condition, "message"),
                };
            }
            ("Accepted", "True") => acceptance = Acceptance::Accepted,
            _ => {}
        }
    }
    acceptance
}

/// Divides one rule; whether it names the pair at all.
fn weigh(
    rule: &mut Value,
    pair: &Pair,
    index: usize,
    before: Option<&RuleOriginal>,
    weight: u8,
) -> Result<bool, RouteError> {
    let service = pair.stable.to_owned();
    for service in [pair.stable, pair.canary] {
        if refs(rule).iter().filter(|backend| is(backend, pair, service)).count() > 1 {
            return Err(RouteError::Ambiguous { rule: index, service: service.to_owned() });
        }
    }
    let foreign = |backend: &&Value| !is(backend, pair, pair.stable) && !is(backend, pair, pair.canary);
    let shared = refs(rule).iter().filter(foreign).any(|backend| effective(backend) != 0);
    let stable = position(rule, pair, pair.stable);
    let canary = position(rule, pair, pair.canary);
    let Some(refs) = refs_mut(rule) else { return Ok(false) };
    let stable = match (stable, canary) {
        (Some(stable), _) => stable,
        (None, None) => return Ok(false),
        (None, Some(canary)) if weight == 0 => {
            write(&mut refs[canary], Some(0));
            return Ok(true);
        }
        (None, Some(_)) => return Err(RouteError::StableMissing { rule: index, service }),
    };
    let share = match before {
        Some(before) => before.stable_weight.unwrap_or(DEFAULT_WEIGHT),
        None => effective(&refs[stable]).saturating_add(canary.map_or(0, |at| effective(&refs[at]))),
    };
    if share <= 0 {
        return Err(RouteError::StableUnweighted { rule: index, service });
    }
    let whole = if shared { share } else { 100 };
    let product = whole.saturating_mul(i64::from(weight));
    if product % 100 != 0 {
        return Err(RouteError::WeightNotExpressible { rule: index, weight, share });
    }
    let part = product / 100;
    let canary = canary.unwrap_or_else(|| {
        let mut copy = refs[stable].clone();
        copy["name"] = pair.canary.into();
        refs.insert(stable + 1, copy);
        stable + 1
    });
    // A canary inserted stands behind the stable ref, so that the latter's place is still right.
    write(&mut refs[stable], Some(whole - part));
    write(&mut refs[canary], Some(part));
    Ok(true)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn rules(spec: &Value) -> &[Value] {
    array(&spec["rules"])
}

fn rules_mut(spec: &mut Value) -> &mut [Value] {
    spec.get_mut("rules").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

fn refs(rule: &Value) -> &[Value] {
    array(&rule["backendRefs"])
}

fn refs_mut(rule: &mut Value) -> Option<&mut Vec<Value>> {
    rule.get_mut("backendRefs").and_then(Value::as_array_mut)
}

/// Whether a `backendRef` means this Service of the pair's namespace; absent keys have their API defaults.
fn is(backend: &Value, pair: &Pair, service: &str) -> bool {
    let says = |key: &str, default: &str, wanted: &str| {
        backend.get(key).map_or(Some(default), Value::as_str).is_some_and(|value| value == wanted)
    };
    says("name", "", service)
        && says("kind", "Service", "Service")
        && says("group", "", "")
        && says("namespace", pair.namespace, pair.namespace)
}

fn position(rule: &Value, pair: &Pair, service: &str) -> Option<usize> {
    refs(rule).iter().position(|backend| is(backend, pair, service))
}

/// The weight as it is written, if it is.
fn written(backend: &Value) -> Option<i64> {
    backend.get("weight").and_then(Value::as_i64)
}

/// The weight as a gateway reads it.
fn effective(backend: &Value) -> i64 {
    written(backend).unwrap_or(DEFAULT_WEIGHT)
}

fn write(backend: &mut Value, weight: Option<i64>) {
    let Some(backend) = backend.as_object_mut() else { return };
    match weight {
        Some(weight) => backend.insert("weight".to_owned(), weight.into()),
        None => backend.remove("weight"),
    };
}
