//! What is refused before anything starts, and what follows when it is fixed.

use serde_json::json;

use sim::World;
use steelyard_core::{
    api::{self, Phase},
    engine::*,
};

/// Reason and message of `Accepted=False`.
fn refused(world: &World) -> (String, String) {
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!(accepted.status, "False");
    (accepted.reason.clone(), accepted.message.clone())
}

fn deployment(s: &mut Snapshot) -> &mut Deployment {
    s.deployment.as_mut().unwrap()
}

/// How something is made wrong, the reason that says so, and words of the message.
type Case = (fn(&mut Snapshot), &'static str, &'static [&'static str]);

const CASES: [Case; 11] = [
    (
        |s| s.policy = Policy::Missing("p".into()),
        "PolicyNotFound",
        &["policy p", "create it", "steelyard.io/policy"],
    ),
    (
        |s| {
            s.policy = Policy::Unreadable(vec![steelyard_core::policy::Fault::invalid(
                "spec.strategy",
                "must be given",
            )]);
        },
        "PolicyInvalid",
        &["spec.strategy"],
    ),
    (|s| deployment(s).recreate = true, "StrategyRecreate", &["spec.strategy.type", "RollingUpdate"]),
    (
        |s| deployment(s).history_limit = 0,
        "RevisionHistoryLimit",
        &["spec.revisionHistoryLimit", "1 or more"],
    ),
    (|s| s.routes.clear(), "NoRoute", &["no HTTPRoute names", "(web)", "backendRefs"]),
    (|s| s.services.clear(), "NoService", &["no Service", "create one"]),
    (
        |s| s.services[0].strangers = ["other-1".into()].into(),
        "ServiceShared",
        &["Service web", "other-1", "app=web"],
    ),
    (
        |s| s.taken = ["web-canary".into()].into(),
        "Conflict",
        &["Service web-canary", "rename it", "steelyard.io/canary-of=web"],
    ),
    (
        |s| s.routes[0].spec = shared_route(1),
        "WeightNotExpressible",
        &["HTTPRoute web", "25%", "multiply each weight", "by 4"],
    ),
    (
        |s| drop(deployment(s).meta.annotations.insert(api::SERVICES.into(), "api".into())),
        "NoService",
        &["Service api", "steelyard.io/services"],
    ),
    (
        |s| {
            let Policy::Found(spec) = &mut s.policy else { unreachable!() };
            spec.traffic.gateway_api = Some(api::GatewayApi { routes: vec!["api".into()] });
        },
        "NoRoute",
        &["HTTPRoute api", "gatewayAPI.routes"],
    ),
];

fn shared_route(weight: i64) -> serde_json::Value {
    let backend = |name: &str| json!({"name": name, "port": 80, "weight": weight});
    json!({"rules": [{"backendRefs": [backend("web"), backend("other")]}]})
}

/// Decides once on a template that was pushed, and writes what was decided: nothing but the status.
fn refuse(world: &mut World) {
    world.push("demo:v2");
    let decision = world.decide();
    assert!(decision.in_flight, "what could fix it is watched");
    for write in &decision.writes {
        assert!(matches!(write, Write::Status { .. }), "{decision:?}");
    }
    world.write(&decision.writes);
    assert_eq!(world.snapshot.replica_sets.len(), 1, "no canary");
    assert_eq!(world.status().waiting.as_ref().map(|w| w.reason.as_str()), Some("NotAccepted"));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_starts_and_goes_on_once_it_is_fixed() {
    for (spoil, reason, words) in CASES {
        let mut world = World::stable();
        world.rest();
        let mut good = world.snapshot.clone();
        spoil(&mut world.snapshot);
        refuse(&mut world);
        let (said, message) = refused(&world);
        assert_eq!(said, reason, "{message}");
        assert!(message.len() <= 1024);
        for word in words {
            assert!(message.contains(word), "{reason}: {message}");
        }
        let (template, status) =
            (deployment(&mut world.snapshot).template.clone(), world.snapshot.rollout.clone());
        (good.rollout, deployment(&mut good).template) = (status, template);
        world.snapshot = good;
        world.push("demo:v2");
        world.rest();
        assert_eq!(world.status().phase, Phase::Stable, "{reason}");
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "{reason}");
    }
}

#[test]
fn weights_multiplied_as_the_refusal_says_can_be_shared() {
    let mut world = World::stable();
    world.rest();
    world.snapshot.routes[0].spec = shared_route(1);
    refuse(&mut world);
    world.snapshot.routes[0].spec = shared_route(4);
    assert!(!world.decide().writes.is_empty());
    let writes = world.decide().writes;
    world.write(&writes);
    assert!(world.status().conditions.iter().any(|c| c.type_ == "Accepted" && c.status == "True"));
    assert!(world.status().trial.is_some());
}

#[test]
fn all_that_is_wrong_with_a_deployment_is_said_at_once() {
    let mut world = World::stable();
    let d = deployment(&mut world.snapshot);
    (d.recreate, d.history_limit) = (true, 0);
    d.template["spec"]["readinessGates"] = json!([{"conditionType": "example.com/ready"}]);
    world.snapshot.taken = ["web-canary".into()].into();
    world.rest();
    let (reason, message) = refused(&world);
    assert_eq!(reason, "StrategyRecreate");
    for word in
        ["strategy.type", "revisionHistoryLimit", "spec.template.spec.readinessGates", "Service web-canary"]
    {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn what_is_refused_before_a_rollout_is_accepted_as_soon_as_it_is_fixed() {
    let mut world = World::stable();
    world.snapshot.taken = ["web-canary".into()].into();
    world.rest();
    assert!(world.decide().in_flight, "the fix may be a Service that is not watched otherwise");
    world.snapshot.taken.clear();
    world.rest();
    assert!(world.status().conditions.iter().any(|c| c.type_ == "Accepted" && c.status == "True"));
    assert!(!world.decide().in_flight, "without a rollout nothing is watched");
}

#[test]
fn pods_whose_generated_names_are_cut_are_listed_in_queries() {
    let mut world = World::stable();
    let long = "w".repeat(54);
    world.snapshot.replica_sets[0].meta.name = format!("{long}-s1");
    world.snapshot.name.clone_from(&long);
    world.snapshot.rollout.as_mut().unwrap().meta.name.clone_from(&long);
    deployment(&mut world.snapshot).meta.name.clone_from(&long);
    world.rest();
    world.push("demo:v2");
    world.until(|world| !world.snapshot.readings.is_empty());
    let query = world.snapshot.readings[0].query.clone();
    let canary = world.status().canary.as_ref().unwrap().replica_set.clone();
    assert!(query.contains(&format!("pod=~\"{canary}-0\"")), "{query}");
}
