//! A rollout that waits until others are over.

use super::*;

fn queued(place: usize) -> Turn {
    Turn::Queued { place, of: 3, in_flight: 5 }
}

#[test]
fn a_rollout_whose_turn_has_not_come_waits_by_name_and_nothing_is_made_of_it() {
    let mut world = World::stable();
    world.rest();
    world.s.turn = queued(3);
    world.push("demo:v2");
    world.rest();
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!(waiting.reason, "Queue");
    assert!(waiting.message.contains("3rd of 3") && waiting.message.contains("5 rollouts"), "{waiting:?}");
    assert_eq!((world.started, world.s.replica_sets.len(), world.s.services.len()), (0, 1, 1));
    assert_eq!(decide(&world.s).slot, Slot::Queued);
    world.s.turn = Turn::Free;
    world.rest();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    assert_eq!(decide(&world.s).slot, Slot::None);
}

#[test]
fn a_way_back_never_waits_for_its_turn() {
    let mut world = World::stable();
    let Policy::Found(spec) = &mut world.s.policy else { unreachable!() };
    spec.rollback_window = Some(serde_json::from_value(json!({"revisions": 1})).unwrap());
    world.rest();
    world.push("demo:v2");
    world.until(|world| world.status().weight == Some(50));
    world.s.turn = queued(1);
    world.answer = Outcome::Value(0.2);
    world.until(|world| world.status().phase == Phase::RolledBack);
    world.answer = Outcome::Value(1.0);
    world.s.turn = Turn::Free;
    world.push("demo:v3");
    world.rest();
    world.s.turn = queued(2);
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
    assert_eq!(decide(&world.s).slot, Slot::Taken);
    world.rest();
    assert_eq!(decide(&world.s).slot, Slot::None);
}
