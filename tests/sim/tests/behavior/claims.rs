//! Several Deployments behind one Service or in one route.

use jiff::Timestamp;
use serde_json::json;

use sim::{Measurement, World};
use steelyard_core::{
    api::{CANARY_OF, EPOCH, FAILED, HASH, Phase, ROLLOUT, RolloutOutcome},
    engine::{
        reasons::{EventReason, NewerEpoch},
        *,
    },
};

/// Another Deployment that claims the Service, with a pod behind it.
fn claimant(since: i64, idle: bool) -> Claimant {
    let since = Timestamp::from_second(since).ok();
    Claimant {
        deployment: "shop".into(),
        claim: Claim { idle, since, uid: "uid-shop-rollout".into() },
        pods: ["shop-1".into()].into(),
    }
}

/// A world whose Rollout was created in second 10 and is accepted if no other Deployment uses its
/// Service.
fn tenth(claimants: &[Claimant]) -> World {
    let mut world = World::stable();
    world.snapshot.rollout.as_mut().unwrap().meta.created = Timestamp::from_second(10).ok();
    world.snapshot.services[0].claimants = claimants.to_vec();
    world.until_idle();
    world
}

/// Applies decisions until there are none. Skips the invariants, because the pods behind a Service
/// that another rollout has pinned are not part of this world.
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
fn a_second_deployment_behind_the_service_stops_no_rollout_of_the_first() {
    let mut world = tenth(&[]);
    world.snapshot.services[0].claimants = vec![claimant(20, true)];
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(
        (world.status().stable.as_ref().unwrap().tag.as_str(), accepted(&world).0),
        ("v2", "Accepted")
    );
}

#[test]
fn a_second_deployment_reports_conflict_names_the_first_and_continues_once_that_is_gone() {
    for (first, what) in [(claimant(5, true), "older"), (claimant(20, false), "in flight")] {
        let mut world = tenth(&[first]);
        world.push("demo:v2");
        world.until_idle();
        let (reason, message) = accepted(&world);
        assert_eq!(reason, "Conflict", "{what}: {message}");
        for word in ["Service web", "Deployment shop", "Deployment web", "app=web"] {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(world.snapshot.replica_sets.len(), 1, "nothing was started");
        world.snapshot.services[0].claimants.clear();
        world.until_idle();
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    }
}

#[test]
fn of_two_rollouts_created_in_the_same_second_the_smaller_uid_is_first() {
    let (mut smaller, mut larger) = (claimant(10, true), claimant(10, true));
    (smaller.claim.uid, larger.claim.uid) = ("a".into(), "z".into());
    assert_eq!(accepted(&tenth(&[smaller])).0, "Conflict");
    larger.pods.clear();
    assert_eq!(accepted(&tenth(&[larger])).0, "Accepted");
}

#[test]
fn pods_of_another_deployment_that_served_before_acceptance_keep_their_traffic() {
    let (reason, message) = {
        let world = tenth(&[claimant(20, true)]);
        let (reason, message) = accepted(&world);
        (reason.to_owned(), message.to_owned())
    };
    assert_eq!(reason, "ServiceShared");
    assert!(message.contains("shop-1"), "{message}");
}

#[test]
fn the_pin_of_an_earlier_rollout_is_never_changed() {
    let mut world = tenth(&[]);
    world.snapshot.services[0].claimants = vec![claimant(20, false)];
    world.snapshot.services[0].selector.insert(HASH.into(), "theirs".into());
    world.snapshot.services[0].meta.annotations.insert(EPOCH.into(), "1".into());
    settle(&mut world);
    assert_eq!(accepted(&world).0, "Conflict");
    assert_eq!(world.snapshot.services[0].selector[HASH], "theirs");
    assert!(world.snapshot.services[0].meta.annotations.contains_key(EPOCH));
}

#[test]
fn of_two_rollouts_that_start_at_the_same_time_the_later_one_withdraws() {
    let mut world = tenth(&[]);
    world.push("demo:v2");
    world.until(|world| world.status().trial.is_some());
    world.snapshot.services[0].claimants = vec![claimant(5, false)];
    world.snapshot.services[0].selector.insert(HASH.into(), "theirs".into());
    world.snapshot.services[0].meta.annotations.insert(EPOCH.into(), "1".into());
    settle(&mut world);
    let last = world.status().history.last().unwrap();
    assert_eq!((last.outcome, last.reason.as_deref()), (RolloutOutcome::Withdrawn, Some("Conflict")));
    assert_eq!((accepted(&world).0, world.status().phase), ("Conflict", Phase::Preparing));
    assert_eq!(world.snapshot.services[0].selector[HASH], "theirs");
    assert!(world.weights.is_empty() && world.snapshot.replica_sets.len() == 1);
}

#[test]
fn two_rollouts_in_one_route_keep_each_others_marks_and_weights() {
    let mut world = World::stable();
    let backend = |name: &str, weight: i64| json!({"name": name, "port": 80, "weight": weight});
    let theirs = [backend("shop", 90), backend("shop-canary", 10)];
    let spec = json!({"rules": [{"backendRefs": [backend("web", 100), theirs[0], theirs[1]]}]});
    world.snapshot.routes[0].spec = spec.clone();
    world.snapshot.routes[0].meta.annotations = [(FAILED.into(), "0atheirs".into())].into();
    world.until_idle();
    world.measurement = Measurement::Bad;
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::RollingBack);
    let own = world.status().canary.as_ref().unwrap().revision.clone();
    assert_eq!(world.snapshot.routes[0].meta.annotations[FAILED], format!("0atheirs,{own}"));
    world.until_idle();
    assert_eq!(world.status().phase, Phase::RolledBack);
    assert_eq!(world.snapshot.routes[0].meta.annotations[FAILED], "0atheirs");
    assert_eq!(world.snapshot.routes[0].spec, spec);
    assert_eq!(world.weights, [25, 0]);
}

#[test]
fn marks_on_objects_that_are_not_of_the_rollout_do_not_count() {
    let mut world = tenth(&[]);
    let mut hostile = world.snapshot.services[0].clone();
    hostile.meta.name = "hostile".into();
    hostile.meta.epoch = u64::MAX;
    hostile.meta.annotations = [(EPOCH.into(), u64::MAX.to_string())].into();
    hostile.meta.labels = [(CANARY_OF.into(), "nothing".into())].into();
    let mut set = world.snapshot.replica_sets[0].clone();
    (set.meta.name, set.controller, set.replicas, set.existing) = ("hostile".into(), None, 0, 0);
    set.meta.epoch = u64::MAX;
    world.push("demo:v2");
    world.until(|world| world.weight() == 25);
    world.snapshot.services.push(hostile);
    world.snapshot.replica_sets.push(set);
    // Another route has the annotations of this one, as a copy of it would.
    let revision = world.status().canary.as_ref().unwrap().revision.clone();
    let mut copy = world.snapshot.routes[0].clone();
    (copy.meta.name, copy.meta.uid, copy.meta.epoch) = ("copy".into(), "uid-copy".into(), u64::MAX);
    copy.meta.annotations.insert(FAILED.into(), revision);
    copy.spec["rules"][0]["backendRefs"] = json!([{"name": "other", "port": 80}]);
    world.snapshot.routes.push(copy);
    world.reconcile();
    assert_eq!((world.status().phase, epoch::newer(&world.snapshot)), (Phase::Stepping, None));
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RollingBack);
    assert_eq!(world.weights, [25, 0]);
}

#[test]
fn a_service_with_the_labels_of_a_canary_service_starts_no_rollback_and_blocks_nothing() {
    let mut world = tenth(&[]);
    let mut bait = world.snapshot.services[0].clone();
    (bait.meta.name, bait.meta.uid, bait.meta.epoch) = ("bait".into(), "uid-bait".into(), u64::MAX);
    bait.meta.labels = [(CANARY_OF.into(), "web".into()), (ROLLOUT.into(), "web".into())].into();
    bait.meta.owners = ["uid-of-another".into()].into();
    let mut loose = world.snapshot.replica_sets[0].clone();
    (loose.meta.name, loose.meta.uid, loose.controller) = ("loose".into(), "uid-loose".into(), None);
    loose.meta.labels = [(ROLLOUT.into(), "web".into())].into();
    world.snapshot.services.push(bait);
    world.snapshot.replica_sets.push(loose);
    world.reconcile();
    assert_eq!((world.status().phase, epoch::newer(&world.snapshot)), (Phase::Stable, None));
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::Stable && world.status().trial.is_none());
    assert!(world.snapshot.services.iter().any(|service| service.meta.name == "bait"), "is not deleted");
    assert_eq!(world.snapshot.replica_sets.iter().find(|set| set.meta.name == "loose").unwrap().replicas, 4);
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
        let field = if object == "Rollout web" { "status.epoch" } else { EPOCH };
        let mut world = tenth(&[]);
        world.push("demo:v2");
        world.until(|world| world.status().trial.is_some());
        assert_eq!(epoch::newer(&world.snapshot), None);
        *mark(&mut world.snapshot) = 9;
        let newer = epoch::newer(&world.snapshot).expect("a newer epoch");
        assert_eq!(newer, NewerEpoch { object: object.to_owned(), field, found: 9, own: 1 });
        let event = Event::of(&EventReason::NewerEpoch(newer));
        assert!(
            event.warning
                && event.note.contains(object)
                && event.note.ends_with(&format!("until you remove {field} from {object}")),
            "{event:?}"
        );
    }
}
