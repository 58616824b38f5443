//! What may happen during a rollout.

use super::*;
use steelyard_core::api::HASH;

fn at(weight: u8) -> World {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Some(weight));
    world
}

#[test]
fn the_canary_follows_the_deployments_size() {
    let mut world = at(50);
    world.scale(8);
    world.until(|world| world.snapshot.pods.len() == 12);
    world.scale(2);
    world.until(|world| world.snapshot.pods.len() == 3);
    assert_eq!(world.weights, [25, 50]);
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.snapshot.pods.len(), 2);
}

#[test]
fn a_deployment_scaled_to_zero_has_no_canary_either_until_it_is_scaled_up_again() {
    for weight in [25, 50, 100] {
        let mut world = at(weight);
        world.scale(0);
        world.rest();
        assert!(world.snapshot.pods.is_empty());
        assert_eq!(world.weight(), 0);
        assert_eq!(world.status().waiting.as_ref().unwrap().reason, "ZeroReplicas");
        world.scale(4);
        world.rest();
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "from {weight} %");
        assert_eq!(world.snapshot.pods.len(), 4);
    }
}

#[test]
fn a_weight_that_another_client_removes_is_set_again_without_a_new_step() {
    let mut world = at(50);
    let before = world.snapshot.routes[0].spec["rules"][0]["backendRefs"].clone();
    world.proceed();
    let since = world.status().trial.as_ref().unwrap().weighted_at;
    assert!(since.is_some());
    world.snapshot.now += 1.second();
    world.snapshot.routes[0].spec = json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]});
    world.proceed();
    world.proceed();
    assert_eq!(world.snapshot.routes[0].spec["rules"][0]["backendRefs"], before);
    assert_eq!(world.status().trial.as_ref().unwrap().weighted_at, since);
}

#[test]
fn a_route_that_can_not_be_weighed_any_more_is_restored_on_a_failure() {
    let mut world = at(25);
    world.snapshot.routes[0].spec["rules"][0]["backendRefs"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "web", "port": 81}));
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert!(!world.snapshot.routes[0].spec.to_string().contains("web-canary"));
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
}

#[test]
fn a_deployment_that_a_user_resumed_is_unpinned_in_the_same_reconcile() {
    let mut world = at(25);
    let d = world.snapshot.deployment.as_mut().unwrap();
    d.paused = false;
    world.proceed();
    assert_eq!(world.weight(), 0);
    assert!(!world.snapshot.services[0].selector.contains_key(HASH), "stable may be gone at any moment");
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_failure_after_the_services_moved_moves_them_back_in_the_same_reconcile() {
    let mut world = at(100);
    world.until(|world| world.snapshot.services[0].selector.get(HASH).is_some_and(|hash| hash != "s1"));
    world.want(|spec, revision| {
        spec.abort = Some(steelyard_core::api::Intent { revision: revision.into(), by: None });
    });
    world.proceed();
    assert_eq!(world.weight(), 0);
    assert_eq!(world.snapshot.services[0].selector[HASH], "s1");
}

#[test]
fn of_several_pushes_before_a_canary_was_made_only_the_last_one_is_rolled_out() {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    world.proceed();
    for tag in ["v3", "v4", "v5"] {
        world.push(&format!("demo:{tag}"));
    }
    world.rest();
    assert_eq!(world.weights, [25, 50, 100], "nothing was tried but the last");
    let stable = world.status().stable.as_ref().unwrap();
    assert_eq!(stable.tag, "v5");
    assert_eq!(world.started, 4);
}

#[test]
fn a_canary_service_that_is_deleted_is_made_again() {
    let mut world = at(50);
    world.snapshot.services.retain(|service| service.meta.name == "web");
    world.snapshot.now += 1.second();
    // Until it exists again, the router has no endpoint to send to: an invariant is violated here.
    let decision = world.decide();
    assert!(matches!(decision.writes[0], Write::Create { kind: Kind::Service, .. }));
}

#[test]
fn garbage_collection_of_a_deleted_rollout_takes_nothing_that_serves() {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    let mut made = Vec::new();
    for _ in 0..10 {
        let writes = world.decide().writes;
        made.extend(writes.into_iter().filter_map(|write| match write {
            Write::Create { kind: kind @ (Kind::ReplicaSet | Kind::Service), object } => Some((kind, object)),
            _ => None,
        }));
        world.proceed();
    }
    assert_eq!(made.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Kind::ReplicaSet, Kind::Service]);
    for (_, object) in made {
        let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
        let kinds: Vec<_> = owners.iter().map(|owner| (&owner["kind"], &owner["controller"])).collect();
        assert_eq!(
            kinds,
            [(&json!("Rollout"), &json!(true)), (&json!("Deployment"), &json!(null))],
            "with one owner it would go before the route is home"
        );
    }
}

#[test]
fn a_canary_scaled_to_zero_by_hand_loses_its_traffic_before_it_is_scaled_back() {
    let mut world = at(50);
    world.canary().replicas = 0;
    let writes = world.decide().writes;
    assert!(
        matches!(writes[..], [Write::Patch { kind: Kind::HttpRoute, .. }, Write::Status { .. }]),
        "{writes:?}"
    );
    world.proceed();
    assert_eq!((world.weight(), world.status().trial.as_ref().unwrap().weighted_at), (0, None));
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_template_changed_in_the_canarys_replica_set_is_a_failure() {
    let mut world = at(50);
    world.canary().template["spec"]["containers"][0]["image"] = json!("demo:evil");
    world.rest();
    assert_eq!(world.status().failure.as_ref().unwrap().reason, "CanaryChanged");
}

#[test]
fn a_rejected_template_is_known_to_a_rollout_object_that_was_created_again() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    world.rest();
    let r = world.snapshot.rollout.as_mut().unwrap();
    r.status = steelyard_core::api::RolloutStatus::default();
    r.meta.uid = "uid-another".into();
    let started = world.started;
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert_eq!(world.status().failure.as_ref().unwrap().reason, "MetricFailed");
    assert_eq!(world.started, started, "not tried again");
    world.push("demo:v1");
    world.rest();
    assert_eq!(world.snapshot.replica_sets.len(), 1);
    assert_eq!(world.status().phase, Phase::Stable);
}

#[test]
fn a_rollout_in_progress_whose_status_is_lost_returns_to_stable() {
    let mut world = at(50);
    let r = world.snapshot.rollout.as_mut().unwrap();
    r.status = steelyard_core::api::RolloutStatus::default();
    world.until(|world| world.snapshot.services.len() == 1);
    assert_eq!(world.weights.last(), Some(&0));
    assert_eq!(
        world.snapshot.routes[0].spec,
        json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
    );
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "and rolled out again");
}

#[test]
fn a_push_into_a_native_rollout_lets_that_one_end_first() {
    let mut world = World::stable();
    world.rest();
    // A native rollout to v2, frozen half way by the push of v3.
    let mut half = world.snapshot.replica_sets[0].clone();
    half.meta.name = "web-n2".into();
    half.meta.annotations.insert("deployment.kubernetes.io/revision".into(), "2".into());
    (half.hash, half.replicas) = ("n2".into(), 2);
    half.template["spec"]["containers"][0]["image"] = json!("demo:v2");
    world.snapshot.replica_sets[0].replicas = 3;
    world.snapshot.replica_sets.push(half);
    world.push("demo:v3");
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(world.status().history.len(), 1);
    assert_eq!(world.status().pending, None);
    assert_eq!(world.weights, [25, 50, 100], "v3 went out in steps");
}

#[test]
fn routes_and_services_are_restored_when_the_deployment_is_gone() {
    let mut world = at(50);
    world.snapshot.deployment = None;
    while world.proceed() {
        let canary = world.snapshot.pods.iter().any(|pod| pod.hash.starts_with('0'));
        let pinned = world.snapshot.services[0].selector.contains_key(HASH);
        assert!(pinned || !canary, "a Service that loses its pin shows no canary");
    }
    assert!(!world.snapshot.routes[0].spec.to_string().contains("web-canary"));
    assert!(!world.snapshot.services[0].selector.contains_key(HASH));
    assert!(world.snapshot.rollout.as_ref().unwrap().finalizers.is_empty());
}

#[test]
fn leaving_takes_what_was_rejected_along() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    world.rest();
    world.snapshot.policy = Policy::Unnamed;
    let before = world.snapshot.replica_sets.len();
    let decision = world.decide();
    assert_eq!(before, 2);
    assert!(
        decision.writes.iter().any(|write| matches!(write, Write::Delete { kind: Kind::ReplicaSet, .. }))
    );
}

#[test]
fn a_steps_clock_waits_until_the_router_gives_the_canary_its_share() {
    let mut world = World::stable();
    world.snapshot.router =
        Some(Router { source: "default".into(), share: "share(\"$canary_service\")".into() });
    world.share = Share::Percent(0);
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Some(25));
    let shifted = world.snapshot.now;
    world.until(|world| {
        world.status().observed_weight == Some(0) && world.snapshot.now >= shifted + 3.seconds()
    });
    assert_eq!(world.status().trial.as_ref().unwrap().weighted_at, None);
    world.share = Share::Percent(24);
    world.until(|world| world.status().trial.as_ref().unwrap().weighted_at.is_some());
    assert_eq!(world.status().observed_weight, Some(24));
    assert!(world.snapshot.now < shifted + 9.seconds());
}

#[test]
fn a_router_that_says_nothing_is_waited_for_ten_seconds_and_no_number_is_made_up() {
    let mut world = World::stable();
    world.snapshot.router = Some(Router { source: "default".into(), share: "share".into() });
    world.share = Share::Silent;
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Some(25));
    let shifted = world.snapshot.now;
    world.until(|world| world.status().trial.as_ref().unwrap().weighted_at.is_some());
    assert_eq!(world.snapshot.now, shifted + 10.seconds());
    assert_eq!(world.status().observed_weight, None);
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_deployment_that_grows_during_a_rollback_stays_pinned_to_stable() {
    let mut world = at(50);
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    // Its ReplicaSet has not grown yet.
    world.snapshot.deployment.as_mut().unwrap().replicas = 6;
    let decision = world.decide();
    let unpins =
        decision.writes.iter().any(|write| matches!(write, Write::Patch { kind: Kind::Service, .. }));
    assert!(!unpins, "{:?}", decision.writes);
}

#[test]
fn a_pin_that_another_client_removed_leaves_no_mark() {
    let mut world = World::stable();
    world.rest();
    world.snapshot.services[0].meta.annotations.insert(steelyard_core::api::EPOCH.into(), "1".into());
    world.rest();
    assert!(world.snapshot.services[0].meta.annotations.is_empty());
}

#[test]
fn a_tool_that_applies_the_service_again_and_again_does_not_hold_the_handover() {
    let mut world = at(100);
    let narrowed = |world: &World| {
        world.status().trial.as_ref().and_then(|trial| trial.handover)
            == Some(steelyard_core::api::Handover::Narrowed)
    };
    world.until(narrowed);
    let mut applied = world.snapshot.now;
    for _ in 0..200 {
        if !narrowed(&world) {
            return;
        }
        if world.snapshot.now >= applied + 1500.milliseconds() {
            applied = world.snapshot.now;
            world.snapshot.services[0].selector.remove(HASH);
        }
        let before = world.snapshot.now;
        world.proceed();
        // Time goes on as it does between two of the tool's writes.
        world.snapshot.now = world.snapshot.now.min(before + 500.milliseconds());
    }
    panic!("held: {:?}", world.status());
}

#[test]
fn a_failure_does_not_wait_until_the_shift_is_seen() {
    let mut world = World::stable();
    world.snapshot.router = Some(Router { source: "default".into(), share: "share".into() });
    world.share = Share::Percent(0);
    world.measurement = Measurement::Bad;
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Some(25));
    let shifted = world.snapshot.now;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert!(world.snapshot.now <= shifted + 3.seconds(), "the query's two seconds after the first request");
}
