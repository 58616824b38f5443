//! What gateways report.

use super::{
    super::{GATEWAY, GATEWAY_CLASS},
    *,
};
use crate::traffic::{Acceptance, Feature, Original, Wants};

fn says(kind: &str, status: &str, generation: i64) -> Value {
    json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "R", "message": "M"})
}

/// Returns the route, generation 3, with what each parent reports.
fn reported(parents: &[&[Value]]) -> Object {
    let parent = |(index, conditions): (usize, &&[Value])| {
        let name = format!("gw-{index}");
        json!({"controllerName": "c", "parentRef": {"name": name}, "conditions": conditions})
    };
    let mut route = route(&json!([{"name": "web"}]));
    route.status = json!({"parents": parents.iter().enumerate().map(parent).collect::<Vec<_>>()});
    route
}

fn accepted(route: &Object) -> Acceptance {
    GatewayApi.acceptance(&alone(route), &Original::default())
}

#[test]
fn one_gateway_that_accepts_this_generation_is_enough() {
    let rejected = Acceptance::Rejected { reason: "R".to_owned(), message: "M".to_owned() };
    let cases: [(&[&[Value]], Acceptance); 10] = [
        (&[], Acceptance::NotReported),
        (&[&[says("Accepted", "True", 2)]], Acceptance::Pending),
        (&[&[says("Accepted", "False", 2)]], Acceptance::Pending),
        (&[&[says("Accepted", "Unknown", 3)]], Acceptance::Pending),
        (&[&[says("ResolvedRefs", "True", 3)]], Acceptance::Pending),
        (&[&[says("Accepted", "True", 4)]], Acceptance::Accepted),
        (&[&[says("Accepted", "True", 2)], &[says("Accepted", "True", 3)]], Acceptance::Accepted),
        (&[&[says("Accepted", "False", 3)], &[says("Accepted", "True", 3)]], Acceptance::Accepted),
        (&[&[says("Accepted", "True", 3), says("ResolvedRefs", "False", 3)]], rejected.clone()),
        (&[&[says("Accepted", "True", 3), says("PartiallyInvalid", "True", 3)]], rejected),
    ];
    for (parents, expected) in cases {
        assert_eq!(accepted(&reported(parents)), expected, "{parents:?}");
    }
}

#[test]
fn conditions_from_before_the_rollout_are_ignored() {
    let unresolved = [says("Accepted", "True", 3), says("ResolvedRefs", "False", 3)];
    let before = reported(&[&unresolved]);
    let original = GatewayApi.check(&alone(&before), &PAIR, &Wants::default()).unwrap();
    let later = |parents: &[&[Value]]| GatewayApi.acceptance(&alone(&reported(parents)), &original);
    assert_eq!(later(&[&unresolved]), Acceptance::Accepted);
    let mut other = unresolved[1].clone();
    other["reason"] = "BackendNotFound".into();
    let rejected = Acceptance::Rejected { reason: "BackendNotFound".to_owned(), message: "M".to_owned() };
    assert_eq!(later(&[&[unresolved[0].clone(), other]]), rejected, "another reason is new");
    let of_another = later(&[&[says("Accepted", "Unknown", 3)], &unresolved]);
    assert!(
        matches!(of_another, Acceptance::Rejected { .. }),
        "another parent's report is new: {of_another:?}"
    );
    // A gateway that never accepted the route has nothing new to report.
    let never = reported(&[&[says("Accepted", "False", 3)]]);
    let original = GatewayApi.check(&alone(&never), &PAIR, &Wants::default()).unwrap();
    assert_eq!(GatewayApi.acceptance(&alone(&never), &original), Acceptance::NotReported);
}

#[test]
fn parents_that_differ_by_port_or_kind_alone_are_different() {
    let unresolved = |reference: Value| {
        let conditions = [says("Accepted", "True", 3), says("ResolvedRefs", "False", 3)];
        let mut route = route(&json!([{"name": "web"}]));
        route.status = json!({"parents": [
            {"controllerName": "c", "parentRef": reference, "conditions": conditions},
        ]});
        route
    };
    let before = unresolved(json!({"name": "gw", "port": 80}));
    let original = GatewayApi.check(&alone(&before), &PAIR, &Wants::default()).unwrap();
    for other in [json!({"name": "gw", "port": 81}), json!({"name": "gw", "port": 80, "kind": "Service"})] {
        let other = unresolved(other);
        let acceptance = GatewayApi.acceptance(&alone(&other), &original);
        assert!(matches!(acceptance, Acceptance::Rejected { .. }), "{acceptance:?}");
    }
}

#[test]
fn a_mirror_needs_a_gateway_class_that_lists_it() {
    let gateway = object(GATEWAY, "shop", "gw", json!({"gatewayClassName": "traefik"}));
    let mut class = object(GATEWAY_CLASS, "", "traefik", json!({}));
    let main = route(&json!([{"name": "web"}]));
    let check = |companions: Vec<&Object>, features: &[Feature]| {
        let wants = Wants { features: features.to_vec(), ..Wants::default() };
        GatewayApi.check(&Route { main: &main, companions }, &PAIR, &wants).map(drop)
    };
    let unsupported = |subject: &str, feature: &str| {
        Err(RouteError::Unsupported { subject: subject.to_owned(), feature: feature.to_owned() })
    };
    assert_eq!(check(vec![], &[]), Ok(()));
    assert_eq!(check(vec![], &[Feature::Mirror]), unsupported("parent gw", "HTTPRouteRequestMirror"));
    let both = vec![&gateway, &class];
    assert_eq!(
        check(both, &[Feature::Mirror]),
        unsupported("GatewayClass traefik", "HTTPRouteRequestMirror")
    );
    class.status = json!({"supportedFeatures": [{"name": "HTTPRouteRequestMirror"}]});
    assert_eq!(check(vec![&gateway, &class], &[Feature::Mirror]), Ok(()));
    assert_eq!(
        check(vec![&gateway, &class], &[Feature::Mirror, Feature::MirrorShare]),
        unsupported("GatewayClass traefik", "HTTPRouteRequestPercentageMirror")
    );
}
