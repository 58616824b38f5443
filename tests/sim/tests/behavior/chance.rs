//! Random sequences of events: each prefix of writes is safe, and once nothing disturbs the world,
//! every rollout ends.

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use steelyard_core::api::{HASH, Intent, Promote, Retry};

/// An event.
#[derive(Clone, Debug)]
enum Event {
    /// An image is pushed.
    Push(u8),
    /// The Deployment is scaled.
    Scale(i32),
    /// Each metric answers this from now on.
    Answer(Measurement),
    /// A user sets an intent for the canary.
    Want(Wanted),
    /// The Deployment controller runs, or stops.
    Controller(bool),
    /// Another client applies the route as it was.
    Route,
    /// Another client deletes the canary Service.
    Service,
    /// Another client edits the Service's selector: the pin is gone.
    Unpin,
    /// The leader dies after this many writes of its next plan.
    Die(usize),
    /// The oldest write that a dead leader has sent arrives.
    Late,
    /// The world proceeds this many times.
    Proceed(usize),
}

/// An intent.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Abort,
    Pause,
    Full,
    Retry(u32),
    Nothing,
}

fn event() -> impl Strategy<Value = Event> {
    let answer = prop_oneof![Just(Measurement::Good), Just(Measurement::Bad), Just(Measurement::NoData)];
    let wanted = prop_oneof![
        Just(Wanted::Abort),
        Just(Wanted::Pause),
        Just(Wanted::Full),
        (2..4u32).prop_map(Wanted::Retry),
        Just(Wanted::Nothing)
    ];
    prop_oneof![
        3 => (1..5u8).prop_map(Event::Push),
        1 => (0..7i32).prop_map(Event::Scale),
        1 => answer.prop_map(Event::Answer),
        1 => wanted.prop_map(Event::Want),
        1 => any::<bool>().prop_map(Event::Controller),
        1 => Just(Event::Route),
        1 => Just(Event::Service),
        1 => Just(Event::Unpin),
        3 => (0..4usize).prop_map(Event::Die),
        2 => Just(Event::Late),
        6 => (1..40usize).prop_map(Event::Proceed),
    ]
}

fn take(world: &mut World, event: &Event) {
    match event {
        Event::Push(tag) => world.push(&format!("demo:v{tag}")),
        Event::Scale(replicas) => world.scale(*replicas),
        Event::Answer(answer) => world.measurement = *answer,
        Event::Want(wanted) => want(world, *wanted),
        Event::Controller(true) => world.start(Actor::DeploymentController),
        Event::Controller(false) => world.stop(Actor::DeploymentController),
        Event::Route => {
            world.snapshot.routes[0].spec =
                json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]});
        }
        Event::Service if world.weight() == 0 => {
            world.snapshot.services.retain(|service| service.meta.name == "web");
        }
        Event::Unpin if world.weight() == 0 => {
            world.snapshot.services[0].selector.remove(HASH);
        }
        // While the canary has weight, the router would have no endpoint, or the Service would
        // select the canary, until the next reconcile.
        Event::Service | Event::Unpin => {}
        Event::Die(writes) => world.die_after(*writes),
        Event::Late => drop(world.late()),
        Event::Proceed(times) => {
            for _ in 0..*times {
                world.proceed();
            }
        }
    }
}

fn want(world: &mut World, wanted: Wanted) {
    if matches!(wanted, Wanted::Retry(_)) {
        world.failed.clear();
    }
    world.want(|spec, revision| {
        *spec = steelyard_core::api::RolloutSpec::default();
        let intent = Some(Intent { revision: revision.into(), by: None });
        match wanted {
            Wanted::Abort => spec.abort = intent,
            Wanted::Pause => spec.pause = intent,
            Wanted::Full => {
                spec.promote =
                    Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
            }
            Wanted::Retry(attempt) => {
                spec.retry = Some(Retry { revision: revision.into(), attempt, by: None });
            }
            Wanted::Nothing => {}
        }
    });
}

/// Without further disturbance, in the end one version serves alone and nothing of a rollout is
/// left.
fn becomes_idle(mut world: World) {
    world.start(Actor::DeploymentController);
    world.measurement = Measurement::Good;
    want(&mut world, Wanted::Nothing);
    world.scale(4);
    world.until_idle();
    let status = world.status().clone();
    assert_eq!(status.trial, None, "{status:?}");
    let d = world.snapshot.deployment.clone().unwrap();
    let active: Vec<_> = world.snapshot.replica_sets.iter().filter(|set| set.replicas > 0).collect();
    assert_eq!(active.len(), 1, "{:?}", world.snapshot.replica_sets);
    assert_eq!((active[0].replicas, active[0].controller.as_deref()), (4, Some("uid-web")));
    match status.phase {
        Phase::Stable => {
            assert!(!d.paused && d.meta.labels.is_empty());
            assert_eq!(active[0].template, d.template);
        }
        Phase::RolledBack => {
            assert!(d.paused);
            assert_ne!(active[0].template, d.template);
        }
        other => panic!("{other:?}: {status:?}"),
    }
    assert_eq!(
        world.snapshot.routes[0].spec,
        json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]})
    );
    assert_eq!(world.snapshot.services.len(), 1);
    assert!(!world.snapshot.services[0].selector.contains_key(HASH));
    assert!(
        world.snapshot.routes[0].meta.managed.is_empty()
            && world.snapshot.services[0].meta.managed.is_empty()
    );
    for marks in [&world.snapshot.routes[0].meta.annotations, &world.snapshot.services[0].meta.annotations] {
        assert!(marks.is_empty(), "{marks:?}");
    }
    assert!(world.snapshot.rollout.as_ref().unwrap().finalizers.is_empty());
}

/// Strategies and traffic: canary and blue-green, with a route and without one.
fn ways(way: usize) -> (steelyard_core::api::Strategy, steelyard_core::api::Traffic) {
    let steps = json!({"canary": {"steps": [{"weight": 25, "duration": "5s"}, {"weight": 50, "duration": "5s"}], "bake": "5s"}});
    let switch = json!({"blueGreen": {"before": {"duration": "5s"}, "after": {"duration": "5s"}, "keepStable": "10s"}});
    let strategy = [steps, switch][way % 2].clone();
    let traffic = [json!({"gatewayAPI": {}}), json!({"serviceSelector": {}})][way / 2].clone();
    (serde_json::from_value(strategy).unwrap(), serde_json::from_value(traffic).unwrap())
}

/// The same cases in each run, so that a change is judged by its effect. `PROPTEST_RNG_SEED` and
/// `PROPTEST_CASES` select others.
fn config(cases: u32) -> ProptestConfig {
    let set = ProptestConfig::default();
    let seed = if set.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { set.rng_seed };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { set.cases } else { cases };
    ProptestConfig { cases, rng_seed: seed, max_shrink_iters: 300, failure_persistence: None, ..set }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn each_prefix_of_writes_is_safe_and_every_world_becomes_idle(way in 0..4usize, events in prop::collection::vec(event(), 1..16)) {
        let mut world = World::stable();
        let spec = world.policy();
        (spec.strategy, spec.traffic) = ways(way);
        world.until_idle();
        for event in &events {
            take(&mut world, event);
        }
        becomes_idle(world);
    }
}

/// Two worlds with equal states. The second has a later time, epoch and generation.
fn alike(way: usize) -> [World; 2] {
    let mut worlds = [World::stable(), World::stable()];
    worlds[1].advance(SignedDuration::from_mins(90));
    worlds[1].snapshot.epoch += 3;
    worlds[1].snapshot.deployment.as_mut().unwrap().meta.generation += 5;
    for world in &mut worlds {
        let spec = world.policy();
        (spec.strategy, spec.traffic) = ways(way);
        world.settle();
        world.until_idle();
    }
    worlds
}

/// Asserts that the states are equal, or shows the first difference.
fn equal(a: &World, b: &World, event: &Event) {
    let [a, b] = [a, b].map(World::state);
    if a != b {
        let [a, b] = [a, b].map(|state| format!("{state:#?}"));
        let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
        let [a, b] = [a, b]
            .map(|text| text.lines().skip(same.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n"));
        panic!("after {event:?}:\n{a}\n-----\n{b}");
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn worlds_with_equal_states_stay_equal(way in 0..4usize, events in prop::collection::vec(event(), 1..12)) {
        let [mut first, mut second] = alike(way);
        prop_assert_eq!(first.state(), second.state());
        for event in &events {
            take(&mut first, event);
            take(&mut second, event);
            equal(&first, &second, event);
        }
    }
}

#[test]
fn a_deployment_scaled_to_zero_during_the_handover_can_be_scaled_up_again() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    for _ in 0..54 {
        world.proceed();
    }
    world.scale(0);
    world.die_after(1);
    becomes_idle(world);
}
