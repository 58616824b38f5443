//! Whole rollouts, from the push until nothing is left to do.

use super::*;

#[test]
fn a_good_release_rolls_out_in_steps_and_keeps_its_pods() {
    let mut world = World::stable();
    world.until_idle();
    assert_eq!(world.status().phase, Phase::Stable);
    let before = world.snapshot.routes[0].spec.clone();
    world.push("demo:v2");
    world.until_idle();
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
    world.until_idle();
    world.snapshot.epoch += 1;
    world.snapshot.now += 1.hour();
    assert_eq!(world.decide(), Decision::default());
}

#[test]
fn the_reconcile_that_sees_a_failure_begins_with_weight_zero_and_the_mark() {
    let mut world = World::stable();
    world.until_idle();
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
    world.until_idle();
    let status = world.status();
    assert_eq!(status.phase, Phase::RolledBack);
    let failure = status.failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.value), ("MetricFailed", Some(0.2)));
    assert!(world.snapshot.deployment.as_ref().unwrap().paused, "the rejected template stays held");
    assert_eq!(world.snapshot.routes[0].meta.annotations.len(), 0);
    world.push("demo:v1");
    world.until_idle();
    assert_eq!(world.status().phase, Phase::Stable);
    assert_eq!(world.started, 1, "a return to stable starts no pod");
    assert_eq!(world.snapshot.replica_sets.len(), 1);
}

#[test]
fn no_data_neither_promotes_nor_rolls_back() {
    let mut world = World::stable();
    world.until_idle();
    world.measurement = Measurement::NoData;
    world.push("demo:v2");
    for _ in 0..300 {
        world.proceed();
    }
    assert_eq!(world.status().phase, Phase::Stepping);
    assert_eq!(world.weights, [25]);
    world.measurement = Measurement::Good;
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_newer_template_returns_traffic_to_stable_before_it_starts_over() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    while world.status().weight != percent(50) {
        world.proceed();
    }
    world.push("demo:v3");
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 0, 25, 50, 100]);
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
}

#[test]
fn a_crash_after_the_weight_but_before_the_status_is_recognized_as_a_rollback() {
    let mut world = World::stable();
    world.until_idle();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    let first = die_on_rollback(&mut world);
    assert!(matches!(first, Write::Patch { kind: Kind::Route(_), .. }));
    world.measurement = Measurement::Good;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    has_its_evidence(&world);
    assert!(world.snapshot.routes[0].meta.annotations.is_empty());
}

#[test]
fn an_abort_whose_status_write_is_lost_is_still_an_abort() {
    for lost in [1, 2] {
        let mut world = World::stable();
        world.policy().on_failure = api::OnFailure::Revert;
        world.until_idle();
        world.push("demo:v2");
        world.until(|world| world.status().weight == percent(25));
        world.want(|spec, revision| {
            spec.abort = Some(api::Intent { revision: revision.into(), by: Some("ann".into()) });
        });
        let pushed = world.snapshot.deployment.as_ref().unwrap().template.clone();
        if lost == 1 {
            die_on_rollback(&mut world);
        } else {
            // The same leader decides again.
            world.lose(1);
            assert!(world.reconcile().rejection.is_some());
        }
        world.until_idle();
        let failure = world.status().failure.as_ref().unwrap();
        assert_eq!((failure.cause, failure.message.as_str()), (api::Cause::Abort, "aborted by ann"));
        assert!(!failure.reverted);
        assert_eq!(world.snapshot.deployment.as_ref().unwrap().template, pushed, "a person aborted it");
    }
}

#[test]
fn a_mark_without_a_record_is_still_a_rollback() {
    let mut world = World::stable();
    world.until_idle();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    die_on_rollback(&mut world);
    world.snapshot.routes[0].meta.annotations.remove(api::FAILURE);
    world.until_idle();
    let failure = world.status().failure.as_ref().unwrap();
    assert_eq!((world.status().phase, failure.reason.as_str()), (Phase::RolledBack, "CauseUnknown"));
}

#[test]
fn a_change_of_replicas_alone_writes_nothing_and_a_push_is_observed_at_once() {
    let mut world = World::stable();
    world.until_idle();
    world.scale(7);
    assert_eq!(world.decide().writes, [], "the Rollout has nothing to report");
    world.push("demo:v2");
    world.reconcile();
    let generation = world.snapshot.deployment.as_ref().unwrap().meta.generation;
    assert_eq!(world.status().observed_deployment_generation, generation);
}

#[test]
fn an_invalid_policy_starts_no_rollout_and_stalls() {
    let mut world = World::stable();
    let spec = world.policy();
    spec.strategy.canary.as_mut().unwrap().steps.push(api::Step::default());
    world.until_idle();
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "PolicyInvalid"));
    let stalled = world.status().conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "PolicyInvalid"));
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(
        world.snapshot.routes[0].spec["rules"][0]["backendRefs"],
        json!([{"name": "web", "port": 80}])
    );
    assert!(world.snapshot.deployment.as_ref().unwrap().paused);
}

#[test]
fn a_push_during_the_transfer_finishes_the_handover_and_starts_over() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    loop {
        let decision = world.decide();
        let transfer = |write: &Write| touches(write, "/metadata/ownerReferences");
        if let Some(at) = decision.writes.iter().position(transfer) {
            world.write(&decision.writes[at..=at]);
            world.push("demo:v3");
            break;
        }
        world.proceed();
    }
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100, 25, 50, 100], "{:?}", world.status());
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(world.started, 8);
}

#[test]
fn the_reason_why_canary_pods_are_not_ready_is_reported_and_fails_at_the_deadline() {
    let mut world = World::stable();
    world.until_idle();
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
    // A pod that exists but never becomes ready is named once it has had time to start.
    world.snapshot.replica_sets.iter_mut().for_each(|set| set.failure = None);
    let pod = Pod {
        name: "web-x".into(),
        hash,
        trouble: None,
        unready: Some("unready: [app]".into()),
        restarts: None,
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
