//! The simulator itself: its faults, its controllers and its canonical state.

use super::*;
use sim::{Invariant, Rejection};

/// A world in which v2 is pushed.
fn pushed() -> World {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world
}

/// A world in which v2 has this weight.
fn at(weight: u8) -> World {
    let mut world = pushed();
    world.until(|world| world.status().weight == percent(weight));
    world
}

#[test]
fn worlds_reached_in_different_orders_have_equal_states() {
    let (mut first, mut second) = (World::stable(), World::stable());
    first.until_idle();
    second.until_idle();
    first.scale(6);
    first.push("demo:v2");
    first.settle();
    second.push("demo:v2");
    second.scale(6);
    assert_eq!(first.state(), second.state());
    first.until_idle();
    assert_ne!(first.state(), second.state());
    second.until_idle();
    assert_eq!(first.state(), second.state());
}

#[test]
fn a_state_names_revisions_by_role_and_times_by_distance() {
    let mut first = at(25);
    let mut second = World::stable();
    second.until_idle();
    second.push("demo:v3");
    second.settle();
    second.advance(SignedDuration::from_hours(5));
    second.push("demo:v2");
    second.until(|world| world.status().weight == percent(25));
    let revision = |world: &World| world.status().canary.as_ref().unwrap().revision.clone();
    assert_ne!(revision(&first), revision(&second), "the generation is a part of the hash");
    assert_ne!(first.snapshot.now, second.snapshot.now);
    assert_eq!(first.state(), second.state());
    first.advance(SignedDuration::from_secs(1));
    assert_ne!(first.state(), second.state(), "a step counts its seconds");
}

#[test]
fn a_state_caps_times_beyond_which_no_rule_distinguishes_them() {
    let mut world = pushed();
    world.until_idle();
    let ended = world.state();
    world.advance(SignedDuration::from_hours(24));
    let later = world.state();
    assert_ne!(ended, later);
    world.advance(SignedDuration::from_hours(24));
    assert_eq!(later, world.state());
}

#[test]
fn states_differ_where_the_worlds_behave_differently() {
    let world = at(25);
    let differs = |change: fn(&mut World)| {
        let mut other = world.clone();
        change(&mut other);
        assert_ne!(world.state(), other.state());
    };
    differs(|world| world.measurement = Measurement::Bad);
    differs(|world| world.stop(Actor::Kubelet));
    differs(|world| world.lose(0));
    differs(|world| world.refuse(Kind::Service, 403, "no"));
    differs(|world| world.snapshot.routes[0].spec = json!({"rules": []}));
    differs(|world| world.snapshot.epoch += 1);
    differs(|world| assert!(world.proceed()));
}

#[test]
fn a_change_by_another_client_is_a_conflict_for_an_earlier_decided_write() {
    let mut world = at(25);
    world.measurement = Measurement::Bad;
    world.until(|world| !world.snapshot.readings.is_empty());
    world.advance(SignedDuration::from_secs(5));
    while !world.decide().writes.iter().any(|write| touches(write, "/spec/rules")) {
        world.proceed();
    }
    let mut other = world.clone();
    // The leader dies with the weight write undelivered, and a user changes the route.
    world.die_after(0);
    other.die_after(0);
    other.snapshot.routes[0].meta.labels.insert("team".into(), "shop".into());
    assert_eq!(world.late(), Some(Ok(())));
    assert_eq!(world.weight(), 0);
    assert_eq!(other.state().in_flight, [], "a stale write counts as lost");
    assert_eq!(other.late(), Some(Err(Rejection::Conflict)));
    assert_eq!(other.weight(), 25);
    assert_eq!(other.late(), None);
}

/// Each world of a rollout in which a leader has died with an undelivered write.
fn deaths() -> Vec<World> {
    let (mut world, mut deaths) = (pushed(), Vec::new());
    loop {
        for writes in 0..world.decide().writes.len() {
            let mut dead = world.clone();
            dead.die_after(writes);
            deaths.push(dead);
        }
        if !world.proceed() {
            assert!(deaths.len() > 50, "each write of the rollout: {}", deaths.len());
            return deaths;
        }
    }
}

/// All writes from here on.
fn writes_until_idle(mut world: World) -> Vec<Write> {
    let mut writes = Vec::new();
    loop {
        writes.extend(world.decide().writes);
        if !world.proceed() {
            return writes;
        }
    }
}

/// Delivers the late write: it changes nothing, or makes a change that the current leader is about
/// to make.
fn deliver(world: &mut World) {
    let (before, alone) = (world.state(), world.clone());
    let sent = world.in_flight()[0].write.clone();
    let applied = world.late().unwrap().is_ok();
    if world.state() != (sim::State { in_flight: Vec::new(), ..before }) {
        assert!(applied, "{sent:?} in {:?}", world.status());
        assert!(writes_until_idle(alone).contains(&sent), "{sent:?} in {:?}", world.status());
    }
}

#[test]
fn a_late_write_of_a_former_leader_changes_nothing() {
    for mut world in deaths() {
        // The next leader takes over, and begins.
        world.reconcile();
        world.reconcile();
        deliver(&mut world);
        world.until_idle();
        assert_eq!(world.weights, [25, 50, 100]);
    }
}

#[test]
fn a_late_write_of_a_former_leader_has_no_lasting_effect_after_a_rollback() {
    let mut rolled_back = 0;
    for mut world in deaths() {
        world.measurement = Measurement::Bad;
        world.until_idle();
        if world.status().phase != Phase::RolledBack {
            continue;
        }
        rolled_back += 1;
        let create = matches!(world.in_flight()[0].write, Write::Create { .. });
        if !create {
            deliver(&mut world);
        } else if world.late().unwrap().is_ok() {
            // Nothing prevents a late create: its object must be found and deleted.
            world.until_idle();
            let status = world.status();
            assert_eq!(
                (status.phase, status.failure.as_ref().unwrap().reason.as_str()),
                (Phase::RolledBack, "MetricFailed")
            );
        }
        assert_eq!(world.weight(), 0);
        assert_eq!((world.snapshot.replica_sets.len(), world.snapshot.services.len()), (2, 1));
    }
    assert!(rolled_back > 25, "most of them: {rolled_back}");
}

#[test]
fn a_lost_write_is_decided_again() {
    let mut undisturbed = pushed();
    undisturbed.until_idle();
    undisturbed.advance(SignedDuration::from_hours(24));
    let mut at = 0;
    loop {
        let mut world = pushed();
        world.lose(at);
        let mut lost = false;
        for _ in 0..2000 {
            let done = world.reconcile();
            lost |= done.rejection == Some(Rejection::Lost);
            if done.planned == 0 && done.measured == 0 {
                let Some(wake) = done.wake else { break };
                world.snapshot.now = wake.max(world.snapshot.now);
            }
        }
        if !lost {
            break;
        }
        assert_eq!(world.weights, [25, 50, 100], "write {at} was lost");
        world.advance(SignedDuration::from_hours(24));
        assert_eq!(world.state(), undisturbed.state(), "write {at} was lost");
        at += 1;
    }
    assert!(at > 20, "each write of the rollout was lost once: {at}");
}

#[test]
fn a_refused_write_is_in_the_next_snapshot_and_in_no_later_one() {
    let mut world = pushed();
    world.refuse(Kind::ReplicaSet, 403, "denied by quota");
    while world.snapshot.refused.is_empty() {
        assert!(world.proceed());
    }
    let [refused] = &world.snapshot.refused[..] else { panic!("one write") };
    assert_eq!((refused.verb, refused.kind, refused.code), (WriteVerb::Create, Kind::ReplicaSet, 403));
    assert_eq!(refused.message, "denied by quota");
    assert_eq!(world.snapshot.replica_sets.len(), 1);
    world.accept();
    world.reconcile();
    assert!(world.snapshot.refused.is_empty());
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_recreated_rollout_gets_the_same_state() {
    let mut world = World::stable();
    world.until_idle();
    let before = world.state();
    world.snapshot.rollout = None;
    world.until_idle();
    assert_eq!(world.state(), before);
}

#[test]
fn answers_that_no_status_write_has_counted_are_read_again() {
    let mut world = at(25);
    world.until(|world| !world.snapshot.readings.is_empty());
    world.lose(0);
    let readings = world.snapshot.readings.clone();
    let done = world.reconcile();
    assert_eq!(done.rejection, Some(Rejection::Lost));
    assert_eq!(world.snapshot.readings, readings);
}

#[test]
fn each_controller_can_lag_and_the_canary_gets_no_traffic_before_its_endpoints_are_there() {
    for actor in [Actor::ReplicaSetController, Actor::Kubelet, Actor::EndpointsController] {
        let mut world = pushed();
        world.stop(actor);
        for _ in 0..50 {
            world.reconcile();
        }
        assert_eq!(world.weights, [0u8; 0], "{actor:?}");
        world.start(actor);
        world.settle();
        world.until_idle();
        assert_eq!(world.weights, [25, 50, 100], "{actor:?}");
    }
}

#[test]
fn a_rollout_waits_for_a_lagging_router() {
    let mut world = pushed();
    world.stop(Actor::Router);
    world.until(|world| world.weight() == 25);
    for _ in 0..5 {
        world.reconcile();
    }
    assert_eq!(world.status().trial.as_ref().unwrap().weight_accepted_at, None);
    world.step(Actor::Router);
    world.until(|world| world.status().trial.as_ref().unwrap().weight_accepted_at.is_some());
}

#[test]
fn a_violated_invariant_is_named() {
    let mut world = at(50);
    assert_eq!(world.violations(), []);
    for service in &mut world.snapshot.services {
        service.ready.clear();
    }
    assert_eq!(world.violations(), [Invariant::CanaryIsReady, Invariant::ServiceIsReady]);
}
