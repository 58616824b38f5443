use super::*;
use proptest::prelude::*;
use serde_json::json;

const PAIR: Pair = Pair { namespace: "shop", stable: "web", canary: "web-canary" };

fn route(refs: &Value) -> Value {
    json!({"parentRefs": [{"name": "gw"}], "hostnames": ["a.b"],
        "rules": [{"matches": [{"path": {"value": "/"}}], "backendRefs": refs}]})
}

fn moved(spec: &Value, weight: u8) -> Result<Value, RouteError> {
    with_weight(spec, &PAIR, &original(spec, &PAIR), weight)
}

#[test]
fn alone_in_a_rule_the_pair_shares_100_and_the_canary_is_a_copy_behind_stable() {
    let spec = route(&json!([{"name": "web", "port": 80, "filters": [{"type": "X"}]}]));
    let expected = route(&json!([
        {"name": "web", "port": 80, "filters": [{"type": "X"}], "weight": 95},
        {"name": "web-canary", "port": 80, "filters": [{"type": "X"}], "weight": 5},
    ]));
    let touched = moved(&spec, 5).unwrap();
    assert_eq!(touched, expected);
    let before = original(&spec, &PAIR);
    assert_eq!(
        before,
        Original { rules: vec![RuleOriginal { index: 0, stable_weight: None, own_canary: None }] }
    );
    assert_eq!(restored(&touched, &PAIR, &before).to_string(), spec.to_string());
}

#[test]
fn at_weight_0_the_canary_ref_stays() {
    let spec = route(&json!([{"name": "web", "port": 80, "weight": 7}]));
    let touched = moved(&spec, 0).unwrap();
    let refs = &touched["rules"][0]["backendRefs"];
    assert_eq!(
        refs,
        &json!([
            {"name": "web", "port": 80, "weight": 100}, {"name": "web-canary", "port": 80, "weight": 0}
        ])
    );
    assert_eq!(seen(&touched, &PAIR), Some(0));
}

#[test]
fn other_backends_keep_their_weights_and_the_share_is_divided() {
    let spec = route(&json!([{"name": "old", "weight": 60}, {"name": "web", "weight": 40}]));
    let expected = route(&json!([
        {"name": "old", "weight": 60}, {"name": "web", "weight": 30}, {"name": "web-canary", "weight": 10},
    ]));
    assert_eq!(moved(&spec, 25).unwrap(), expected);
}

#[test]
fn a_share_that_whole_numbers_can_not_express_is_refused_beforehand() {
    let spec = route(&json!([{"name": "old", "weight": 9}, {"name": "web", "weight": 10}]));
    let before = original(&spec, &PAIR);
    assert_eq!(check(&spec, &PAIR, &before, &[10, 50, 100]), Ok(()));
    let refused = RouteError::WeightNotExpressible { rule: 0, weight: 5, share: 10 };
    assert_eq!(check(&spec, &PAIR, &before, &[10, 5]), Err(refused.clone()));
    assert_eq!(moved(&spec, 5), Err(refused));
    // A backend that gets nothing doesn't limit the numbers.
    let idle = route(&json!([{"name": "old", "weight": 0}, {"name": "web"}]));
    assert_eq!(seen(&moved(&idle, 5).unwrap(), &PAIR), Some(5));
}

#[test]
fn what_no_weight_can_cure_is_refused_even_without_weights() {
    let web = |weight: i64| json!({"name": "web", "weight": weight});
    let service = || "web".to_owned();
    for (refs, expected) in [
        (json!([{"name": "other"}]), RouteError::NotNamed { service: service() }),
        (json!([web(0)]), RouteError::StableUnweighted { rule: 0, service: service() }),
        (json!([web(1), web(2)]), RouteError::Ambiguous { rule: 0, service: service() }),
        (
            json!([web(1), {"name": "web-canary"}]),
            RouteError::CanaryWeighted { rule: 0, service: "web-canary".to_owned(), weight: 1 },
        ),
        (
            json!([web(1), {"name": "web-canary", "weight": 0}, {"name": "web-canary", "weight": 0}]),
            RouteError::Ambiguous { rule: 0, service: "web-canary".to_owned() },
        ),
    ] {
        let spec = route(&refs);
        assert_eq!(check(&spec, &PAIR, &original(&spec, &PAIR), &[]), Err(expected), "{refs}");
    }
    let spec = route(&json!([web(1)]));
    assert_eq!(moved(&spec, 101), Err(RouteError::TooHigh { weight: 101 }));
}

#[test]
fn only_a_service_of_the_pairs_namespace_is_meant() {
    for (backend, expected) in [
        (json!({"name": "web"}), true),
        (json!({"name": "web", "kind": "Service", "group": "", "namespace": "shop"}), true),
        (json!({"name": "web", "namespace": "elsewhere"}), false),
        (json!({"name": "web", "kind": "ServiceImport", "group": "multicluster.x-k8s.io"}), false),
        (json!({"name": "web", "group": "example.com"}), false),
        (json!({"name": "web-canary"}), false),
        (json!({}), false),
    ] {
        assert_eq!(names(&route(&json!([backend])), &PAIR), expected, "{backend}");
    }
    for spec in [json!({}), json!({"rules": [{}]}), json!({"rules": 3}), json!(null)] {
        assert!(!names(&spec, &PAIR));
        assert_eq!(seen(&spec, &PAIR), None);
        assert_eq!(restored(&spec, &PAIR, &Original::default()), spec);
    }
}

#[test]
fn the_users_own_canary_ref_keeps_its_place_and_its_weight_of_before() {
    let spec = route(&json!([{"name": "web-canary", "port": 81, "weight": 0}, {"name": "web", "port": 80}]));
    let touched = moved(&spec, 20).unwrap();
    assert_eq!(
        touched["rules"][0]["backendRefs"],
        json!([
            {"name": "web-canary", "port": 81, "weight": 20}, {"name": "web", "port": 80, "weight": 80},
        ])
    );
    assert_eq!(restored(&touched, &PAIR, &original(&spec, &PAIR)).to_string(), spec.to_string());
}

#[test]
fn rules_that_vanished_or_appeared_meanwhile_are_no_obstacle() {
    let spec = json!({"rules": [
        {"backendRefs": [{"name": "other"}]}, {"backendRefs": [{"name": "web"}]}, {"backendRefs": [{"name": "web"}]},
    ]});
    let before = original(&spec, &PAIR);
    let mut touched = with_weight(&spec, &PAIR, &before, 30).unwrap();
    // The first rule is taken out: the rest move up, and the last place of the original is empty.
    touched["rules"].as_array_mut().unwrap().remove(0);
    let zero = with_weight(&touched, &PAIR, &before, 0).unwrap();
    assert_eq!(seen(&zero, &PAIR), Some(0));
    let back = restored(&touched, &PAIR, &before);
    assert_eq!(back["rules"][0]["backendRefs"], json!([{"name": "web", "weight": 100}]));
    assert_eq!(back["rules"][1]["backendRefs"], json!([{"name": "web"}]));
}

#[test]
fn a_canary_left_without_stable_can_only_be_closed() {
    let spec = route(&json!([{"name": "web-canary", "weight": 30}]));
    let before = Original { rules: vec![RuleOriginal { index: 0, stable_weight: None, own_canary: None }] };
    let missing = RouteError::StableMissing { rule: 0, service: "web".to_owned() };
    assert_eq!(with_weight(&spec, &PAIR, &before, 30), Err(missing));
    assert_eq!(seen(&spec, &PAIR), Some(100));
    assert_eq!(seen(&with_weight(&spec, &PAIR, &before, 0).unwrap(), &PAIR), Some(0));
    assert_eq!(restored(&spec, &PAIR, &before)["rules"][0]["backendRefs"], json!([]));
}

#[test]
fn rules_that_disagree_are_not_seen_as_one_weight_and_a_little_traffic_is_never_0() {
    let rule = |stable: i64, canary: i64| json!({"backendRefs": [{"name": "web", "weight": stable}, {"name": "web-canary", "weight": canary}]});
    assert_eq!(seen(&json!({"rules": [rule(95, 5), rule(38, 2)]}), &PAIR), Some(5));
    assert_eq!(seen(&json!({"rules": [rule(95, 5), rule(94, 6)]}), &PAIR), None);
    assert_eq!(seen(&json!({"rules": [rule(100_000, 1)]}), &PAIR), Some(1));
    assert_eq!(seen(&json!({"rules": [rule(0, 0)]}), &PAIR), Some(0));
    assert_eq!(seen(&route(&json!([{"name": "web"}])), &PAIR), Some(0));
}

#[test]
fn a_route_is_accepted_when_a_gateway_took_this_generation_and_none_refused_it() {
    let says = |kind: &str, status: &str, generation: i64| json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "R", "message": "M"});
    let rejected = Acceptance::Rejected { reason: "R".to_owned(), message: "M".to_owned() };
    for (parents, expected) in [
        (vec![], Acceptance::Pending),
        (vec![vec![says("Accepted", "True", 2)]], Acceptance::Pending),
        (vec![vec![says("Accepted", "False", 2)]], Acceptance::Pending),
        (vec![vec![says("Accepted", "Unknown", 3)]], Acceptance::Pending),
        (vec![vec![says("ResolvedRefs", "True", 3)]], Acceptance::Pending),
        (vec![vec![says("Accepted", "True", 3)]], Acceptance::Accepted),
        (vec![vec![says("Accepted", "True", 4)]], Acceptance::Accepted),
        (vec![vec![says("Accepted", "True", 2)], vec![says("Accepted", "True", 3)]], Acceptance::Accepted),
        (vec![vec![says("Accepted", "True", 3)], vec![says("Accepted", "False", 3)]], rejected.clone()),
        (vec![vec![says("Accepted", "True", 3), says("ResolvedRefs", "False", 3)]], rejected.clone()),
        (vec![vec![says("Accepted", "True", 3), says("PartiallyInvalid", "True", 3)]], rejected),
    ] {
        let parents: Vec<Value> = parents.into_iter().map(|it| json!({"conditions": it})).collect();
        assert_eq!(accepted(&json!({"parents": parents}), 3), expected, "{parents:?}");
    }
    assert_eq!(accepted(&Value::Null, 1), Acceptance::Pending);
}

/// Rules that name the stable Service or don't, with backends of others around it.
fn specs() -> impl Strategy<Value = Value> {
    let stranger = (0..4u8, proptest::option::of(0..50i64)).prop_map(|(n, weight)| {
        let mut backend = json!({"name": format!("other-{n}"), "port": 80, "filters": [{"type": "X"}]});
        if n == 0 {
            // Of another namespace: a stranger by the same name.
            backend = json!({"name": "web", "namespace": "elsewhere"});
        }
        write(&mut backend, weight);
        backend
    });
    // Multiples of 100 divide into any percentage, so that no rule refuses.
    let stable = (proptest::option::of(1..9i64), any::<bool>(), any::<bool>());
    let rule = (prop::collection::vec(stranger, 0..4), proptest::option::of(stable), 0..4usize);
    let rule = rule.prop_map(|(mut refs, stable, at)| {
        let alone = refs.iter().all(|backend| effective(backend) == 0);
        if let Some((weight, own, keyed)) = stable {
            let mut backend = json!({"name": "web", "port": 8080});
            if keyed {
                backend["namespace"] = "shop".into();
            }
            let weight = if alone { weight } else { Some(weight.unwrap_or(3) * 100) };
            write(&mut backend, weight);
            refs.insert(at.min(refs.len()), backend);
            if own {
                refs.push(json!({"name": "web-canary", "port": 1, "weight": 0}));
            }
        }
        json!({"name": "r", "backendRefs": refs, "filters": [{"requestMirror": {"backendRef": {"name": "web"}}}]})
    });
    prop::collection::vec(rule, 1..4).prop_map(|rules| json!({"rules": rules, "hostnames": ["x"]}))
}

fn strangers(spec: &Value) -> Vec<Vec<Value>> {
    let foreign = |backend: &&Value| !is(backend, &PAIR, "web") && !is(backend, &PAIR, "web-canary");
    rules(spec).iter().map(|rule| refs(rule).iter().filter(foreign).cloned().collect()).collect()
}

/// Each rule's total, by which a gateway divides, with and without the pair's part.
fn pair_share(spec: &Value) -> Vec<(i64, i64)> {
    let of = |rule: &Value| {
        let all: i64 = refs(rule).iter().map(effective).sum();
        let pair = [PAIR.stable, PAIR.canary];
        let mine = pair.iter().filter_map(|name| position(rule, &PAIR, name));
        (mine.map(|at| effective(&refs(rule)[at])).sum(), all)
    };
    rules(spec).iter().map(of).collect()
}

proptest! {
    #[test]
    fn any_course_of_weights_is_seen_touches_no_stranger_and_is_undone(
        spec in specs(), weights in prop::collection::vec(0..=100u8, 1..5),
    ) {
        let before = original(&spec, &PAIR);
        prop_assume!(names(&spec, &PAIR));
        prop_assert_eq!(check(&spec, &PAIR, &before, &weights), Ok(()));
        let mut now = spec.clone();
        for weight in weights {
            let next = with_weight(&now, &PAIR, &before, weight).unwrap();
            prop_assert_eq!(seen(&next, &PAIR), Some(weight));
            prop_assert_eq!(strangers(&next), strangers(&spec));
            for ((mine, all), (mine_before, all_before)) in pair_share(&next).into_iter().zip(pair_share(&spec)) {
                prop_assert_eq!(mine * all_before, mine_before * all, "the Deployment's share changed");
            }
            prop_assert_eq!(&with_weight(&next, &PAIR, &before, weight).unwrap(), &next);
            prop_assert_eq!(restored(&next, &PAIR, &before).to_string(), spec.to_string());
            now = next;
        }
        let kept: Original = serde_json::from_value(serde_json::to_value(&before).unwrap()).unwrap();
        prop_assert_eq!(kept, before);
    }
}
