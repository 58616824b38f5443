//! At the end the route is what the user would have had without a rollout, whatever the user edited
//! meanwhile.
//!
//! An edit is made twice: on the route as it would be without a rollout, and on the one that is
//! being shifted. A field edit (`kubectl edit`, server-side apply of a field) changes what it
//! names; applying a whole manifest replaces the list of rules, or of one rule's backends, because
//! both are atomic lists.

use proptest::prelude::*;

use super::*;
use crate::traffic::gateway::rule;

/// What a user does to a route.
#[derive(Clone, Debug)]
enum Edit {
    /// Another weight for the stable ref of the rule.
    Weight(usize, i64),
    /// Another backend in the rule, with this weight.
    AddBackend(usize, i64),
    /// Removes a backend that is neither stable's nor the canary's.
    RemoveBackend(usize),
    /// Another rule at this place.
    AddRule(usize, Option<i64>),
    /// Removes the rule.
    RemoveRule(usize),
    /// The rules in the reverse order.
    Reverse,
    /// Other matches for the rule.
    Rematch(usize),
    /// The whole list of rules as the user has it.
    Replace,
    /// The rule's whole list of backends as the user has it.
    ReplaceBackends(usize),
    /// Another hostname.
    Hostname,
}

/// Weights of edits: higher than those that a rollout writes, so that they never coincide.
const NEW: std::ops::Range<i64> = 100_003..100_900;

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..4usize, NEW).prop_map(|(at, weight)| Edit::Weight(at, weight)),
        (0..4usize, 1..5i64).prop_map(|(at, weight)| Edit::AddBackend(at, weight)),
        (0..4usize).prop_map(Edit::RemoveBackend),
        (0..4usize, proptest::option::of(NEW)).prop_map(|(at, weight)| Edit::AddRule(at, weight)),
        (0..4usize).prop_map(Edit::RemoveRule),
        Just(Edit::Reverse),
        (0..4usize).prop_map(Edit::Rematch),
        Just(Edit::Replace),
        (0..4usize).prop_map(Edit::ReplaceBackends),
        Just(Edit::Hostname),
    ]
}

fn rules(object: &mut Object) -> &mut Vec<Value> {
    object.spec["rules"].as_array_mut().unwrap()
}

fn backends(rule: &mut Value) -> &mut Vec<Value> {
    rule["backendRefs"].as_array_mut().unwrap()
}

fn is_stable(backend: &Value) -> bool {
    backend["name"] == "web" && backend["namespace"].is_null()
}

/// Makes the edit on one of the two routes; `plain` is the one without a rollout, already edited.
fn edit(object: &mut Object, edit: &Edit, serial: usize, plain: Option<&Object>) {
    match edit {
        Edit::Weight(at, weight) => {
            let Some(rule) = rules(object).get_mut(*at) else { return };
            for backend in backends(rule).iter_mut().filter(|backend| is_stable(backend)) {
                backend["weight"] = (*weight).into();
            }
        }
        Edit::AddBackend(at, weight) => {
            let Some(rule) = rules(object).get_mut(*at) else { return };
            backends(rule).push(json!({"name": format!("new-{serial}"), "weight": weight}));
        }
        Edit::RemoveBackend(at) => {
            let Some(rule) = rules(object).get_mut(*at) else { return };
            let other = |backend: &Value| {
                backend["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("other") || name.starts_with("new"))
            };
            if let Some(place) = backends(rule).iter().position(other) {
                backends(rule).remove(place);
            }
        }
        Edit::AddRule(at, weight) => {
            let mut backend = json!({"name": "web"});
            rule::write(&mut backend, *weight);
            let place = (*at).min(rules(object).len());
            let matches = json!([{"path": {"value": format!("/new-{serial}")}}]);
            rules(object).insert(place, json!({"matches": matches, "backendRefs": [backend]}));
        }
        Edit::RemoveRule(at) if *at < rules(object).len() => drop(rules(object).remove(*at)),
        Edit::RemoveRule(_) => {}
        Edit::Reverse => rules(object).reverse(),
        Edit::Rematch(at) => {
            let Some(rule) = rules(object).get_mut(*at) else { return };
            rule["matches"] = json!([{"path": {"value": format!("/edited-{serial}")}}]);
        }
        Edit::Replace => {
            if let Some(plain) = plain {
                object.spec["rules"] = plain.spec["rules"].clone();
            }
        }
        Edit::ReplaceBackends(at) => {
            let list =
                plain.and_then(|plain| plain.spec["rules"].get(*at)).map(|rule| rule["backendRefs"].clone());
            if let (Some(list), Some(rule)) = (list, rules(object).get_mut(*at)) {
                rule["backendRefs"] = list;
            }
        }
        Edit::Hostname => object.spec["hostnames"] = json!([format!("h{serial}.test")]),
    }
}

/// Returns a route with rules of all sorts: named or not, shared with others or not, with a canary
/// ref of the user's or not, and some that don't name the Service.
fn routes() -> impl Strategy<Value = Object> {
    // Multiples of 1000 divide into any weight, so that no rule refuses.
    let stable = (proptest::option::of(1..9i64), any::<bool>());
    let other = (0..3u8, proptest::option::of(0..50i64));
    let rule = (any::<bool>(), proptest::option::weighted(0.8, stable), prop::collection::vec(other, 0..3));
    prop::collection::vec(rule.prop_map(|(named, stable, others)| made(named, stable, others)), 1..4)
        .prop_map(|mut rules| {
            for (index, rule) in rules.iter_mut().enumerate() {
                rule["matches"] = json!([{"path": {"value": format!("/{index}")}}]);
                if rule["name"] == "rule" {
                    rule["name"] = format!("rule-{index}").into();
                }
            }
            with_spec(json!({"rules": rules, "hostnames": ["x"]}))
        })
}

/// Returns one rule: with or without a name, stable's weight and whether the user has a canary ref,
/// other backends.
fn made(named: bool, stable: Option<(Option<i64>, bool)>, others: Vec<(u8, Option<i64>)>) -> Value {
    let other = |(n, weight): (u8, Option<i64>)| {
        let mut backend = json!({"name": format!("other-{n}"), "filters": [{"type": "X"}]});
        if n == 0 {
            // Of another namespace: another Service by the same name.
            backend = json!({"name": "web", "namespace": "elsewhere"});
        }
        rule::write(&mut backend, weight);
        backend
    };
    let mut refs: Vec<Value> = others.into_iter().map(other).collect();
    let alone = refs.iter().all(|backend| rule::effective(backend) == 0);
    if let Some((weight, own)) = stable {
        let mut backend = json!({"name": "web", "port": 8080});
        rule::write(&mut backend, if alone { weight } else { Some(weight.unwrap_or(3) * 1000) });
        refs.insert(refs.len() / 2, backend);
        if own {
            refs.push(json!({"name": "web-canary", "port": 1, "weight": 0}));
        }
    }
    if named { json!({"name": "rule", "backendRefs": refs}) } else { json!({"backendRefs": refs}) }
}

/// Returns the backends of a route that no rollout changes.
fn foreign(object: &Object) -> Vec<Vec<&Value>> {
    let named = rule::Named { pair: &PAIR, namespace: "shop" };
    let of_rule = |rule| rule::refs(rule).iter().filter(|backend| named.is_foreign(backend)).collect();
    rule::rules(&object.spec).iter().map(of_rule).collect()
}

fn names_the_pair(object: &Object) -> bool {
    GatewayApi.find(std::slice::from_ref(object), &PAIR, &[]).len() == 1
}

proptest! {
    #[test]
    fn any_sequence_of_weights_is_observed_keeps_other_backends_and_is_restored(
        before in routes(), tenths in prop::collection::vec(1..=1000u16, 1..5),
    ) {
        prop_assume!(names_the_pair(&before));
        let mut now = before.clone();
        for tenths in tenths {
            let weight = Weight::from_tenths(tenths).unwrap();
            now = at(&now, weight).unwrap();
            prop_assert_eq!(observed(&now), Some(tenths));
            prop_assert_eq!(foreign(&now), foreign(&before));
            prop_assert_eq!(at(&now, weight).unwrap(), now.clone(), "a second plan is empty");
            prop_assert_eq!(observed(&withdrawn(&now)), Some(0));
            prop_assert_eq!(restored(&withdrawn(&now)), before.clone());
            prop_assert_eq!(restored(&now), before.clone());
        }
    }

    #[test]
    fn at_the_end_the_route_is_what_the_user_would_have_without_a_rollout(
        before in routes(), course in prop::collection::vec((0..=1000u16, edits(), any::<bool>()), 1..5),
    ) {
        let (mut plain, mut shifted) = (before.clone(), before);
        for (serial, (tenths, change, withdraw)) in course.iter().enumerate() {
            // A route that can't carry the weight, as it was edited, is left as it is.
            let planned = at(&shifted, Weight::from_tenths(*tenths).unwrap());
            shifted = planned.unwrap_or(shifted);
            if *withdraw {
                shifted = withdrawn(&shifted);
            }
            edit(&mut plain, change, serial, None);
            edit(&mut shifted, change, serial, Some(&plain));
        }
        prop_assert_eq!(restored(&shifted).spec, plain.spec);
        prop_assert_eq!(restored(&shifted).meta, plain.meta, "no mark is left");
    }
}

#[test]
fn a_rule_is_recognized_after_others_were_inserted_removed_or_reordered() {
    let rule = |path: &str, refs: Value| json!({"matches": [{"path": {"value": path}}], "backendRefs": refs});
    let before = with_spec(json!({"rules": [
        rule("/a", json!([{"name": "web", "weight": 900}, {"name": "other", "weight": 100}])),
        rule("/b", json!([{"name": "web", "weight": 7}])),
        rule("/c", json!([{"name": "web"}])),
    ]}));
    let mut shifted = at_percent(&before, 10);
    let mut plain = before.clone();
    for object in [&mut shifted, &mut plain] {
        rules(object).swap(0, 2);
        rules(object).remove(1);
        rules(object).insert(0, rule("/new", json!([{"name": "web", "weight": 3}])));
    }
    assert_eq!(restored(&at_percent(&shifted, 50)), plain);
}

#[test]
fn weights_that_a_user_changes_during_a_rollout_stay() {
    let before = route(&json!([{"name": "web", "weight": 900}, {"name": "other", "weight": 100}]));
    let mut shifted = at_percent(&before, 10);
    let list = shifted.spec["rules"][0]["backendRefs"].as_array_mut().unwrap();
    (list[0]["weight"], list[2]["weight"]) = (100.into(), 900.into());
    let again = at_percent(&shifted, 10);
    assert_eq!(refs(&again)[0]["weight"], 90, "a tenth of the user's newer share");
    let wanted = json!([{"name": "web", "weight": 100}, {"name": "other", "weight": 900}]);
    assert_eq!(*refs(&restored(&again)), wanted);
}

#[test]
fn another_split_of_the_same_share_is_corrected() {
    let before = route(&json!([{"name": "web", "weight": 900}, {"name": "other", "weight": 100}]));
    let mut shifted = at_percent(&before, 10);
    let list = shifted.spec["rules"][0]["backendRefs"].as_array_mut().unwrap();
    (list[0]["weight"], list[1]["weight"]) = (0.into(), 900.into());
    assert_eq!(observed(&shifted), Some(1000), "all of the Deployment's traffic, by hand");
    let again = at_percent(&shifted, 10);
    assert_eq!(observed(&again), Some(100));
    assert_eq!(restored(&again), before);
    assert_eq!(restored(&withdrawn(&shifted)), before);
}
