//! How policies are compiled, and when and under which name their metrics are measured.

use super::*;
use steelyard_core::{
    api::Intent,
    policy::{Request, query::parsed},
};

#[test]
fn a_metric_is_distinguished_from_the_routers_share_and_from_a_webhook_whatever_its_name() {
    for name in ["steelyard/observed-weight", "steelyard/gate/0/1"] {
        let mut world = World::stable();
        world.snapshot.router = Some(Router::new("default", "share").unwrap());
        world.share = Share::Percent(30);
        world.policy().analysis.metrics[0].name = name.into();
        world.until_idle();
        world.push("demo:v2");
        world.until(|world| {
            world.status().trial.as_ref().is_some_and(|trial| trial.weight_accepted_at.is_some())
        });
        assert_eq!(world.status().observed_weight, percent(30), "{name}: the metric's 1.0 is no share");
        world.measurement = Measurement::Bad;
        world.until_idle();
        let failure = world.status().failure.as_ref().unwrap();
        assert_eq!((failure.reason.as_str(), failure.metric.as_deref()), ("MetricFailed", Some(name)));
        assert_eq!(failure.value, Some(0.2), "the router's 0.3 is no measurement");
    }
}

#[test]
fn a_policy_is_compiled_once_however_often_a_deployment_is_reconciled_under_it() {
    let mut world = World::stable();
    world.until_idle();
    let before = parsed();
    world.push("demo:v2");
    world.until_idle();
    assert_eq!(world.weights, [25, 50, 100]);
    assert_eq!(parsed(), before, "the rollout used the policy compiled before it began");
    world.push("demo:v3");
    world.until(|world| world.status().weight == percent(25));
    world.policy().analysis.metrics[0].min = Some(0.95);
    world.until_idle();
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v3");
    assert_eq!(parsed(), before + 1, "one parse for the new version of the policy");
}

#[test]
fn a_rollout_keeps_the_policy_that_it_started_with() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    world.policy().analysis.metrics[0].query = "sum(".into();
    world.until_idle();
    assert_eq!((&world.weights[..], world.status().phase), (&[25, 50, 100][..], Phase::Stable));
    let accepted = world.status().conditions.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert!(
        accepted.message.contains("spec.analysis.metrics[0].query"),
        "the next one is refused: {accepted:?}"
    );
}

#[test]
fn a_rollout_whose_recorded_policy_is_invalid_waits_and_reports_it() {
    let mut world = World::stable();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.status().weight == percent(25));
    // A later version of Steelyard with stricter rules could find this.
    let trial = world.snapshot.rollout.as_mut().unwrap().status.trial.as_mut().unwrap();
    trial.policy.as_mut().unwrap()["analysis"]["metrics"][0]["query"] = "sum(".into();
    for _ in 0..100 {
        world.proceed();
        world.snapshot.now += 1.second();
    }
    let waiting = world.status().waiting.clone().unwrap();
    assert_eq!((waiting.reason.as_str(), &world.weights[..]), ("Policy", &[25][..]));
    assert!(waiting.message.contains("spec.analysis.metrics[0].query: not a valid query"), "{waiting:?}");
    world.want(|spec, revision| spec.abort = Some(Intent { revision: revision.into(), by: None }));
    world.until_idle();
    assert_eq!((&world.weights[..], world.status().phase), (&[25, 0][..], Phase::RolledBack));
}

#[test]
fn each_metric_is_measured_at_its_own_interval() {
    let mut world = World::stable();
    let analysis = &mut world.policy().analysis;
    let mut slow = analysis.metrics[0].clone();
    (slow.name, slow.interval) = ("slow".into(), Some(std::time::Duration::from_secs(4).into()));
    slow.query = "sum(rate(ok{pod=~\"$canary_pods\"}[$interval]))".into();
    slow.source = Some("logs".into());
    analysis.metrics.push(slow);
    world.until_idle();
    world.push("demo:v2");
    let mut measured: std::collections::BTreeMap<String, Vec<i64>> = std::collections::BTreeMap::new();
    while world.status().weight != percent(50) {
        for ask in world.decide().asks {
            let name = ask.inquiry.metric().unwrap().to_owned();
            measured.entry(name).or_default().push(ask.at.as_second());
            let Request::Prometheus(request) = &ask.request;
            let slow = ask.inquiry.metric() == Some("slow");
            assert_eq!(request.source, if slow { "logs" } else { "default" });
            assert_eq!(request.query.contains("[4000ms]"), slow, "{}", request.query);
        }
        world.proceed();
    }
    let gaps = |name: &str| -> std::collections::BTreeSet<i64> {
        measured[name].windows(2).map(|two| two[1] - two[0]).collect()
    };
    assert_eq!((gaps("success"), gaps("slow")), ([1].into(), [4].into()), "{measured:?}");
    assert!(measured["slow"].len() >= 3, "the step lasts until the slow one has its verdict: {measured:?}");
}

/// A rollout whose metric is a gauge that may be six seconds old.
fn measured_by_a_gauge(measurement: Measurement) -> World {
    let mut world = World::stable();
    let metric = &mut world.policy().analysis.metrics[0];
    metric.query = "min(free{pod=~\"$canary_pods\"})".into();
    metric.max_sample_age = Some(std::time::Duration::from_secs(6).into());
    metric.min_measurements = Some(1);
    world.measurement = measurement;
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| world.weight() == 25);
    world
}

#[test]
fn a_gauge_fails_only_once_its_sample_is_from_the_time_of_the_traffic() {
    let mut world = measured_by_a_gauge(Measurement::Bad);
    let written = world.snapshot.now;
    world.until(|world| world.status().phase == Phase::RollingBack);
    let failed = world.status().failure.as_ref().unwrap().at;
    assert_eq!(failed, Some(written + 6.seconds()));
}

#[test]
fn a_gauge_passes_only_once_its_sample_is_from_the_time_after_settle() {
    let mut world = measured_by_a_gauge(Measurement::Good);
    world.until(|world| world.status().trial.as_ref().unwrap().weight_accepted_at.is_some());
    let since = world.status().trial.as_ref().unwrap().weight_accepted_at.unwrap();
    world.until(|world| world.weight() == 50);
    assert_eq!(world.snapshot.now, since + 7.seconds(), "settle and the age of a sample");
}

/// The reasons of all Events of a rollout of v2, with their messages.
fn rolled_out(world: &mut World) -> Vec<(&'static str, String)> {
    let mut events = Vec::new();
    world.until_idle();
    world.push("demo:v2");
    for _ in 0..400 {
        events.extend(world.decide().events.into_iter().map(|event| (event.reason, event.note)));
        if !world.proceed() {
            break;
        }
    }
    events
}

/// Adds a metric to the one of the policy.
fn second(world: &mut World) -> &mut api::Metric {
    let metrics = &mut world.policy().analysis.metrics;
    let second = api::Metric { name: "second".into(), ..metrics[0].clone() };
    metrics.push(second);
    &mut metrics[1]
}

#[test]
fn a_failed_dry_run_is_reported_once_in_each_step_and_changes_nothing_else() {
    let mut enforced = World::stable();
    let plain = rolled_out(&mut enforced);
    let mut world = World::stable();
    let dry = second(&mut world);
    (dry.dry_run, dry.min) = (true, Some(2.0));
    let events = rolled_out(&mut world);
    let (dry, others): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|(reason, _)| *reason == "DryRunFailed");
    assert_eq!(others, plain);
    let notes: Vec<_> = dry.iter().map(|(_, note)| note.as_str()).collect();
    let note = |place: &str| {
        format!("metric second is 1, below min 2: without dryRun, it would roll back the rollout in {place}")
    };
    assert_eq!(notes, ["step 1 of 2", "step 2 of 2", "its handover"].map(note));
    assert_eq!((&world.weights, world.snapshot.now), (&enforced.weights, enforced.snapshot.now));
    assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
}

#[test]
fn a_dry_run_is_marked_wherever_it_is_reported() {
    let mut world = World::stable();
    let dry = second(&mut world);
    (dry.dry_run, dry.min) = (true, Some(2.0));
    let gate = json!({"gate": {"webhook": {"name": "desk"}}});
    world.policy().strategy =
        serde_json::from_value(json!({"canary": {"steps": [{"weight": 25, "duration": "9s"}, gate]}}))
            .unwrap();
    world.until_idle();
    world.push("demo:v2");
    world.until(|world| {
        world.status().trial.as_ref().is_some_and(|trial| {
            trial.metrics.get("second").is_some_and(|state| state.would_have_failed.is_some())
        })
    });
    let metrics = &world.status().trial.as_ref().unwrap().metrics;
    assert_eq!((metrics["success"].dry_run, metrics["second"].dry_run), (false, true));
    assert!(metrics["second"].tally.failed > 0 && world.status().failure.is_none());
    world.until(|world| !world.calls.is_empty());
    let sent = json!(world.calls[0].question.metrics);
    assert_eq!((&sent[0]["dryRun"], &sent[1]["dryRun"]), (&json!(null), &json!(true)), "{sent}");
}

#[test]
fn a_rollout_with_only_dry_runs_behaves_as_without_metrics() {
    let mut without = World::stable();
    without.policy().analysis.metrics.clear();
    rolled_out(&mut without);
    for measurement in [Measurement::Good, Measurement::Bad, Measurement::NoData, Measurement::Unreachable] {
        let mut world = World::stable();
        let analysis = &mut world.policy().analysis;
        (analysis.on_inconclusive, analysis.on_error) =
            (api::WithoutVerdict::RollBack, api::WithoutVerdict::RollBack);
        analysis.metrics[0].dry_run = true;
        world.measurement = measurement;
        let events = rolled_out(&mut world);
        let told = events.iter().any(|(reason, _)| *reason == "DryRunFailed");
        assert_eq!(told, measurement == Measurement::Bad, "{measurement:?}");
        assert_eq!(world.weights, without.weights, "{measurement:?}: {:?}", world.status());
        assert_eq!(world.snapshot.now, without.snapshot.now, "{measurement:?}: nothing is delayed");
        assert_eq!(world.status().stable.as_ref().unwrap().tag, "v2");
    }
}
