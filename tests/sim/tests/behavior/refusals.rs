//! Writes that the API server or an admission policy refuses: the wait names them and ends.

use jiff::SignedDuration;
use sim::World;
use steelyard_core::{
    api::{Phase, Waiting},
    engine::{Event, Kind},
    traffic::gateway::HTTP_ROUTE,
};

const QUOTA: &str = "exceeded quota: small";

/// The kinds that a rollout writes.
const KINDS: [Kind; 4] = [Kind::Service, Kind::ReplicaSet, Kind::Route(HTTP_ROUTE), Kind::Deployment];

fn refused(world: &World) -> Option<&Waiting> {
    world.status().waiting.as_ref().filter(|waiting| waiting.reason == "WriteRefused")
}

/// Reconciles, a second apart, until `reached` returns true.
fn in_time(world: &mut World, seconds: i64, reached: impl Fn(&World) -> bool) -> bool {
    for _ in 0..seconds {
        for _ in 0..8 {
            if reached(world) {
                return true;
            }
            world.reconcile();
        }
        world.advance(SignedDuration::from_secs(1));
    }
    reached(world)
}

#[test]
fn a_refused_write_of_any_kind_is_a_wait_with_its_words_in_any_phase() {
    for kind in KINDS {
        // Each moment of a rollout at which this kind is written for the first time, or again.
        for start in (0..40).step_by(3) {
            let mut world = World::stable();
            world.push("demo:v2");
            for _ in 0..start {
                world.proceed();
            }
            if world.status().phase == Phase::Stable && world.status().trial.is_none() {
                continue;
            }
            world.refuse(kind, 403, QUOTA);
            let shown = in_time(&mut world, 30, |world| refused(world).is_some());
            let idle = world.status().trial.is_none();
            if let Some(waiting) = refused(&world) {
                assert!(waiting.message.contains(QUOTA), "{waiting:?}");
                assert!(waiting.message.contains(&kind.to_string()), "{waiting:?}");
            }
            assert!(shown || idle, "{kind} refused after {start} reconciles: {:?}", world.status());
        }
    }
}

#[test]
fn a_rollout_goes_on_once_a_write_is_no_longer_refused() {
    for kind in KINDS {
        let mut world = World::stable();
        world.push("demo:v2");
        world.refuse(kind, 403, QUOTA);
        assert!(in_time(&mut world, 60, |world| refused(world).is_some()), "{kind}");
        let since = refused(&world).unwrap().since;
        assert!(!in_time(&mut world, 5, |world| refused(world).is_none()));
        assert_eq!(refused(&world).unwrap().since, since, "the wait started once");
        world.accept();
        world.until_idle();
        assert_eq!(world.status().phase, Phase::Stable, "{kind}");
        assert_eq!(world.status().waiting, None, "{kind}");
    }
}

#[test]
fn a_write_that_stays_refused_ends_the_rollout_at_its_deadline() {
    for kind in [Kind::Service, Kind::ReplicaSet] {
        let mut world = World::stable();
        world.push("demo:v2");
        world.reconcile();
        world.refuse(kind, 403, QUOTA);
        assert!(in_time(&mut world, 60, |world| refused(world).is_some()), "{kind}");
        let waiting = refused(&world).unwrap().clone();
        let until = waiting.until.expect("a deadline");
        assert_eq!(until.duration_since(waiting.since.unwrap()).as_mins(), 10);
        world.snapshot.now = until;
        let back = |world: &World| world.status().phase != Phase::Preparing;
        assert!(in_time(&mut world, 60, back), "{kind}: {:?}", world.status());
        let failure = world.status().failure.clone().expect("a failure");
        assert_eq!(failure.reason, "WriteRefused");
        assert!(failure.message.contains(QUOTA), "{failure:?}");
        world.accept();
        world.until_idle();
        assert_eq!(world.status().phase, Phase::RolledBack, "{kind}");
    }
}

#[test]
fn a_refused_write_is_reported_once_for_each_message() {
    let mut world = World::stable();
    world.push("demo:v2");
    let mut told: Vec<Event> = Vec::new();
    for message in [QUOTA, QUOTA, "denied by policy"] {
        world.refuse(Kind::Service, 403, message);
        for _ in 0..20 {
            told.extend(world.decide().events.into_iter().filter(|event| event.reason == "WriteRefused"));
            world.reconcile();
        }
    }
    let notes: Vec<&str> = told.iter().map(|event| event.note.rsplit(": ").next().unwrap()).collect();
    assert_eq!(notes, ["small", "denied by policy"]);
    assert!(told.iter().all(|event| event.warning));
}

#[test]
fn metrics_guard_a_canary_while_another_write_is_refused() {
    let mut world = World::stable();
    world.push("demo:v2");
    world.until(|world| world.status().trial.as_ref().is_some_and(|trial| trial.traffic_since.is_some()));
    // Another client widens the Service, and a policy refuses to pin it again.
    world.snapshot.services[0].selector.remove("pod-template-hash");
    world.refuse(Kind::Service, 403, QUOTA);
    assert!(in_time(&mut world, 5, |world| refused(world).is_some()));
    world.measurement = sim::Measurement::Bad;
    assert!(in_time(&mut world, 10, |world| world.weight() == 0), "{:?}", world.status());
    let failure = world.status().failure.as_ref().expect("a failure");
    assert_eq!(failure.reason, "MetricFailed", "the evidence is recorded although the pin is refused");
    world.accept();
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
}

#[test]
fn a_refused_write_of_the_cleanup_after_a_deleted_deployment_is_a_wait() {
    let mut world = World::stable();
    world.push("demo:v2");
    world.until(|world| world.weight() == 25);
    world.snapshot.deployment = None;
    world.refuse(Kind::Route(HTTP_ROUTE), 403, QUOTA);
    assert!(in_time(&mut world, 5, |world| refused(world).is_some()), "{:?}", world.status());
}
