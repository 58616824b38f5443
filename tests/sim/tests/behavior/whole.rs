//! Whole rollouts, from the push until nothing is left to do.

use super::*;

#[test]
fn a_good_release_goes_out_in_steps_and_keeps_its_pods() {
    let mut world = World::stable();
    world.rest();
    assert_eq!(world.status().phase, Phase::Stable);
    let before = world.snapshot.routes[0].spec.clone();
    world.push("demo:v2");
    world.rest();
    assert_eq!(world.weights, [25, 50, 100]);
    assert_eq!(world.status().phase, Phase::Stable);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.snapshot.routes[0].spec, before);
    let d = world.snapshot.deployment.as_ref().unwrap();
    assert!(!d.paused && d.meta.labels.is_empty());
    assert_eq!(world.snapshot.services.len(), 1);
    assert!(!world.snapshot.services[0].selector.contains_key(steelyard_core::api::HASH));
    assert_eq!(world.started, 4, "only the canary's own pods ever start");
}

#[test]
fn without_a_rollout_in_progress_nothing_is_written_by_a_new_leader_either() {
    let mut world = World::stable();
    world.rest();
    world.snapshot.epoch += 1;
    world.snapshot.now += 1.hour();
    assert_eq!(world.decide(), Decision::default());
}

#[test]
fn the_reconcile_that_sees_a_failure_begins_with_weight_zero_and_the_mark() {
    let mut world = World::stable();
    world.rest();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    while world.status().phase != Phase::RollingBack {
        world.proceed();
    }
    assert_eq!(
        world.snapshot.routes[0].meta.annotations[steelyard_core::api::FAILED],
        world.status().canary.as_ref().unwrap().revision
    );
    assert_eq!(world.weights, [25, 0]);
    world.rest();
    let status = world.status();
    assert_eq!(status.phase, Phase::RolledBack);
    let failure = status.failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.value), ("MetricFailed", Some(0.2)));
    assert!(world.snapshot.deployment.as_ref().unwrap().paused, "the rejected template stays held");
    assert_eq!(world.snapshot.routes[0].meta.annotations.len(), 0);
    world.push("demo:v1");
    world.rest();
    assert_eq!(world.status().phase, Phase::Stable);
    assert_eq!(world.started, 1, "a return to stable starts no pod");
    assert_eq!(world.snapshot.replica_sets.len(), 1);
}

#[test]
fn no_data_neither_promotes_nor_rolls_back() {
    let mut world = World::stable();
    world.rest();
    world.measurement = Measurement::NoData;
    world.push("demo:v2");
    for _ in 0..300 {
        world.proceed();
    }
    assert_eq!(world.status().phase, Phase::Stepping);
    assert_eq!(world.weights, [25]);
    world.measurement = Measurement::Good;
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_newer_template_returns_traffic_to_stable_before_it_starts_over() {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    while world.status().weight != Some(50) {
        world.proceed();
    }
    world.push("demo:v3");
    world.rest();
    assert_eq!(world.weights, [25, 50, 0, 25, 50, 100]);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
}

#[test]
fn a_crash_after_the_weight_but_before_the_status_is_recognized_as_a_rollback() {
    let mut world = World::stable();
    world.rest();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    let first = die_on_rollback(&mut world);
    assert!(matches!(first, Write::Patch { kind: Kind::HttpRoute, .. }));
    world.measurement = Measurement::Good;
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
}

#[test]
fn a_policy_with_what_is_not_served_yet_is_refused_by_name() {
    let mut world = World::stable();
    let spec = world.policy();
    let mirror = api::Step { mirror: Some(20), ..api::Step::default() };
    spec.strategy.canary.as_mut().unwrap().steps.push(mirror);
    world.rest();
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "NotYetSupported"));
    world.push("demo:v2");
    world.rest();
    assert_eq!(
        world.snapshot.routes[0].spec["rules"][0]["backendRefs"],
        json!([{"name": "web", "port": 80}])
    );
    assert!(world.snapshot.deployment.as_ref().unwrap().paused);
}

#[test]
fn a_push_during_the_adoption_finishes_the_handover_and_starts_over() {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    loop {
        let decision = world.decide();
        let adoption = |write: &Write| touches(write, "/metadata/ownerReferences");
        if let Some(at) = decision.writes.iter().position(adoption) {
            world.write(&decision.writes[at..=at]);
            world.push("demo:v3");
            break;
        }
        world.proceed();
    }
    world.rest();
    assert_eq!(world.weights, [25, 50, 100, 25, 50, 100], "{:?}", world.status());
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(world.started, 8);
}

#[test]
fn what_keeps_canary_pods_from_getting_ready_is_reported_by_name_and_fails_at_the_deadline() {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    while world.snapshot.replica_sets.iter().all(|set| set.hash == "s1" || set.replicas == 0) {
        world.proceed();
    }
    let canary = world.snapshot.replica_sets.iter_mut().find(|set| set.hash != "s1").unwrap();
    (canary.existing, canary.available) = (0, 0);
    canary.failure = Some("exceeded quota: four".into());
    let hash = canary.hash.clone();
    world.snapshot.pods.retain(|pod| pod.hash != hash);
    for service in &mut world.snapshot.services {
        service.ready.retain(|pod| !pod.contains(&hash));
    }
    let status = |decision: &Decision| {
        let written = decision.writes.iter().find_map(|write| match write {
            Write::Status { status, .. } => Some(status.clone()),
            _ => None,
        });
        written.expect("a status")
    };
    let waiting = status(&world.decide()).waiting.unwrap();
    assert!(waiting.message.contains("exceeded quota: four"), "{waiting:?}");
    // A pod that exists and never gets ready is named once it has had time to start.
    world.snapshot.replica_sets.iter_mut().for_each(|set| set.failure = None);
    let pod = Pod {
        name: "web-x".into(),
        hash,
        trouble: None,
        unready: Some("unready: [app]".into()),
        restarts: 0,
        deleting: false,
    };
    world.snapshot.pods.push(pod);
    let young = world.decide();
    let waiting = status(&young).waiting.unwrap();
    assert!(!waiting.message.contains("NotReady"), "{waiting:?}");
    world.snapshot.rollout.as_mut().unwrap().status = *status(&young);
    world.snapshot.now = young.wake.unwrap();
    let waiting = status(&world.decide()).waiting.unwrap();
    assert!(waiting.message.contains("web-x: NotReady unready: [app]"), "{waiting:?}");
    world.snapshot.now = waiting.until.unwrap();
    let failure = status(&world.decide()).failure.unwrap();
    assert_eq!(failure.reason, "PodsNotReady");
    assert!(failure.message.contains("web-x: NotReady"), "{failure:?}");
}
