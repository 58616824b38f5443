//! Measurements without a number, and what the policy makes of them.

use sim::{Measurement, World};
use steelyard_core::api::{self, NoData, Phase, Unclear};

/// A push under a changed policy, and 400 reconciles at most.
fn pushed(answer: Measurement, change: impl FnOnce(&mut api::Analysis)) -> World {
    let mut world = World::stable();
    let spec = world.policy();
    change(&mut spec.analysis);
    world.rest();
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
fn no_data_is_a_fail_only_where_the_policy_says_so_and_only_once_there_could_be_some() {
    let world = pushed(Measurement::NoData, |analysis| analysis.metrics[0].no_data = NoData::Fail);
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::RolledBack, &[25, 0][..]));
    let failure = world.status().failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.value), ("MetricFailed", None));
    assert!(failure.message.contains("metric success has no data"), "{failure:?}");
    assert!(failure.query.as_ref().is_some_and(|query| query.contains("rate(ok")));
    let began = world.status().history[0].started.unwrap();
    // Range and settle: before that, no data is expected.
    assert!(failure.at.unwrap().duration_since(began).as_secs() >= 3, "{failure:?}");
    let world = pushed(Measurement::ServerError, |analysis| analysis.metrics[0].no_data = NoData::Fail);
    assert_eq!(world.weights, [25], "an error is not covered by noData");
}

#[test]
fn without_a_verdict_the_weight_stays_or_returns_to_zero_or_rises_as_the_policy_says() {
    for (answer, set) in [
        (Measurement::NoData, (|a, to| a.on_inconclusive = to) as fn(&mut api::Analysis, Unclear)),
        (Measurement::TooFew, |a, to| a.on_inconclusive = to),
        (Measurement::ServerError, |a, to| a.on_error = to),
        (Measurement::Unreachable, |a, to| a.on_error = to),
    ] {
        let run = |to| pushed(answer, |analysis| set(analysis, to));
        let held = run(Unclear::Hold);
        assert_eq!(
            (held.status().phase, held.weights.as_slice()),
            (Phase::Stepping, &[25][..]),
            "{answer:?}"
        );
        let home = run(Unclear::Fail);
        assert_eq!((home.status().phase, home.weights.as_slice()), (Phase::RolledBack, &[25, 0][..]));
        let failure = home.status().failure.as_ref().unwrap();
        let reason = if matches!(answer, Measurement::ServerError | Measurement::Unreachable) {
            "MetricsUnavailable"
        } else {
            "Inconclusive"
        };
        assert_eq!(failure.reason, reason, "{failure:?}");
        let on = run(Unclear::Continue);
        assert_eq!(on.weights, [25, 50, 100], "{answer:?}: {:?}", on.status());
        assert_eq!(on.status().stable.as_ref().unwrap().tag, "v2");
    }
}

#[test]
fn what_one_case_says_is_not_said_for_the_other() {
    let world = pushed(Measurement::ServerError, |analysis| analysis.on_inconclusive = Unclear::Fail);
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::Stepping, &[25][..]));
    let world = pushed(Measurement::NoData, |analysis| analysis.on_error = Unclear::Continue);
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::Stepping, &[25][..]));
}

#[test]
fn a_measurement_that_fails_outweighs_any_leniency() {
    let world = pushed(Measurement::Bad, |analysis| {
        (analysis.on_error, analysis.on_inconclusive) = (Unclear::Continue, Unclear::Continue);
    });
    assert_eq!((world.status().phase, world.weights.as_slice()), (Phase::RolledBack, &[25, 0][..]));
}
