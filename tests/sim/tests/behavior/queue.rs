//! Rollouts that wait until others are over.

use super::*;

fn queued(place: usize) -> Turn {
    Turn::Queued { place, of: 3, in_flight: 5 }
}

#[test]
fn a_rollout_whose_turn_has_not_come_waits_by_name_and_nothing_is_made_of_it() {
    let mut world = World::stable();
    world.rest();
    world.snapshot.turn = queued(3);
    world.push("demo:v2");
    world.rest();
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!(waiting.reason, "Queue");
    assert!(waiting.message.contains("3rd of 3") && waiting.message.contains("5 rollouts"), "{waiting:?}");
    assert_eq!((world.started, world.snapshot.replica_sets.len(), world.snapshot.services.len()), (0, 1, 1));
    assert_eq!(world.decide().slot, Slot::Queued);
    world.snapshot.turn = Turn::Free;
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(world.decide().slot, Slot::None);
}

#[test]
fn a_rollback_never_waits_for_its_turn() {
    let mut world = World::stable();
    world.policy().rollback_window = Some(serde_json::from_value(json!({"revisions": 1})).unwrap());
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Some(50));
    world.snapshot.turn = queued(1);
    world.measurement = Measurement::Bad;
    world.until(|world| world.status().phase == Phase::RolledBack);
    world.measurement = Measurement::Good;
    world.snapshot.turn = Turn::Free;
    world.push("demo:v3");
    world.rest();
    world.snapshot.turn = queued(2);
    world.push("demo:v1");
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v1");
}

#[test]
fn a_rollout_in_flight_counts_until_it_is_over() {
    let mut world = World::stable();
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().phase == Phase::Stepping);
    assert_eq!(world.decide().slot, Slot::Taken);
    world.rest();
    assert_eq!(world.decide().slot, Slot::None);
}

#[test]
fn the_place_in_the_queue_is_an_ordinal_number() {
    let mut world = World::stable();
    world.rest();
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
        world.snapshot.turn = queued(place);
        world.rest();
        let waiting = world.status().waiting.clone().unwrap();
        assert!(waiting.message.contains(&format!(" {ordinal} of ")), "{waiting:?}");
    }
}
