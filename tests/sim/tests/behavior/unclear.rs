//! Measurements without a number, and how the policy treats them.

use sim::{Measurement, World};
use steelyard_core::api::{self, NoData, Phase, WithoutVerdict};

/// Pushes under a changed policy and runs at most 400 reconciles.
fn pushed(answer: Measurement, change: impl FnOnce(&mut api::Analysis)) -> World {
    let mut world = World::stable();
    let spec = world.policy();
    change(&mut spec.analysis);
    world.until_idle();
    world.measurement = answer;
    world.push("demo:v2");
    for _ in 0..400 {
        if !world.proceed() {
            break;
        }
    }
    world
}

#[test]
fn no_data_is_a_fail_only_where_the_policy_says_so_and_only_once_data_can_exist() {
    let world = pushed(Measurement::NoData, |analysis| analysis.metrics[0].no_data = NoData::Fail);
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::RolledBack, &[25, 0][..]));
    let failure = world.status().failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.value), ("MetricFailed", None));
    assert!(failure.message.contains("metric success has no data"), "{failure:?}");
    assert!(failure.query.as_ref().is_some_and(|query| query.contains("rate(ok")));
    let began = world.status().history[0].started.unwrap();
    // Before range and settle are over, no data is expected.
    assert!(failure.at.unwrap().duration_since(began).as_secs() >= 3, "{failure:?}");
    let world = pushed(Measurement::ServerError, |analysis| analysis.metrics[0].no_data = NoData::Fail);
    assert_eq!(world.weights, [25], "an error is not covered by noData");
}

#[test]
fn without_a_verdict_the_policy_decides_whether_the_weight_stays_returns_to_zero_or_rises() {
    for (answer, set) in [
        (Measurement::NoData, (|a, to| a.on_inconclusive = to) as fn(&mut api::Analysis, WithoutVerdict)),
        (Measurement::TooFew, |a, to| a.on_inconclusive = to),
        (Measurement::ServerError, |a, to| a.on_error = to),
        (Measurement::Unreachable, |a, to| a.on_error = to),
    ] {
        let run = |to| pushed(answer, |analysis| set(analysis, to));
        let held = run(WithoutVerdict::Wait);
        assert_eq!(
            (held.status().phase, held.weights.as_slice()),
            (Phase::Stepping, &[25][..]),
            "{answer:?}"
        );
        let rolled_back = run(WithoutVerdict::RollBack);
        assert_eq!(
            (rolled_back.status().phase, rolled_back.weights.as_slice()),
            (Phase::RolledBack, &[25, 0][..])
        );
        let failure = rolled_back.status().failure.as_ref().unwrap();
        let reason = if matches!(answer, Measurement::ServerError | Measurement::Unreachable) {
            "MetricsUnavailable"
        } else {
            "Inconclusive"
        };
        assert_eq!(failure.reason, reason, "{failure:?}");
        let on = run(WithoutVerdict::Continue);
        assert_eq!(on.weights, [25, 50, 100], "{answer:?}: {:?}", on.status());
        assert_eq!(on.status().stable.as_ref().unwrap().tag, "v2");
    }
}

#[test]
fn on_error_and_on_inconclusive_are_independent() {
    let world =
        pushed(Measurement::ServerError, |analysis| analysis.on_inconclusive = WithoutVerdict::RollBack);
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::Stepping, &[25][..]));
    let world = pushed(Measurement::NoData, |analysis| analysis.on_error = WithoutVerdict::Continue);
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::Stepping, &[25][..]));
}

#[test]
fn a_failed_measurement_overrides_on_error_and_on_inconclusive() {
    let world = pushed(Measurement::Bad, |analysis| {
        (analysis.on_error, analysis.on_inconclusive) = (WithoutVerdict::Continue, WithoutVerdict::Continue);
    });
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::RolledBack, &[25, 0][..]));
}
