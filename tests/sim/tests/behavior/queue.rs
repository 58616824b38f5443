//! Rollouts that wait in the queue.

use super::*;

fn queued(place: usize) -> Capacity {
    Capacity::Queued { place, of: 3, in_flight: 5 }
}

#[test]
fn a_queued_rollout_reports_its_place_and_creates_nothing() {
    let mut world = World::stable();
    world.until_idle();
    world.snapshot.capacity = queued(3);
    world.push("demo:v2");
    world.until_idle();
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!(waiting.reason, "Queue");
    assert!(waiting.message.contains("3rd of 3") && waiting.message.contains("5 rollouts"), "{waiting:?}");
    assert_eq!((world.started, world.snapshot.replica_sets.len(), world.snapshot.services.len()), (0, 1, 1));
    assert_eq!(world.decide().occupancy, Occupancy::Queued);
    world.snapshot.capacity = Capacity::Free;
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.decide().occupancy, Occupancy::None);
}

#[test]
fn a_rollback_never_waits_in_the_queue() {
    let mut world = World::stable();
    world.policy().rollback_window = Some(serde_json::from_value(json!({"revisions": 1})).unwrap());
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(50));
    world.snapshot.capacity = queued(1);
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RolledBack);
    world.measurement = Measurement::Good;
    world.snapshot.capacity = Capacity::Free;
    world.push("demo:v3");
    world.until_idle();
    world.snapshot.capacity = queued(2);
    world.push("demo:v1");
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v1");
}

#[test]
fn a_rollout_in_progress_counts_until_its_end() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::Stepping);
    assert_eq!(world.decide().occupancy, Occupancy::InProgress);
    world.until_idle();
    assert_eq!(world.decide().occupancy, Occupancy::None);
}

#[test]
fn the_place_in_the_queue_is_an_ordinal_number() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    for (place, ordinal) in [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (102, "102nd"),
        (113, "113th"),
    ] {
        world.snapshot.capacity = queued(place);
        world.until_idle();
        let waiting = world.status().waiting.clone().unwrap();
        assert!(waiting.message.contains(&format!(" {ordinal} of ")), "{waiting:?}");
    }
}
