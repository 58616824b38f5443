//! Weights that are written, and weights that can't be.

use serde_json::{Value, json};

use super::{
    super::rule::{Named, effective},
    *,
};

#[test]
fn a_pair_alone_in_a_rule_shares_100_and_the_canary_copies_stable() {
    let before = route(&json!([{"name": "web", "port": 80, "filters": [{"type": "X"}]}]));
    let shifted = at_percent(&before, 5);
    assert_eq!(
        *refs(&shifted),
        json!([
            {"name": "web", "port": 80, "filters": [{"type": "X"}], "weight": 95},
            {"name": "web-canary", "port": 80, "filters": [{"type": "X"}], "weight": 5},
        ])
    );
    assert_eq!(restored(&shifted).spec.to_string(), before.spec.to_string());
}

#[test]
fn tenths_of_a_percent_share_1000() {
    let before = route(&json!([{"name": "web"}]));
    let weight = |tenths| Weight::from_tenths(tenths).unwrap();
    let shifted = at(&before, weight(5)).unwrap();
    assert_eq!(*refs(&shifted), json!([{"name": "web", "weight": 995}, {"name": "web-canary", "weight": 5}]));
    assert_eq!(observed(&shifted), Some(5));
    let more = at(&shifted, weight(10)).unwrap();
    assert_eq!(*refs(&more), json!([{"name": "web", "weight": 99}, {"name": "web-canary", "weight": 1}]));
    assert_eq!(restored(&more), before);
}

#[test]
fn at_weight_0_the_canary_ref_stays_and_none_is_created() {
    let before = route(&json!([{"name": "web", "port": 80, "weight": 7}]));
    assert_eq!(at_percent(&before, 0), before, "nothing to write");
    let closed = at_percent(&at_percent(&before, 5), 0);
    assert_eq!(
        *refs(&closed),
        json!([
            {"name": "web", "port": 80, "weight": 100}, {"name": "web-canary", "port": 80, "weight": 0}
        ])
    );
    assert_eq!(observed(&closed), Some(0));
    assert_eq!(restored(&closed), before);
}

#[test]
fn other_backends_keep_their_weights_and_the_share_is_divided() {
    let before = route(&json!([{"name": "old", "weight": 60}, {"name": "web", "weight": 40}]));
    let wanted = json!([
        {"name": "old", "weight": 60}, {"name": "web", "weight": 30}, {"name": "web-canary", "weight": 10},
    ]);
    assert_eq!(*refs(&at_percent(&before, 25)), wanted);
}

#[test]
fn an_existing_weight_is_not_written_again_but_equal_shares_in_other_numbers_are() {
    let before = route(&json!([{"name": "web"}]));
    let shifted = at_percent(&before, 10);
    assert_eq!(GatewayApi.plan(&alone(&shifted), &PAIR, Weight::percent(10)), Ok(vec![]));
    // The same share in other numbers is not what was written.
    let mut edited = shifted.clone();
    edited.spec["rules"][0]["backendRefs"] =
        json!([{"name": "web", "weight": 900}, {"name": "web-canary", "weight": 100}]);
    assert_eq!(observed(&edited), Some(100));
    let again = at_percent(&edited, 10);
    assert_eq!(refs(&again)[0]["weight"], 90);
    assert_eq!(refs(&restored(&again))[0]["weight"], 900, "the user's newer weight");
}

#[test]
fn a_weight_that_is_not_a_whole_number_is_refused_by_the_check() {
    let before = route(&json!([{"name": "old", "weight": 9}, {"name": "web", "weight": 10}]));
    assert_eq!(check(&before, &[10, 50, 100]), Ok(()));
    let weight = Weight::percent(5);
    let refused = RouteError::WeightNotExpressible { rule: 0, weight, share: 10 };
    assert_eq!(check(&before, &[10, 5]), Err(refused.clone()));
    assert_eq!(at(&before, weight), Err(refused));
    // A backend that gets nothing doesn't limit the numbers.
    let idle = route(&json!([{"name": "old", "weight": 0}, {"name": "web"}]));
    assert_eq!(observed(&at_percent(&idle, 5)), Some(50));
}

#[test]
fn problems_that_exist_at_any_weight_are_refused() {
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
        assert_eq!(check(&route(&refs), &[]), Err(expected), "{refs}");
    }
}

#[test]
fn only_a_service_in_the_pairs_namespace_matches() {
    for (backend, expected) in [
        (json!({"name": "web"}), true),
        (json!({"name": "web", "kind": "Service", "group": "", "namespace": "shop"}), true),
        (json!({"name": "web", "namespace": "elsewhere"}), false),
        (json!({"name": "web", "kind": "ServiceImport", "group": "multicluster.x-k8s.io"}), false),
        (json!({"name": "web", "group": "example.com"}), false),
        (json!({"name": "web-canary"}), false),
        (json!({}), false),
    ] {
        let world = [route(&json!([backend]))];
        assert_eq!(GatewayApi.find(&world, &PAIR, &[]).len() == 1, expected, "{backend}");
    }
    for spec in [json!({}), json!({"rules": [{}]}), json!({"rules": 3}), json!(null)] {
        let odd = with_spec(spec);
        assert_eq!(observed(&odd), None);
        assert_eq!((restored(&odd), withdrawn(&odd)), (odd.clone(), odd));
    }
}

#[test]
fn a_users_canary_ref_keeps_its_place_and_original_weight() {
    let refs_before = json!([{"name": "web-canary", "port": 81, "weight": 0}, {"name": "web", "port": 80}]);
    let before = route(&refs_before);
    let shifted = at_percent(&before, 20);
    let wanted = json!([
        {"name": "web-canary", "port": 81, "weight": 20}, {"name": "web", "port": 80, "weight": 80},
    ]);
    assert_eq!(*refs(&shifted), wanted);
    assert_eq!(restored(&shifted), before);
}

#[test]
fn a_canary_ref_without_stable_can_only_get_weight_0() {
    let mut shifted = at_percent(&route(&json!([{"name": "web"}])), 30);
    shifted.spec["rules"][0]["backendRefs"] = json!([{"name": "web-canary", "weight": 30}]);
    let missing = RouteError::StableMissing { rule: 0, service: "web".to_owned() };
    assert_eq!(at(&shifted, Weight::percent(30)), Err(missing));
    assert_eq!(observed(&shifted), Some(1000));
    assert_eq!(observed(&withdrawn(&shifted)), Some(0));
    assert_eq!(*refs(&restored(&shifted)), json!([]));
}

#[test]
fn traffic_is_withdrawn_from_rules_that_can_no_longer_be_divided() {
    let mut shifted = at_percent(&route(&json!([{"name": "web"}])), 30);
    for refs in [
        json!([{"name": "web", "weight": 0}, {"name": "web-canary", "weight": 30}]),
        json!([{"name": "web-canary", "weight": 1}, {"name": "web", "weight": 70}, {"name": "web-canary"}]),
        json!([{"name": "old", "weight": 3}, {"name": "web", "weight": -1}, {"name": "web-canary"}]),
    ] {
        shifted.spec["rules"][0]["backendRefs"] = refs.clone();
        assert_ne!(observed(&shifted), Some(0), "{refs}");
        let closed = withdrawn(&shifted);
        let open = super::refs(&closed).as_array().unwrap().iter().filter(|backend| {
            Named { pair: &PAIR, namespace: "shop" }.is(backend, "web-canary") && effective(backend) != 0
        });
        assert_eq!(open.count(), 0, "{refs}: {}", closed.spec);
    }
}

#[test]
fn the_largest_share_of_all_rules_is_observed() {
    let rule = |stable: i64, canary: i64| json!({"backendRefs": [{"name": "web", "weight": stable}, {"name": "web-canary", "weight": canary}]});
    let seen = |rules: Value| observed(&with_spec(json!({"rules": rules})));
    assert_eq!(seen(json!([rule(95, 5), rule(38, 2)])), Some(50));
    assert_eq!(seen(json!([rule(95, 5), rule(94, 6)])), Some(60));
    assert_eq!(seen(json!([rule(0, 0)])), Some(0));
    assert_eq!(observed(&route(&json!([{"name": "web"}]))), Some(0));
}

#[test]
fn two_deployments_on_one_route_store_and_restore_their_own_weights() {
    let before = route(&json!([{"name": "web", "weight": 30}, {"name": "shop", "weight": 50}]));
    let other = Pair { stable: "shop", canary: "shop-canary", ..PAIR };
    let weigh = |object: &Object, pair: &Pair| {
        let planned = GatewayApi.plan(&alone(object), pair, Weight::percent(10)).unwrap();
        applied(object, &planned)
    };
    let both = weigh(&weigh(&before, &PAIR), &other);
    let wanted = json!([
        {"name": "web", "weight": 27}, {"name": "web-canary", "weight": 3},
        {"name": "shop", "weight": 45}, {"name": "shop-canary", "weight": 5},
    ]);
    assert_eq!(*refs(&both), wanted);
    let one = restored(&both);
    assert_eq!(applied(&one, &GatewayApi.restore(&alone(&one), &other)), before);
}
