//! Blue-green, and traffic without a router.

use jiff::{SignedDuration, ToSpan as _};

use super::*;
use steelyard_core::api::{HASH, Handover, OnFailure, Side};

fn world(strategy: serde_json::Value, traffic: serde_json::Value) -> World {
    let mut world = World::stable();
    let spec = world.policy();
    spec.strategy = serde_json::from_value(strategy).unwrap();
    spec.traffic = serde_json::from_value(traffic).unwrap();
    world.until_idle();
    world
}

fn blue_green() -> serde_json::Value {
    json!({"blueGreen": {"before": {"duration": "5s"}, "after": {"duration": "5s"}, "keepStable": "20s"}})
}

fn by_route() -> serde_json::Value {
    json!({"gatewayAPI": {}})
}

fn by_service() -> serde_json::Value {
    json!({"serviceSelector": {}})
}

/// The version that a Service is pinned to: `s1`, the canary's hash, or `None` for both.
fn pin(world: &World) -> Option<&String> {
    world.snapshot.services[0].selector.get(HASH)
}

#[test]
fn a_switch_by_route_moves_all_traffic_at_once_and_the_services_flip_with_it() {
    let mut world = world(blue_green(), by_route());
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(100));
    assert_eq!(world.weights, [100]);
    assert_eq!(world.started, 4, "the preview is at full scale");
    let revision = world.status().canary.as_ref().unwrap().revision.clone();
    assert_eq!(pin(&world), Some(&revision));
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!((world.weights, world.started), (vec![100], 4));
}

#[test]
fn a_preview_is_measured_without_traffic_and_a_bad_one_never_gets_any() {
    for traffic in [by_route(), by_service()] {
        let mut world = world(blue_green(), traffic);
        world.measurement = Measurement::Bad;
        world.push("demo:v2");
        world.until_idle();
        let status = world.status();
        assert_eq!(status.phase, Phase::RolledBack, "{status:?}");
        assert_eq!(status.failure.as_ref().unwrap().reason, "MetricFailed");
        assert!(world.weights.is_empty());
        assert_eq!(pin(&world), None);
    }
}

#[test]
fn stable_stays_at_full_scale_until_the_bake_is_over_and_a_failure_in_it_returns_everything_in_one_reconcile()
{
    for traffic in [by_route(), by_service()] {
        let mut world = world(blue_green(), traffic);
        world.push("demo:v2");
        world.until(|world| world.status().progress.as_deref() == Some("3/3"));
        let begun = world.snapshot.now;
        world.until(|world| world.snapshot.now >= begun + 10.seconds());
        assert_eq!(world.snapshot.replica_sets[0].replicas, 4);
        world.measurement = Measurement::Bad;
        world.until(|world| world.status().phase == Phase::RollingBack);
        assert_eq!(pin(&world).map(String::as_str), Some("s1"), "flipped back in the reconcile that saw it");
        let trial = world.status().trial.as_ref().unwrap();
        assert_eq!((trial.side, trial.given), (Side::Stable, Weight::ZERO));
        world.until_idle();
        assert_eq!(world.status().phase, Phase::RolledBack);
        assert_eq!(world.status().stable.as_ref().unwrap().revision, "s1");
    }
}

#[test]
fn a_version_that_has_all_traffic_is_handed_over_without_waiting_for_the_router_again() {
    let filling = |policy: serde_json::Value| {
        let mut world = world(policy, by_route());
        world.push("demo:v2");
        world.until(|world| world.status().phase == Phase::Promoting);
        let since = world.snapshot.now;
        world.until(|world| world.status().trial.as_ref().unwrap().handover > Some(Handover::ScalingUp));
        world.snapshot.now.duration_since(since)
    };
    let drain = World::stable().snapshot.drain;
    assert_eq!(filling(blue_green()), SignedDuration::ZERO);
    let canary = |last| json!({"canary": {"steps": [{"weight": last, "duration": "5s"}]}});
    assert_eq!(filling(canary(100)), SignedDuration::ZERO);
    assert!(filling(canary(50)) >= drain, "the router has time to stop using stable");
}

#[test]
fn a_switch_by_service_flips_the_pin_and_does_not_change_the_route() {
    let mut world = world(blue_green(), by_service());
    let before = world.snapshot.routes[0].clone();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(100));
    let revision = world.status().canary.as_ref().unwrap().revision.clone();
    assert_eq!(pin(&world), Some(&revision));
    world.until(|world| world.status().observed_weight == percent(100));
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(
        (world.snapshot.routes[0].spec.clone(), &world.snapshot.routes[0].meta.annotations),
        (before.spec, &before.meta.annotations)
    );
    assert_eq!((pin(&world), world.started), (None, 4));
}

#[test]
fn a_canary_without_a_router_shares_by_the_number_of_pods_and_then_flips() {
    let steps = json!({"canary": {"steps": [{"weight": 20, "duration": "5s"}, {"weight": 50, "duration": "5s"}, {"weight": 100}]}});
    let mut world = world(steps, by_service());
    world.push("demo:v2");
    world.until(|world| world.status().observed_weight == percent(20));
    assert_eq!((world.status().weight, pin(&world)), (percent(20), None));
    assert_eq!(world.canary().replicas, 1);
    world.until(|world| world.status().observed_weight == percent(50));
    assert_eq!((world.status().weight, world.canary().replicas), (percent(50), 4));
    assert_eq!(world.snapshot.replica_sets[0].replicas, 4, "stable never shrinks");
    world.until(|world| world.status().weight == percent(100));
    assert_ne!(pin(&world).map(String::as_str), None);
    world.until_idle();
    assert_eq!((world.status().stable.as_ref().unwrap().tag.as_str(), world.started), ("v2", 4));
}

#[test]
fn weights_that_the_pod_count_cannot_express_are_refused_with_their_path() {
    let steps = json!({"canary": {"steps": [{"weight": 20, "replicas": "50%"}, {"weight": 60}]}});
    let world = world(steps, by_service());
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!(accepted.status, "False");
    for place in ["steps[0].replicas", "steps[1].weight"] {
        assert!(accepted.message.contains(place), "{}", accepted.message);
    }
}

#[test]
fn a_service_with_a_local_traffic_policy_is_refused() {
    let mut world = World::stable();
    world.snapshot.services[0].exposure = Exposure::Local;
    let spec = world.policy();
    spec.traffic = serde_json::from_value(by_service()).unwrap();
    world.until_idle();
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!((accepted.status.as_str(), accepted.reason.as_str()), ("False", "ServiceNotSwitchable"));
}

#[test]
fn a_crash_after_the_flip_back_but_before_the_status_is_recognized_as_a_rollback() {
    let mut world = world(blue_green(), by_service());
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(100));
    world.measurement = Measurement::Bad;
    let first = die_on_rollback(&mut world);
    assert!(matches!(first, Write::Patch { kind: Kind::Service, .. }));
    world.measurement = Measurement::Good;
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    has_its_evidence(&world);
    assert!(world.snapshot.services[0].meta.annotations.is_empty());
}

#[test]
fn a_bake_keeps_stable_at_full_scale_while_the_canary_has_all_traffic() {
    let steps = json!({"canary": {"steps": [{"weight": 50, "duration": "5s"}], "bake": "30s"}});
    let mut world = world(steps, by_route());
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(100));
    let begun = world.snapshot.now;
    world.until(|world| world.status().phase == Phase::Promoting);
    assert!(world.snapshot.now >= begun + 30.seconds());
    assert_eq!(world.snapshot.replica_sets[0].replicas, 4);
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_version_within_the_rollback_window_returns_in_one_switch_and_an_older_one_in_steps() {
    for (within, weights) in [("1h", vec![100]), ("1s", vec![25, 50, 100])] {
        let mut world = World::stable();
        let spec = world.policy();
        spec.rollback_window = Some(serde_json::from_value(json!({"within": within})).unwrap());
        world.until_idle();
        world.push("demo:v2");
        world.until_idle();
        world.snapshot.now += 1.minute();
        world.weights = Vec::new();
        world.push("demo:v1");
        world.until_idle();
        assert_eq!(world.weights, weights);
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v1");
    }
}

#[test]
fn a_return_in_one_switch_is_guarded_by_the_same_metrics() {
    let mut world = World::stable();
    let spec = world.policy();
    spec.rollback_window = Some(serde_json::from_value(json!({"revisions": 1})).unwrap());
    world.until_idle();
    world.push("demo:v2");
    world.until_idle();
    world.measurement = Measurement::Bad;
    world.weights = Vec::new();
    world.push("demo:v1");
    world.until_idle();
    assert_eq!(world.weights, [100, 0]);
    assert_eq!(world.status().phase, Phase::RolledBack);
}

#[test]
fn on_failure_revert_restores_stables_template_and_a_second_push_of_the_failed_one_is_not_tried() {
    let mut world = World::stable();
    let spec = world.policy();
    spec.on_failure = OnFailure::Revert;
    world.until_idle();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    world.until_idle();
    let d = world.snapshot.deployment.as_ref().unwrap();
    assert_eq!(d.template["spec"]["containers"][0]["image"], "demo:v1");
    assert!(!d.paused);
    let status = world.status();
    assert_eq!(status.phase, Phase::Stable);
    assert_eq!(status.failure.as_ref().unwrap().reason, "MetricFailed");
    let (weights, started) = (world.weights.clone(), world.started);
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert_eq!((&world.weights, world.started), (&weights, started));
    assert!(world.snapshot.deployment.as_ref().unwrap().paused, "a fight over the template has an end");
    world.measurement = Measurement::Good;
    world.push("demo:v3");
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(world.snapshot.replica_sets.len(), 2, "the rejected ReplicaSet is gone");
}

#[test]
fn a_partial_preview_grows_to_full_scale_before_the_switch() {
    let partial = json!({"blueGreen": {"preview": {"replicas": "25%"}, "before": {"duration": "5s"}}});
    let mut world = world(partial, by_route());
    world.push("demo:v2");
    world.until(|world| world.status().waiting.as_ref().is_some_and(|waiting| waiting.reason == "Preview"));
    assert_eq!(world.canary().replicas, 1);
    world.until(|world| world.status().weight == percent(100));
    assert_eq!(world.canary().replicas, 4);
    world.until_idle();
    assert_eq!(world.started, 4);
}
