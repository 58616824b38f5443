//! The weights of a route's rules.

use std::{collections::BTreeMap, convert::Infallible};

use serde_json::Value;

use super::{
    ORIGINAL,
    memory::{Before, Identity, Memory, Remembered},
    rule::{Named, effective, refs, refs_mut, rules, rules_mut, write},
};
use crate::traffic::{Change, Object, Pair, RouteError, Weight};

/// Returns whether any rule of a route refers to this Service of the pair.
pub(super) fn names(object: &Object, pair: &Pair, service: &str) -> bool {
    let named = Named { pair, namespace: &object.meta.namespace };
    rules(&object.spec).iter().any(|rule| named.position(rule, service).is_some())
}

/// Checks that a route can carry each of these weights.
///
/// # Errors
/// The first problem.
pub(super) fn check(object: &Object, pair: &Pair, weights: &[Weight]) -> Result<(), RouteError> {
    if !names(object, pair, pair.stable) {
        return Err(RouteError::NotNamed { service: pair.stable.to_owned() });
    }
    let named = Named { pair, namespace: &object.meta.namespace };
    let memory = Memory::of(object, &named);
    let rules = rules(&object.spec);
    for (index, (rule, remembered)) in rules.iter().zip(memory.by_rule(rules, &named)).enumerate() {
        let weight = named.canary(rule).map_or(0, effective);
        // A ref with a stored rule is left from a rollout, not written by a user.
        if weight != 0 && remembered.is_none() {
            let service = pair.canary.to_owned();
            return Err(RouteError::CanaryWeighted { rule: index, service, weight });
        }
        let before = Before::of(rule, &named, remembered);
        // Weight 0 too: it finds problems that exist at any weight.
        for weight in weights.iter().chain([&Weight::ZERO]) {
            divided(&mut rule.clone(), &named, index, &before, *weight)?;
        }
    }
    Ok(())
}

/// Returns the canary's share of the pair's weight: the largest of all rules, rounded up.
pub(super) fn observe(object: &Object, pair: &Pair) -> Option<Weight> {
    let named = Named { pair, namespace: &object.meta.namespace };
    let of_rule = |rule: &Value| {
        let weight = |backend: Option<&Value>| backend.map(|backend| effective(backend).max(0));
        let (stable, canary) = (weight(named.stable(rule)), weight(named.canary(rule)));
        (stable.is_some() || canary.is_some()).then(|| {
            let (stable, canary) = (stable.unwrap_or(0), canary.unwrap_or(0));
            Weight::of(canary, stable.saturating_add(canary))
        })
    };
    rules(&object.spec).iter().filter_map(of_rule).max()
}

/// Returns the change that gives the canary this weight, in every rule that refers to the stable
/// Service.
///
/// If no other backend of a rule has weight, the pair divides 100 (1000 for tenths of a percent).
/// Otherwise the others keep their weights, and the pair divides the stable ref's weight. A missing
/// canary ref is copied from the stable ref and inserted after it. At weight 0 an existing one
/// stays, and none is created.
///
/// # Errors
/// If a rule can't express the weight.
pub(super) fn plan<'a>(
    object: &'a Object,
    pair: &Pair,
    want: Weight,
) -> Result<Option<Change<'a>>, RouteError> {
    if !names(object, pair, pair.stable) && !names(object, pair, pair.canary) {
        return Err(RouteError::NotNamed { service: pair.stable.to_owned() });
    }
    each_rule(object, pair, |index, rule, named, remembered| {
        if want == Weight::ZERO && named.canary(rule).is_none() {
            return Ok(None);
        }
        let before = Before::of(rule, named, remembered);
        let wrote = divided(rule, named, index, &before, want)?;
        Ok(wrote.map(|wrote| Remembered { identity: Identity::of(rule), before, wrote }))
    })
}

/// Returns the change that sets the canary's weight to 0. A rule that can no longer be divided is
/// restored.
pub(super) fn withdraw<'a>(object: &'a Object, pair: &Pair) -> Option<Change<'a>> {
    let Ok(change) = each_rule::<Infallible>(object, pair, |index, rule, named, remembered| {
        let is_open = |backend: &Value| named.is(backend, pair.canary) && effective(backend) != 0;
        if !refs(rule).iter().any(is_open) {
            return Ok(remembered.cloned());
        }
        let before = Before::of(rule, named, remembered);
        if let Ok(Some(wrote)) = divided(rule, named, index, &before, Weight::ZERO) {
            return Ok(Some(Remembered { identity: Identity::of(rule), before, wrote }));
        }
        restored(rule, named, remembered);
        for backend in refs_mut(rule).into_iter().flatten().filter(|backend| named.is(backend, pair.canary)) {
            write(backend, Some(0));
        }
        Ok(None)
    });
    change
}

/// Returns the change that leaves the route as the user would have it without a rollout.
pub(super) fn restore<'a>(object: &'a Object, pair: &Pair) -> Option<Change<'a>> {
    let Ok(change) = each_rule::<Infallible>(object, pair, |_, rule, named, remembered| {
        restored(rule, named, remembered);
        Ok(None)
    });
    change
}

/// Edits each rule of a route, given its stored rule, and stores what the edit returns.
fn each_rule<'a, E>(
    object: &'a Object,
    pair: &Pair,
    mut edit: impl FnMut(usize, &mut Value, &Named, Option<&Remembered>) -> Result<Option<Remembered>, E>,
) -> Result<Option<Change<'a>>, E> {
    let named = Named { pair, namespace: &object.meta.namespace };
    let memory = Memory::of(object, &named);
    let found = memory.by_rule(rules(&object.spec), &named);
    let (mut kept, mut spec) = (Vec::new(), object.spec.clone());
    for (index, (rule, remembered)) in rules_mut(&mut spec).iter_mut().zip(found).enumerate() {
        kept.extend(edit(index, rule, &named, remembered)?);
    }
    let memory = Memory(kept).annotation(object, &named);
    Ok(Change::of(object, spec, BTreeMap::from([(ORIGINAL, memory)])))
}

/// Gives the canary this weight in one rule. Returns the weights written, or `None` if the rule
/// does not refer to the pair.
fn divided(
    rule: &mut Value,
    named: &Named,
    index: usize,
    before: &Before,
    want: Weight,
) -> Result<Option<(i64, i64)>, RouteError> {
    let service = || named.pair.stable.to_owned();
    if let Some(twice) = named.twice(rule) {
        return Err(RouteError::Ambiguous { rule: index, service: twice.to_owned() });
    }
    let shared = named.is_shared(rule);
    let stable = named.position(rule, named.pair.stable);
    let canary = named.position(rule, named.pair.canary);
    let Some(refs) = refs_mut(rule) else { return Ok(None) };
    let stable = match (stable, canary) {
        (Some(stable), _) => stable,
        (None, None) => return Ok(None),
        (None, Some(canary)) if want == Weight::ZERO => {
            write(&mut refs[canary], Some(0));
            return Ok(Some((0, 0)));
        }
        (None, Some(_)) => return Err(RouteError::StableMissing { rule: index, service: service() }),
    };
    let share = before.stable.unwrap_or(1);
    if share <= 0 {
        return Err(RouteError::StableUnweighted { rule: index, service: service() });
    }
    let whole = match (shared, want.is_whole_percent()) {
        (true, _) => share,
        (false, true) => 100,
        (false, false) => 1000,
    };
    let Some(part) = want.share_of(whole) else {
        return Err(RouteError::WeightNotExpressible { rule: index, weight: want, share });
    };
    let canary = canary.unwrap_or_else(|| {
        let mut copy = refs[stable].clone();
        copy["name"] = named.pair.canary.into();
        refs.insert(stable + 1, copy);
        stable + 1
    });
    // An inserted canary ref is after the stable ref, so the index of the latter is still valid.
    write(&mut refs[stable], Some(whole - part));
    write(&mut refs[canary], Some(part));
    Ok(Some((whole - part, part)))
}

/// Restores one rule. A rule without a canary ref needs no change.
fn restored(rule: &mut Value, named: &Named, remembered: Option<&Remembered>) {
    let before = Before::of(rule, named, remembered);
    let (stable, canary) = (named.position(rule, named.pair.stable), named.position(rule, named.pair.canary));
    let (Some(canary), Some(refs)) = (canary, refs_mut(rule)) else { return };
    if let Some(stable) = stable {
        write(&mut refs[stable], before.stable);
    }
    match before.own_canary {
        Some(own) => write(&mut refs[canary], own.weight),
        None => drop(refs.remove(canary)),
    }
}
