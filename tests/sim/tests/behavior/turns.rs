//! Events during a rollout.

use super::*;
use steelyard_core::api::HASH;

fn at(weight: u8) -> World {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(weight));
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
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.snapshot.pods.len(), 2);
}

#[test]
fn a_deployment_scaled_to_zero_has_no_canary_either_until_it_is_scaled_up_again() {
    for weight in [25, 50, 100] {
        let mut world = at(weight);
        world.scale(0);
        world.until_idle();
        assert!(world.snapshot.pods.is_empty());
        assert_eq!(world.weight(), 0);
        assert_eq!(world.status().waiting.as_ref().unwrap().reason, "ZeroReplicas");
        world.scale(4);
        world.until_idle();
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "from {weight} %");
        assert_eq!(world.snapshot.pods.len(), 4);
    }
}

#[test]
fn a_weight_that_another_client_removes_is_set_again_without_a_new_step() {
    let mut world = at(50);
    let before = world.snapshot.routes[0].spec["rules"][0]["backendRefs"].clone();
    world.proceed();
    let since = world.status().trial.as_ref().unwrap().weight_accepted_at;
    assert!(since.is_some());
    world.snapshot.now += 1.second();
    world.snapshot.routes[0].spec = json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]});
    world.proceed();
    world.proceed();
    assert_eq!(world.snapshot.routes[0].spec["rules"][0]["backendRefs"], before);
    assert_eq!(world.status().trial.as_ref().unwrap().weight_accepted_at, since);
}

#[test]
fn a_route_that_can_no_longer_be_weighted_is_restored_on_a_failure() {
    let mut world = at(25);
    world.snapshot.routes[0].spec["rules"][0]["backendRefs"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "web", "port": 81}));
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert!(!world.snapshot.routes[0].spec.to_string().contains("web-canary"));
    world.until_idle();
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
    world.until_idle();
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
    world.until_idle();
    world.push("demo:v2");
    world.proceed();
    for tag in ["v3", "v4", "v5"] {
        world.push(&format!("demo:{tag}"));
    }
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100], "only the last one was tried");
    let stable = world.status().stable.as_ref().unwrap();
    assert_eq!(stable.tag, "v5");
    assert_eq!(world.started, 4);
}

#[test]
fn a_deleted_canary_service_is_recreated() {
    let mut world = at(50);
    world.snapshot.services.retain(|service| service.meta.name == "web");
    world.snapshot.now += 1.second();
    // Until it exists again, the router has no endpoint, which violates an invariant.
    let decision = world.decide();
    assert!(matches!(decision.writes[0], Write::Create { kind: Kind::Service, .. }));
}

#[test]
fn garbage_collection_of_a_deleted_rollout_deletes_nothing_that_serves() {
    let mut world = World::stable();
    world.until_idle();
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
            "with one owner it would be deleted before the route is restored"
        );
    }
}

#[test]
fn a_canary_scaled_to_zero_by_hand_loses_its_traffic_before_it_is_scaled_up() {
    let mut world = at(50);
    world.canary().replicas = 0;
    let writes = world.decide().writes;
    assert!(
        matches!(writes[..], [Write::Patch { kind: Kind::Route(_), .. }, Write::Status { .. }]),
        "{writes:?}"
    );
    world.proceed();
    assert_eq!((world.weight(), world.status().trial.as_ref().unwrap().weight_accepted_at), (0, None));
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_template_changed_in_the_canarys_replica_set_is_a_failure() {
    let mut world = at(50);
    world.canary().template["spec"]["containers"][0]["image"] = json!("demo:evil");
    world.until_idle();
    assert_eq!(world.status().failure.as_ref().unwrap().reason, "CanaryChanged");
}

#[test]
fn a_recreated_rollout_object_knows_the_rejected_template() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    world.until_idle();
    let r = world.snapshot.rollout.as_mut().unwrap();
    r.status = steelyard_core::api::RolloutStatus::default();
    r.meta.uid = "uid-another".into();
    let started = world.started;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert_eq!(world.status().failure.as_ref().unwrap().reason, "MetricFailed");
    assert_eq!(world.started, started, "not tried again");
    world.push("demo:v1");
    world.until_idle();
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
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "and rolled out again");
}

#[test]
fn routes_and_services_are_restored_when_the_deployment_is_gone() {
    let mut world = at(50);
    world.snapshot.deployment = None;
    while world.proceed() {
        let canary = world.snapshot.pods.iter().any(|pod| pod.hash.starts_with('0'));
        let pinned = world.snapshot.services[0].selector.contains_key(HASH);
        assert!(pinned || !canary, "a Service that loses its pin selects no canary");
    }
    assert!(!world.snapshot.routes[0].spec.to_string().contains("web-canary"));
    assert!(!world.snapshot.services[0].selector.contains_key(HASH));
    assert!(world.snapshot.rollout.as_ref().unwrap().finalizers.is_empty());
}

#[test]
fn a_service_that_appears_during_a_rollout_is_pinned_recorded_and_unpinned_at_its_end() {
    for deleted in [false, true] {
        let mut world = at(25);
        let mut late = world.snapshot.services[0].clone();
        (late.meta.name, late.meta.annotations) = ("late".into(), [].into());
        late.selector.remove(HASH);
        world.snapshot.services.push(late.clone());
        let selector = |world: &World| {
            let service = world.snapshot.services.iter().find(|service| service.meta.name == "late").unwrap();
            service.selector.clone()
        };
        world.until(|world| selector(world).contains_key(HASH));
        // Without the Deployment, only what the status names is read.
        assert_eq!(world.status().trial.as_ref().unwrap().services, ["web", "late"]);
        if deleted {
            world.snapshot.deployment = None;
        }
        while world.proceed() {}
        assert_eq!(selector(&world), late.selector, "deleted: {deleted}");
    }
}

#[test]
fn removing_the_annotation_deletes_the_rejected_canary() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    world.until_idle();
    world.snapshot.policy = PolicyState::Unnamed;
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
    world.snapshot.router = Some(Router::new("default", "share{of=\"$canary_service\"}").unwrap());
    world.share = Share::Percent(0);
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    let shifted = world.snapshot.now;
    world.until(|world| {
        world.status().observed_weight == percent(0) && world.snapshot.now >= shifted + 3.seconds()
    });
    assert_eq!(world.status().trial.as_ref().unwrap().weight_accepted_at, None);
    world.share = Share::Percent(24);
    world.until(|world| world.status().trial.as_ref().unwrap().weight_accepted_at.is_some());
    assert_eq!(world.status().observed_weight, percent(24));
    assert!(world.snapshot.now < shifted + 9.seconds());
}

#[test]
fn a_rollout_waits_ten_seconds_for_a_silent_router_and_reports_no_observed_weight() {
    let mut world = World::stable();
    world.snapshot.router = Some(Router::new("default", "share").unwrap());
    world.share = Share::Silent;
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    let shifted = world.snapshot.now;
    world.until(|world| world.status().trial.as_ref().unwrap().weight_accepted_at.is_some());
    assert_eq!(world.snapshot.now, shifted + 10.seconds());
    assert_eq!(world.status().observed_weight, None);
    world.until_idle();
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
fn a_pin_that_another_client_removed_leaves_no_annotation() {
    let mut world = World::stable();
    world.until_idle();
    world.snapshot.services[0].meta.annotations.insert(steelyard_core::api::EPOCH.into(), "1".into());
    world.until_idle();
    assert!(world.snapshot.services[0].meta.annotations.is_empty());
}

#[test]
fn a_service_that_its_user_pinned_to_one_version_is_left_as_it_is() {
    let mut world = World::stable();
    let mut own = world.snapshot.services[0].clone();
    own.meta.name = "debug".into();
    own.selector.insert(HASH.into(), "s1".into());
    world.snapshot.services.push(own.clone());
    let debug = |world: &World| {
        let mut services = world.snapshot.services.iter();
        let service = services.find(|service| service.meta.name == "debug").unwrap();
        (service.selector.clone(), service.meta.annotations.clone())
    };
    let before = debug(&world);
    world.until_idle();
    assert_eq!(debug(&world), before, "adoption changes nothing");
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(50));
    assert_eq!(world.status().trial.as_ref().unwrap().services, ["web"]);
    world.until_idle();
    assert_eq!((debug(&world), world.weights.as_slice()), (before, &[25, 50, 100][..]));
}

#[test]
fn a_deployment_whose_only_service_is_pinned_by_its_user_is_refused_with_the_fix() {
    let mut world = World::stable();
    world.snapshot.services[0].selector.insert(HASH.into(), "s1".into());
    world.until_idle();
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "NoService"));
    assert!(accepted.message.contains("spec.selector of Service web has pod-template-hash"), "{accepted:?}");
    assert_eq!(world.snapshot.services[0].selector[HASH], "s1");
}

#[test]
fn a_tool_that_applies_the_service_repeatedly_does_not_block_the_handover() {
    let mut world = at(100);
    let narrowed = |world: &World| {
        world.status().trial.as_ref().and_then(|trial| trial.handover)
            == Some(steelyard_core::api::Handover::Narrowing)
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
        // Time advances as between two writes of the tool.
        world.snapshot.now = world.snapshot.now.min(before + 500.milliseconds());
    }
    panic!("held: {:?}", world.status());
}

#[test]
fn a_failure_does_not_wait_until_the_weight_is_observed() {
    let mut world = World::stable();
    world.snapshot.router = Some(Router::new("default", "share").unwrap());
    world.share = Share::Percent(0);
    world.measurement = Measurement::Bad;
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    let shifted = world.snapshot.now;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert!(world.snapshot.now <= shifted + 3.seconds(), "the query's two seconds after the first request");
}

#[test]
fn a_canary_with_more_traffic_than_its_step_loses_it_where_the_route_cannot_be_weighted() {
    let mut world = World::stable();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    // The user removes the Service from the rule, so only the canary is left in it.
    world.snapshot.routes[0].spec["rules"][0]["backendRefs"][0]["weight"] = json!(0);
    assert_eq!(world.weight(), 100);
    world.reconcile();
    assert_eq!(world.weight(), 0);
    assert_eq!(world.status().waiting.as_ref().map(|wait| wait.reason.as_str()), Some("RouteChanged"));
    world.snapshot.routes[0].spec["rules"][0]["backendRefs"] = json!([{"name": "web", "port": 80}]);
    world.until(|world| world.status().weight == percent(50));
}

#[test]
fn a_template_that_was_held_before_there_was_a_rollout_is_released_without_the_annotation() {
    let mut world = World::stable();
    world.snapshot.rollout = None;
    world.push("demo:v2");
    world.snapshot.deployment.as_mut().unwrap().meta.annotations.clear();
    world.snapshot.policy = PolicyState::Unnamed;
    let notes: Vec<_> = world.decide().events.into_iter().map(|event| event.reason).collect();
    assert_eq!(notes, ["Left"]);
    world.until_idle();
    let d = world.snapshot.deployment.as_ref().unwrap();
    assert!(d.paused, "a person resumes it");
    assert!(!d.meta.labels.contains_key(api::HELD), "admission denies no resume");
    assert!(world.snapshot.rollout.is_none());
    assert_eq!(world.started, 0);
}

#[test]
fn a_rejected_template_is_not_tried_again_when_its_replica_set_is_deleted() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    world.until_idle();
    world.measurement = Measurement::Good;
    let started = world.started;
    world.snapshot.replica_sets.retain(|set| set.replicas > 0);
    world.scale(5);
    world.until_idle();
    assert_eq!((world.status().phase, world.weights.last()), (Phase::RolledBack, Some(&0)));
    assert_eq!(world.started, started, "not tried again");
    world.failed.clear();
    world.want(|spec, revision| {
        let (revision, attempt) = (revision.to_owned(), 2);
        spec.retry = Some(steelyard_core::api::Retry { revision, attempt, by: None });
    });
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2", "a retry creates it again");
}

#[test]
fn a_push_that_arrives_with_a_failure_is_not_rejected_with_it() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    die_on_rollback(&mut world);
    world.measurement = Measurement::Good;
    world.push("demo:v3");
    world.until_idle();
    assert_eq!(
        (world.status().phase, world.status().stable.as_ref().unwrap().tag.as_str()),
        (Phase::Stable, "v3")
    );
}
