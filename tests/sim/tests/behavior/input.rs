//! Input that is refused before anything starts, and what happens once it is fixed.

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

/// How the input is made invalid, the reason, and fragments of the message.
type Case = (fn(&mut World), &'static str, &'static [&'static str]);

const CASES: [Case; 12] = [
    (
        |w| w.snapshot.policy = PolicyState::Missing("p".into()),
        "PolicyNotFound",
        &["policy p", "create it", "steelyard.io/policy"],
    ),
    (|w| w.policy().strategy.canary = None, "PolicyInvalid", &["spec.strategy"]),
    (
        |w| deployment(&mut w.snapshot).recreate = true,
        "StrategyRecreate",
        &["spec.strategy.type", "RollingUpdate"],
    ),
    (
        |w| deployment(&mut w.snapshot).history_limit = 0,
        "RevisionHistoryLimit",
        &["spec.revisionHistoryLimit", "1 or more"],
    ),
    (
        |w| w.snapshot.routes.clear(),
        "NoRoute",
        &["no HTTPRoute or GRPCRoute refers to", "(web)", "backendRefs"],
    ),
    (|w| w.snapshot.services.clear(), "NoService", &["no Service", "create one"]),
    (
        |w| {
            w.snapshot.services.clear();
            let (service, labels) = ("web".to_owned(), vec!["version=v1".to_owned()]);
            w.snapshot.left_behind = vec![LeftBehind { service, labels }];
        },
        "NoService",
        &["Service web", "version=v1", "spec.template.metadata.labels", "remove it from the selector"],
    ),
    (
        |w| w.snapshot.services[0].unrelated_pods = ["other-1".into()].into(),
        "ServiceShared",
        &["Service web", "other-1", "app=web"],
    ),
    (
        |w| w.snapshot.taken = ["web-canary".into()].into(),
        "Conflict",
        &["Service web-canary", "rename it", "steelyard.io/canary-of=web"],
    ),
    (
        |w| w.snapshot.routes[0].spec = shared_route(1),
        "WeightNotExpressible",
        &["HTTPRoute web", "25%", "multiply each weight", "by 4"],
    ),
    (
        |w| drop(deployment(&mut w.snapshot).meta.annotations.insert(api::SERVICES.into(), "api".into())),
        "NoService",
        &["Service api", "steelyard.io/services"],
    ),
    (
        |w| {
            let routes = vec![api::GatewayRoute { name: "api".into(), ..api::GatewayRoute::default() }];
            w.policy().traffic.gateway_api = Some(api::GatewayApi { routes });
        },
        "NoRoute",
        &["HTTPRoute api", "gatewayAPI.routes"],
    ),
];

fn shared_route(weight: i64) -> serde_json::Value {
    let backend = |name: &str| json!({"name": name, "port": 80, "weight": weight});
    json!({"rules": [{"backendRefs": [backend("web"), backend("other")]}]})
}

/// Decides once on a pushed template and applies the decision, which writes only the status.
fn refuse(world: &mut World) {
    world.push("demo:v2");
    let decision = world.decide();
    assert!(decision.in_flight, "the objects that could fix it are watched");
    for write in &decision.writes {
        assert!(matches!(write, Write::Status { .. }), "{decision:?}");
    }
    world.write(&decision.writes);
    assert_eq!(world.snapshot.replica_sets.len(), 1, "no canary");
    assert_eq!(world.status().waiting.as_ref().map(|w| w.reason.as_str()), Some("NotAccepted"));
}

#[test]
fn invalid_input_is_refused_before_anything_starts_and_continues_once_it_is_fixed() {
    for (spoil, reason, words) in CASES {
        let mut world = World::stable();
        world.until_idle();
        let (mut good, written) = (world.snapshot.clone(), world.policy().clone());
        spoil(&mut world);
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
        (world.snapshot, *world.policy()) = (good, written);
        world.push("demo:v2");
        world.until_idle();
        assert_eq!(world.status().phase, Phase::Stable, "{reason}");
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "{reason}");
    }
}

#[test]
fn a_template_with_the_label_that_distinguishes_versions_is_refused_until_it_is_removed() {
    let mut world = World::stable();
    world.until_idle();
    let hash = |world: &mut World, value: Option<&str>| {
        let labels = &mut deployment(&mut world.snapshot).template["metadata"]["labels"];
        match value {
            Some(value) => labels[api::HASH] = json!(value),
            None => drop(labels.as_object_mut().unwrap().remove(api::HASH)),
        }
    };
    hash(&mut world, Some("5d8c9b7f4"));
    refuse(&mut world);
    let (reason, message) = refused(&world);
    assert_eq!(reason, "HashInTemplate");
    assert!(message.contains("spec.template.metadata.labels has pod-template-hash"), "{message}");
    hash(&mut world, None);
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn weights_multiplied_as_the_message_says_are_accepted() {
    let mut world = World::stable();
    world.until_idle();
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
fn all_errors_of_a_deployment_are_reported_at_once() {
    let mut world = World::stable();
    let d = deployment(&mut world.snapshot);
    (d.recreate, d.history_limit) = (true, 0);
    d.template["spec"]["readinessGates"] = json!([{"conditionType": "example.com/ready"}]);
    world.snapshot.taken = ["web-canary".into()].into();
    world.until_idle();
    let (reason, message) = refused(&world);
    assert_eq!(reason, "StrategyRecreate");
    for word in
        ["strategy.type", "revisionHistoryLimit", "spec.template.spec.readinessGates", "Service web-canary"]
    {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn a_refusal_before_a_rollout_ends_as_soon_as_the_input_is_fixed() {
    let mut world = World::stable();
    world.snapshot.taken = ["web-canary".into()].into();
    world.until_idle();
    assert!(world.decide().in_flight, "the fix may be a Service that would not be watched otherwise");
    world.snapshot.taken.clear();
    world.until_idle();
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
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| !world.snapshot.readings.is_empty());
    let query = world.snapshot.readings[0].query.clone();
    let canary = world.status().canary.as_ref().unwrap().replica_set.clone();
    assert!(query.contains(&format!("pod=~\"{canary}-0\"")), "{query}");
}
