//! Gates: what opens them, what they keep meanwhile, and that a rollback does not wait for them.

use super::*;
use steelyard_core::api::{Approval, Intent, Opened, Promote};

/// A rollout of v2 under a policy with this gate between 25 % and 50 %. The time starts on
/// Thursday, 1 January 1970.
fn at(gate: &serde_json::Value) -> World {
    steps(&json!([{"weight": 25, "duration": "5s"}, {"gate": gate}, {"weight": 50, "duration": "5s"}]))
}

fn steps(steps: &serde_json::Value) -> World {
    let mut world = World::stable();
    world.policy().strategy = serde_json::from_value(json!({"canary": {"steps": steps}})).unwrap();
    world.until_idle();
    world.push("demo:v2");
    world
}

fn waits(world: &World, reason: &str) -> bool {
    let status = world.status();
    status.phase == Phase::Waiting && status.waiting.as_ref().is_some_and(|waiting| waiting.reason == reason)
}

fn promote(world: &mut World, step: u32) {
    world.want(|spec, revision| {
        spec.promote =
            Some(Promote { revision: revision.into(), step: Some(step), by: Some("ann".into()), full: None });
    });
}

/// The gates of the rollout that ended last.
fn gates(world: &World) -> Vec<Opened> {
    world.status().history.last().unwrap().gates.clone()
}

fn message(world: &World) -> String {
    world.status().waiting.as_ref().map(|waiting| waiting.message.clone()).unwrap_or_default()
}

#[test]
fn a_person_gate_keeps_the_weight_until_its_step_is_promoted() {
    let mut world = at(&json!({"person": {"message": "look at the board"}}));
    world.until(|world| waits(world, "Gate"));
    assert!(message(&world).contains("look at the board"));
    promote(&mut world, 1);
    for _ in 0..100 {
        world.proceed();
        world.snapshot.now += 1.second();
    }
    assert!(waits(&world, "Gate"), "a promotion of the previous step has no effect");
    assert_eq!(world.canary().replicas, 1);
    assert_eq!(world.weights, [25]);
    promote(&mut world, 2);
    let now = world.snapshot.now;
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100]);
    let by_ann = Opened { step: 2, by: "ann".into(), at: Some(now), response: None };
    assert_eq!(gates(&world), [by_ann]);
}

#[test]
fn a_full_promotion_is_recorded_for_every_gate_that_it_passes() {
    let person = json!({"gate": {"person": {"message": "look"}}});
    let mut world = steps(&json!([{"weight": 25}, person, {"weight": 50}, person]));
    world.until(|world| waits(world, "Gate"));
    world.want(|spec, revision| {
        spec.promote = Some(Promote { revision: revision.into(), full: Some(true), ..Promote::default() });
    });
    world.until_idle();
    assert_eq!(gates(&world).iter().map(|gate| gate.step).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn metrics_guard_a_rollout_at_its_gate() {
    let mut world = at(&json!({"person": {"message": "look"}}));
    world.until(|world| waits(world, "Gate"));
    world.measurement = Measurement::Bad;
    world.until_idle();
    assert_eq!((world.status().phase, &world.weights[..]), (Phase::RolledBack, &[25, 0][..]));
}

#[test]
fn a_window_reports_its_opening_time_in_its_time_zone_and_opens_at_that_second() {
    let mut world = at(
        &json!({"window": {"days": ["Fri"], "from": "09:00", "to": "16:00", "timeZone": "Europe/Berlin"}}),
    );
    world.measurement = Measurement::NoData;
    world.until(|world| world.status().weight == percent(25));
    world.measurement = Measurement::Good;
    world.until(|world| waits(world, "Window"));
    assert_eq!(
        message(&world),
        "the time window is closed; it opens on Fri 2 Jan 1970 at 09:00 Europe/Berlin"
    );
    let opens: jiff::Timestamp = "1970-01-02T08:00:00Z".parse().unwrap();
    assert_eq!(world.status().waiting.as_ref().unwrap().until, Some(opens));
    world.snapshot.now = opens - 1.second();
    while world.snapshot.now < opens {
        assert!(waits(&world, "Window"));
        assert!(world.proceed(), "the rollout has a next reconcile");
    }
    world.until_idle();
    let [gate] = &gates(&world)[..] else { panic!("one gate") };
    assert_eq!((gate.by.as_str(), gate.at), ("its window", Some(opens)));
}

#[test]
fn a_gate_before_the_first_weight_needs_no_pod() {
    let mut world = steps(&json!([
        {"gate": {"window": {"days": ["Fri"], "from": "09:00", "to": "16:00", "timeZone": "UTC"}}},
        {"weight": 25},
    ]));
    world.until(|world| waits(world, "Window"));
    assert_eq!((world.started, world.weights.len()), (0, 0));
    world.until_idle();
    assert_eq!(world.weights, [25, 100]);
}

#[test]
fn a_webhook_is_called_with_growing_backoff_until_it_accepts() {
    let mut world = at(&json!({"webhook": {"name": "desk", "backoff": "2s", "metadata": {"a": "b"}}}));
    world.webhook = Some((Approval::Refused, "HTTP 503"));
    let mut times = Vec::new();
    while world.calls.len() < 5 {
        let before = world.calls.len();
        let now = world.snapshot.now;
        assert!(world.proceed());
        if world.calls.len() > before {
            times.push(now.as_second());
        }
    }
    let pauses: Vec<i64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(pauses, [2, 4, 8, 16]);
    assert!(message(&world).contains("HTTP 503"), "{}", message(&world));
    world.webhook = Some((Approval::Approved, "HTTP 200 OK: ticket 17"));
    world.until_idle();
    assert_eq!(world.calls.len(), 6);
    let [gate] = &gates(&world)[..] else { panic!("one gate") };
    assert_eq!(
        (gate.by.as_str(), gate.response.as_deref()),
        ("webhook desk", Some("HTTP 200 OK: ticket 17"))
    );
    let call = &world.calls[5];
    let question = &call.question;
    assert_eq!((call.webhook.as_str(), call.step, call.attempt, question.step), ("desk", 1, 6, 2));
    assert_eq!((question.weight, question.steps, question.moment), (Weight::percent(25), 3, Moment::Between));
    assert_eq!(
        (&question.images.stable["app"][..], &question.images.canary["app"][..]),
        ("demo:v1", "demo:v2")
    );
    assert_eq!((&question.metrics[0].name[..], question.metrics[0].value), ("success", Some(1.0)));
    assert_eq!(question.metadata["a"], "b");
    let ids: std::collections::BTreeSet<_> = world.calls.iter().map(|call| &call.question.id).collect();
    assert_eq!(ids.len(), 6, "{ids:?}");
}

#[test]
fn a_refusal_rolls_back_after_the_retries_where_the_policy_says_so() {
    let mut world = at(&json!({"webhook": {"name": "desk", "onRefusal": "RollBack", "retries": 2}}));
    world.webhook = Some((Approval::Refused, "HTTP 403 Forbidden"));
    world.until_idle();
    assert_eq!((world.calls.len(), &world.weights[..]), (3, &[25, 0][..]));
    let failure = world.status().failure.as_ref().unwrap();
    assert_eq!(failure.reason, "GateRefused");
    assert!(failure.message.contains("HTTP 403 Forbidden"), "{failure:?}");
}

#[test]
fn a_webhook_that_cannot_be_called_is_awaited_with_either_on_refusal() {
    let mut world = at(&json!({"webhook": {"name": "missing", "onRefusal": "RollBack", "retries": 0}}));
    world.webhook = Some((Approval::NotCalled, "there is no webhook named missing"));
    for _ in 0..300 {
        world.proceed();
    }
    assert!(waits(&world, "Webhook") && message(&world).contains("missing"), "{:?}", world.status());
    assert_eq!(world.weights, [25]);
}

#[test]
fn a_hanging_call_does_not_delay_a_rollback() {
    let fails: [fn(&mut World); 3] = [
        |world| world.measurement = Measurement::Bad,
        |world| {
            world.want(|spec, revision| {
                spec.abort = Some(Intent { revision: revision.into(), by: None });
            });
        },
        |world| world.push("demo:v1"),
    ];
    for fail in fails {
        let mut world = at(&json!({"webhook": {"name": "slow"}}));
        world.until(|world| waits(world, "Webhook"));
        let begun = world.snapshot.now;
        fail(&mut world);
        world.until(|world| world.weight() == 0);
        assert!(world.snapshot.now.duration_since(begun).as_secs() <= 2, "{:?}", world.status());
        assert_eq!((world.calls.len(), &world.weights[..]), (1, &[25, 0][..]));
    }
}

#[test]
fn an_answer_to_an_older_call_opens_nothing() {
    let mut world = at(&json!({"webhook": {"name": "slow"}}));
    world.until(|world| waits(world, "Webhook"));
    let call = world.calls[0].clone();
    let answer = Answer {
        revision: call.revision.clone(),
        step: call.step,
        attempt: 1,
        at: world.snapshot.now,
        approval: Approval::Approved,
        response: String::new(),
    };
    for (revision, step, attempt) in
        [("0other", 1, 1), (&call.revision[..], 0, 1), (&call.revision[..], 1, 2)]
    {
        world.snapshot.answers =
            vec![Answer { revision: revision.to_owned(), step, attempt, ..answer.clone() }];
        world.proceed();
        assert!(waits(&world, "Webhook"), "{revision} {step} {attempt}");
    }
    world.snapshot.answers = vec![answer];
    world.snapshot.asking.clear();
    world.webhook = Some((Approval::Refused, "not called again"));
    world.until_idle();
    assert_eq!((world.calls.len(), &world.weights[..]), (1, &[25, 50, 100][..]));
}

#[test]
fn an_attempt_is_counted_before_it_is_sent_and_the_next_one_replaces_a_lost_answer() {
    let mut world = at(&json!({"webhook": {"name": "desk"}}));
    world.until(|world| waits(world, "Webhook"));
    assert_eq!(world.calls.len(), 1);
    // The process dies; the call may have been answered, but no one received the answer.
    world.die_after(0);
    world.webhook = Some((Approval::Approved, "HTTP 200 OK"));
    let begun = world.snapshot.now;
    world.until(|world| world.calls.len() > 1);
    assert_eq!((world.calls[1].attempt, world.snapshot.now.duration_since(begun).as_secs()), (2, 5));
    assert_ne!(world.calls[0].question.id, world.calls[1].question.id);
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100]);
}

#[test]
fn an_acceptance_during_a_pause_takes_effect_on_resume() {
    let mut world = at(&json!({"webhook": {"name": "desk"}}));
    world.until(|world| waits(world, "Webhook"));
    world.want(|spec, revision| spec.pause = Some(Intent { revision: revision.into(), by: None }));
    let call = world.calls[0].clone();
    world.snapshot.asking.clear();
    let (revision, at) = (call.revision, world.snapshot.now);
    world.snapshot.answers = vec![Answer {
        revision,
        step: 1,
        attempt: 1,
        at,
        approval: Approval::Approved,
        response: "HTTP 200 OK".into(),
    }];
    for _ in 0..100 {
        world.proceed();
        world.snapshot.now += 1.second();
    }
    assert_eq!((world.weights.len(), world.calls.len()), (1, 1));
    assert!(message(&world).contains("the gate is open"), "{}", message(&world));
    world.want(|spec, _| spec.pause = None);
    world.until_idle();
    assert_eq!((&world.weights[..], world.calls.len()), (&[25, 50, 100][..], 1));
}

#[test]
fn a_person_opens_any_gate() {
    let mut world = at(&json!({"webhook": {"name": "slow"}}));
    world.until(|world| waits(world, "Webhook"));
    promote(&mut world, 2);
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100]);
    assert_eq!(gates(&world)[0].by, "ann");
}

#[test]
fn blue_green_waits_at_its_gate_with_the_preview_and_without_traffic() {
    let mut world = World::stable();
    world.policy().strategy =
        serde_json::from_value(json!({"blueGreen": {"gate": {"webhook": {"name": "desk"}}}})).unwrap();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| waits(world, "Webhook"));
    assert_eq!((world.started, world.weights.len()), (4, 0));
    assert_eq!(world.calls[0].question.moment, Moment::Last);
    world.snapshot.asking.clear();
    world.webhook = Some((Approval::Approved, "HTTP 200 OK"));
    world.until_idle();
    assert_eq!(world.weights, [100]);
}
