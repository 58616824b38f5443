//! Several Deployments behind one Service, or in one route.

use jiff::Timestamp;
use serde_json::json;

use sim::{Measurement, World};
use steelyard_core::{
    api::{EPOCH, End, FAILED, HASH, Phase},
    engine::*,
};

/// Another Deployment that claims the Service, with a pod behind it.
fn rival(since: i64, idle: bool) -> Rival {
    let since = Timestamp::from_second(since).ok();
    Rival {
        deployment: "shop".into(),
        claim: Claim { idle, since, uid: "uid-shop-rollout".into() },
        pods: ["shop-1".into()].into(),
    }
}

/// A world whose Rollout was made in the tenth second, and that is accepted if it is alone behind
/// its Service.
fn tenth(rivals: &[Rival]) -> World {
    let mut world = World::stable();
    world.snapshot.rollout.as_mut().unwrap().meta.created = Timestamp::from_second(10).ok();
    world.snapshot.services[0].rivals = rivals.to_vec();
    world.rest();
    world
}

/// Writes what is decided until nothing is: the pods behind a Service that another rollout has
/// pinned are not of this world.
fn settle(world: &mut World) {
    for _ in 0..50 {
        let decision = world.decide();
        world.write(&decision.writes);
        match decision.wake {
            Some(wake) => world.snapshot.now = wake.max(world.snapshot.now),
            None if decision.writes.is_empty() => return,
            None => {}
        }
    }
    panic!("not settled: {:?}", world.status());
}

fn accepted(world: &World) -> (&str, &str) {
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    (&accepted.reason, &accepted.message)
}

#[test]
fn a_newcomer_behind_the_service_stops_no_rollout_of_the_first() {
    let mut world = tenth(&[]);
    world.snapshot.services[0].rivals = vec![rival(20, true)];
    world.push("demo:v2");
    world.rest();
    assert_eq!(
        (world.status().stable.as_ref().unwrap().tag.as_str(), accepted(&world).0),
        ("v2", "Accepted")
    );
}

#[test]
fn the_newcomer_says_conflict_names_the_first_and_goes_on_once_that_has_left() {
    for (first, what) in [(rival(5, true), "older"), (rival(20, false), "in flight")] {
        let mut world = tenth(&[first]);
        world.push("demo:v2");
        world.rest();
        let (reason, message) = accepted(&world);
        assert_eq!(reason, "Conflict", "{what}: {message}");
        for word in ["Service web", "Deployment shop", "Deployment web", "app=web"] {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(world.snapshot.replica_sets.len(), 1, "nothing was started");
        world.snapshot.services[0].rivals.clear();
        world.rest();
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    }
}

#[test]
fn of_two_that_came_in_one_second_the_lesser_uid_is_first() {
    let (mut lesser, mut greater) = (rival(10, true), rival(10, true));
    (lesser.claim.uid, greater.claim.uid) = ("a".into(), "z".into());
    assert_eq!(accepted(&tenth(&[lesser])).0, "Conflict");
    greater.pods.clear();
    assert_eq!(accepted(&tenth(&[greater])).0, "Accepted");
}

#[test]
fn what_served_beside_it_before_it_was_accepted_is_not_cut_off_whoever_came_first() {
    let (reason, message) = {
        let world = tenth(&[rival(20, true)]);
        let (reason, message) = accepted(&world);
        (reason.to_owned(), message.to_owned())
    };
    assert_eq!(reason, "ServiceShared");
    assert!(message.contains("shop-1"), "{message}");
}

#[test]
fn the_pin_of_a_rollout_that_came_first_is_never_touched() {
    let mut world = tenth(&[]);
    world.snapshot.services[0].rivals = vec![rival(20, false)];
    world.snapshot.services[0].selector.insert(HASH.into(), "theirs".into());
    world.snapshot.services[0].meta.annotations.insert(EPOCH.into(), "1".into());
    settle(&mut world);
    assert_eq!(accepted(&world).0, "Conflict");
    assert_eq!(world.snapshot.services[0].selector[HASH], "theirs");
    assert!(world.snapshot.services[0].meta.annotations.contains_key(EPOCH));
}

#[test]
fn of_two_that_began_in_the_same_moment_the_later_one_withdraws() {
    let mut world = tenth(&[]);
    world.push("demo:v2");
    world.until(|world| world.status().trial.is_some());
    world.snapshot.services[0].rivals = vec![rival(5, false)];
    world.snapshot.services[0].selector.insert(HASH.into(), "theirs".into());
    settle(&mut world);
    let last = world.status().history.last().unwrap();
    assert_eq!((last.outcome, last.reason.as_deref()), (End::Withdrawn, Some("Conflict")));
    assert_eq!((accepted(&world).0, world.status().phase), ("Conflict", Phase::Preparing));
    assert_eq!(world.snapshot.services[0].selector[HASH], "theirs");
    assert!(world.weights.is_empty() && world.snapshot.replica_sets.len() == 1);
}

#[test]
fn two_rollouts_behind_one_route_leave_each_others_marks_and_weights() {
    let mut world = World::stable();
    let backend = |name: &str, weight: i64| json!({"name": name, "port": 80, "weight": weight});
    let theirs = [backend("shop", 90), backend("shop-canary", 10)];
    let spec = json!({"rules": [{"backendRefs": [backend("web", 100), theirs[0], theirs[1]]}]});
    world.snapshot.routes[0].spec = spec.clone();
    world.snapshot.routes[0].meta.annotations = [(FAILED.into(), "0atheirs".into())].into();
    world.rest();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::RollingBack);
    let own = world.status().canary.as_ref().unwrap().revision.clone();
    assert_eq!(world.snapshot.routes[0].meta.annotations[FAILED], format!("0atheirs,{own}"));
    world.rest();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert_eq!(world.snapshot.routes[0].meta.annotations[FAILED], "0atheirs");
    assert_eq!(world.snapshot.routes[0].spec, spec);
    assert_eq!(world.weights, [25, 0]);
}

#[test]
fn a_later_epoch_is_found_on_each_object_of_a_rollout_and_reported_with_its_fix() {
    type Mark = fn(&mut Snapshot) -> &mut u64;
    let marks: [(&str, Mark); 5] = [
        ("Deployment web", |s| &mut s.deployment.as_mut().unwrap().meta.epoch),
        ("ReplicaSet web-s1", |s| &mut s.replica_sets[0].meta.epoch),
        ("Service web", |s| &mut s.services[0].meta.epoch),
        ("HTTPRoute web", |s| &mut s.routes[0].meta.epoch),
        ("Rollout web", |s| &mut s.rollout.as_mut().unwrap().status.epoch),
    ];
    for (object, mark) in marks {
        let mut world = tenth(&[]);
        world.push("demo:v2");
        world.until(|world| world.status().trial.is_some());
        assert_eq!(epoch::later(&world.snapshot), None);
        *mark(&mut world.snapshot) = 9;
        assert_eq!(epoch::later(&world.snapshot), Some((object.to_owned(), 9)));
        let event = epoch::foreign(object, 9, 1);
        assert!(
            event.warning && event.note.contains(object) && event.note.contains("remove it"),
            "{event:?}"
        );
    }
}
