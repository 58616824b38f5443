//! Tests of what is printed and patched: a world as the API server gives it, and what people see of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{
    explain::explain,
    progress::{Progress, progress},
    steer::{Change, Wish, steer},
    tables,
    tree::{Paint, line, tree},
};
use crate::{
    api::{Past, Rollout},
    view::{Facts, View},
};

fn now() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn template(tag: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}},
           "spec": {"containers": [{"name": "app", "image": format!("registry.example/web:{tag}")}]}})
}

fn set(name: &str, hash: &str, tag: &str, replicas: i64) -> Value {
    let mut template = template(tag);
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    json!({"metadata": {"name": name, "labels": {"pod-template-hash": hash}},
           "spec": {"replicas": replicas, "template": template}})
}

fn pod(name: &str, hash: &str, ready: &str, waiting: Option<&str>) -> Pod {
    let state = waiting.map_or(json!({"running": {}}), |reason| json!({"waiting": {"reason": reason}}));
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": "web", "pod-template-hash": hash},
                     "creationTimestamp": "2026-03-02T11:54:00Z"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
                   "containerStatuses": [{"name": "app", "image": "", "imageID": "", "ready": ready == "True",
                                          "restartCount": 1, "state": state}]}
    }))
    .unwrap()
}

/// A Deployment whose v2 is at 25 % in its second step.
fn stepping() -> Facts {
    let policy = json!({
        "strategy": {"canary": {"steps": [{"weight": 5, "hold": "2m"}, {"weight": 25, "hold": "5m"}]}},
        "traffic": {"gatewayAPI": {}},
        "analysis": {"metrics": [
            {"name": "success-rate", "min": 0.99, "query": "sum(rate(ok{namespace=\"$namespace\",pod=~\"$canary_pods\"}[1m]))\n/ sum(rate(all{pod=~\"$canary_pods\"}[1m]))"},
            {"name": "latency", "max": 0.5, "query": "p99{pod=~\"$canary_pods\"}"}]}
    });
    let rollout = json!({
        "apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "generation": 1},
        "spec": {},
        "status": {
            "observedGeneration": 1, "epoch": 7, "phase": "Stepping", "step": "2/2", "weight": 25, "verdict": "Pending",
            "waiting": {"reason": "Hold", "message": "holding 25 % and measuring",
                        "since": "2026-03-02T11:59:46Z", "until": "2026-03-02T12:04:46Z"},
            "stable": {"revision": "6c8f9", "replicaSet": "web-6c8f9", "tag": "v1", "generation": 1},
            "canary": {"revision": "0a3m21grz", "replicaSet": "web-0a3m21grz", "tag": "v2", "generation": 2},
            "attempt": 1,
            "trial": {"policy": policy, "services": ["web"], "service": "web", "canaryService": "web-canary", "step": 1,
                "metrics": {
                    "success-rate": {"tally": {"passed": 2, "failed": 1, "consecutiveFailures": 0}, "askedAt": "2026-03-02T11:59:50Z",
                                     "last": {"kind": "value", "value": 0.998_765_4}},
                    "latency": {"tally": {"inconclusiveInRow": 3}, "askedAt": "2026-03-02T11:59:51Z", "last": {"kind": "noData"}}}},
            "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-03-01T12:00:00Z"},
                {"type": "Progressing", "status": "True", "reason": "Hold", "message": "holding 25 % and measuring",
                 "lastTransitionTime": "2026-03-02T11:57:00Z"}]
        }
    });
    Facts {
        namespace: "shop".into(),
        name: "web".into(),
        deployment: Some(json!({
            "metadata": {"name": "web", "generation": 2, "labels": {"steelyard.io/held": "true"},
                         "annotations": {"steelyard.io/policy": "web-canary"}},
            "spec": {"replicas": 2, "paused": true, "template": template("v2")}})),
        rollout: Some(serde_json::from_value(rollout).unwrap()),
        replica_sets: vec![set("web-6c8f9", "6c8f9", "v1", 2), set("web-0a3m21grz", "0a3m21grz", "v2", 1)],
        pods: vec![
            pod("web-6c8f9-zzzzz", "6c8f9", "True", None),
            pod("web-6c8f9-bbbbb", "6c8f9", "True", None),
            pod("web-0a3m21grz-ccccc", "0a3m21grz", "False", Some("CrashLoopBackOff")),
        ],
    }
}

/// Changes what the status says.
fn with(mut world: Facts, status: &Value) -> Facts {
    let mut rollout = serde_json::to_value(world.rollout.take().unwrap()).unwrap();
    for (key, value) in status.as_object().unwrap() {
        rollout["status"][key] = value.clone();
    }
    world.rollout = Some(serde_json::from_value(rollout).unwrap());
    world
}

fn wanting(mut world: Facts, spec: &Value) -> Facts {
    world.rollout.as_mut().unwrap().spec = serde_json::from_value(spec.clone()).unwrap();
    world
}

/// v2 was rolled back, and is still held.
fn rolled_back() -> Facts {
    let failure = json!({"reason": "MetricFailed", "message": "metric success-rate is 0.79, below min 0.99",
        "metric": "success-rate", "query": "sum(rate(ok[1m]))", "value": 0.794_236_1, "at": "2026-03-02T11:59:58Z"});
    let status = json!({"phase": "RolledBack", "trial": null, "step": null, "weight": null, "verdict": "Fail", "waiting": null, "failure": failure});
    let mut world = with(stepping(), &status);
    world.replica_sets[1]["spec"]["replicas"] = json!(0);
    world.pods.pop();
    world
}

/// v2 was handed over.
fn complete() -> Facts {
    let mut world = with(
        stepping(),
        &json!({"phase": "Stable", "trial": null, "canary": null, "waiting": null, "step": null, "weight": null, "verdict": "Pass",
            "stable": {"revision": "0a3m21grz", "replicaSet": "web-0a3m21grz", "tag": "v2", "generation": 2},
            "conditions": [{"type": "Complete", "status": "True", "reason": "Stable", "message": "", "lastTransitionTime": "2026-03-02T11:57:00Z"}]}),
    );
    world.deployment.as_mut().unwrap()["spec"]["paused"] = json!(false);
    world.deployment.as_mut().unwrap()["metadata"]["labels"] = json!({});
    world
}

fn text(lines: &[String]) -> String {
    lines.join("\n")
}

#[test]
fn the_tree_of_a_rollout_in_its_second_step() {
    let view = View::of(&stepping());
    insta::assert_snapshot!(text(&tree(&view, now(), Paint::Plain)));
    insta::assert_snapshot!(line(&view));
}

#[test]
fn colours_change_no_word() {
    let view = View::of(&stepping());
    let coloured = text(&tree(&view, now(), Paint::Colour)).replace("\x1b[33m", "").replace("\x1b[0m", "");
    assert_eq!(coloured, text(&tree(&view, now(), Paint::Plain)));
}

#[test]
fn the_tree_of_a_rollout_that_was_rolled_back() {
    insta::assert_snapshot!(text(&tree(&View::of(&rolled_back()), now(), Paint::Plain)));
}

#[test]
fn the_tree_of_a_rollout_that_is_complete() {
    insta::assert_snapshot!(text(&tree(&View::of(&complete()), now(), Paint::Plain)));
}

#[test]
fn an_explanation_names_the_wait_the_queries_and_what_can_be_done() {
    insta::assert_snapshot!(text(&explain(&View::of(&stepping()), now())));
}

#[test]
fn an_explanation_of_a_switch_says_who_reaches_the_preview_and_who_stands_by_after_it() {
    let mut trial = serde_json::to_value(stepping().rollout.unwrap().status.unwrap().trial).unwrap();
    trial["policy"]["strategy"] = json!({"blueGreen": {"keepStable": "5m"}});
    let explained = |status: &Value| text(&explain(&View::of(&with(stepping(), status)), now()));
    let said = explained(&json!({"trial": trial, "weight": 0, "phase": "Waiting"}));
    let preview =
        "v1 serves. v2 stands beside it as a preview, step 2 of 2: only Service web-canary leads to it.";
    for word in [preview, "opens the gate at which it waits", "switches at once, and hands over"] {
        assert!(said.contains(word), "{word:?} in\n{said}");
    }
    let said = explained(&json!({"trial": trial, "weight": 100}));
    for word in
        ["v2 has all traffic, step 2 of 2. v1 stands by at full scale", "leaves all steps, and hands over"]
    {
        assert!(said.contains(word), "{word:?} in\n{said}");
    }
}

#[test]
fn an_explanation_of_a_pause_says_who_paused() {
    let world = wanting(stepping(), &json!({"pause": {"revision": "0a3m21grz", "by": "alice"}}));
    let said = text(&explain(&View::of(&world), now()));
    assert!(
        said.contains("It is paused by alice") && said.contains("kubectl steelyard resume web"),
        "{said}"
    );
}

#[test]
fn an_explanation_of_a_way_back_shows_the_evidence() {
    insta::assert_snapshot!(text(&explain(&View::of(&rolled_back()), now())));
}

#[test]
fn an_explanation_of_a_refused_policy_says_what_to_see_to() {
    let status = json!({"phase": "Preparing", "trial": null, "canary": null, "step": null, "weight": null, "verdict": null,
        "waiting": {"reason": "NotAccepted", "message": "the template stays held: see condition Accepted", "since": "2026-03-02T11:59:00Z"},
        "conditions": [{"type": "Accepted", "status": "False", "reason": "PolicyNotFound", "lastTransitionTime": "2026-03-02T11:59:00Z",
            "message": "there is no policy web-canary: create it, or name another in annotation steelyard.io/policy"}]});
    insta::assert_snapshot!(text(&explain(&View::of(&with(stepping(), &status)), now())));
}

#[test]
fn a_list_shows_a_rollout_in_a_line() {
    let mut rollout: Rollout = stepping().rollout.unwrap();
    rollout.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-02-28T12:00:00Z".parse().unwrap()));
    let all = [tables::Listed::from(rollout)];
    insta::assert_snapshot!(text(&tables::list(&all, true, now())));
    assert!(!text(&tables::list(&all, false, now())).contains("shop"));
}

#[test]
fn a_history_begins_with_the_latest() {
    let past: Vec<Past> = serde_json::from_value(json!([
        {"revision": "0aone", "tag": "v2", "outcome": "RolledBack", "reason": "MetricFailed",
         "started": "2026-03-01T12:00:00Z", "ended": "2026-03-01T12:04:30Z"},
        {"revision": "0atwo", "tag": "v3", "outcome": "Complete", "started": "2026-03-02T11:00:00Z", "ended": "2026-03-02T11:30:00Z"}]))
    .unwrap();
    insta::assert_snapshot!(text(&tables::history(&past, now())));
}

/// The patch that a wish becomes.
fn patch(world: &Facts, wish: Wish) -> Value {
    match steer(&View::of(world), wish).unwrap().change {
        Change::Merge(value) | Change::Guarded(value) => value,
        Change::Nothing => Value::Null,
    }
}

#[test]
fn each_wish_names_the_revision_it_is_for() {
    let world = stepping();
    let revision = "0a3m21grz";
    let spec = |intent: &str, value: Value| json!({"spec": {intent: value}});
    let plain = json!({"revision": revision});
    assert_eq!(
        patch(&world, Wish::Promote),
        spec("promote", json!({"revision": revision, "step": 2, "full": null}))
    );
    assert_eq!(
        patch(&world, Wish::PromoteFull),
        spec("promote", json!({"revision": revision, "step": null, "full": true}))
    );
    assert_eq!(patch(&world, Wish::Abort), spec("abort", plain.clone()));
    assert_eq!(patch(&world, Wish::Pause), spec("pause", plain.clone()));
    assert_eq!(patch(&world, Wish::Skip), spec("skip", plain));
    let retried = json!({"retry": {"revision": revision, "attempt": 2}, "abort": null, "pause": null, "promote": null, "skip": null});
    assert_eq!(patch(&rolled_back(), Wish::Retry), json!({"spec": retried}));
    let paused = wanting(world, &json!({"pause": {"revision": revision}}));
    assert_eq!(
        patch(&paused, Wish::Resume),
        json!([{"op": "test", "path": "/spec/pause/revision", "value": revision}, {"op": "remove", "path": "/spec/pause"}])
    );
    assert_eq!(patch(&paused, Wish::Pause), Value::Null, "paused already");
}

#[test]
fn before_there_is_a_revision_a_wish_names_the_generation() {
    let held = with(
        stepping(),
        &json!({"phase": "Stable", "trial": null, "canary": null, "step": null, "weight": null}),
    );
    for (wish, intent) in [(Wish::Pause, "pause"), (Wish::Abort, "abort"), (Wish::Skip, "skip")] {
        assert_eq!(patch(&held, wish), json!({"spec": {intent: {"revision": "2"}}}));
    }
    let paused = wanting(stepping(), &json!({"pause": {"revision": "2"}}));
    assert!(View::of(&paused).paused(), "the revision was minted of this generation");
    assert_eq!(patch(&paused, Wish::Resume)[0]["value"], "2");
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let back = with(stepping(), &json!({"phase": "RollingBack"}));
    let promoting = with(stepping(), &json!({"phase": "Promoting"}));
    let mut trial =
        serde_json::to_value(promoting.rollout.clone().unwrap()).unwrap()["status"]["trial"].clone();
    trial["handover"] = json!("Adopted");
    let mut adopted = with(promoting.clone(), &json!({"trial": trial}));
    let almost = View::of(&adopted);
    assert!(steer(&almost, Wish::Abort).is_ok(), "until the Deployment owns the canary there is a way back");
    adopted.replica_sets[1]["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "controller": true}]);
    let first = with(stepping(), &json!({"phase": "Preparing", "step": "0/2"}));
    let old = wanting(stepping(), &json!({"pause": {"revision": "another"}}));
    let held = with(rolled_back(), &json!({"phase": "Stable", "canary": null, "failure": null}));
    let paused = wanting(stepping(), &json!({"pause": {"revision": "0a3m21grz"}}));
    for (world, wish, word) in vec![
        (complete(), Wish::Promote, "nothing is in flight"),
        (complete(), Wish::Abort, "nothing is in flight"),
        (complete(), Wish::Skip, "nothing is in flight"),
        (complete(), Wish::Retry, "nothing is in flight"),
        (rolled_back(), Wish::Promote, "retry web"),
        (rolled_back(), Wish::Abort, "was rolled back"),
        (back.clone(), Wish::Abort, "on its way back already"),
        (back, Wish::Pause, "on its way back already"),
        (stepping(), Wish::Retry, "only what was rolled back"),
        (stepping(), Wish::Resume, "not paused"),
        (old, Wish::Resume, "not paused"),
        (promoting.clone(), Wish::Promote, "being handed over"),
        (promoting.clone(), Wish::PromoteFull, "being handed over"),
        (adopted.clone(), Wish::Abort, "push the old template"),
        (adopted, Wish::Skip, "nothing left to skip"),
        (first, Wish::Promote, "promote --full"),
        (held, Wish::Promote, "has not begun its first step"),
        (with(promoting.clone(), &json!({"weight": 100})), Wish::Pause, "only abort"),
        (paused.clone(), Wish::PromoteFull, "resume web"),
        (paused, Wish::Promote, "resume web"),
    ] {
        let why = steer(&View::of(&world), wish).expect_err("refused");
        assert!(why.contains(word), "{wish:?}: {why}");
    }
}

#[test]
fn a_wait_right_after_a_push_does_not_end_with_the_last_rollout() {
    // The push is held in the write that made it; status still tells of the rollout before.
    let mut world = complete();
    let deployment = world.deployment.as_mut().unwrap();
    deployment["spec"]["template"] = template("v3");
    deployment["spec"]["paused"] = json!(true);
    deployment["metadata"]["labels"] = json!({"steelyard.io/held": "true"});
    deployment["metadata"]["generation"] = json!(3);
    assert_eq!(progress(&world, &template("v3")), Progress::Pending);

    let mut world = rolled_back();
    let deployment = world.deployment.as_mut().unwrap();
    deployment["spec"]["template"] = template("v3");
    deployment["metadata"]["generation"] = json!(3);
    assert_eq!(progress(&world, &template("v3")), Progress::Pending, "v2 was rolled back, v3 was not");
}

#[test]
fn a_wait_ends_with_the_end_of_its_own_template() {
    assert!(matches!(progress(&complete(), &template("v2")), Progress::Complete(_)));
    assert!(matches!(progress(&rolled_back(), &template("v2")), Progress::RolledBack(_)));
    assert_eq!(progress(&stepping(), &template("v2")), Progress::Pending);

    let mut scaled = rolled_back();
    scaled.deployment.as_mut().unwrap()["metadata"]["generation"] = json!(9);
    assert!(matches!(progress(&scaled, &template("v2")), Progress::RolledBack(_)), "scaling is no push");

    let again = wanting(rolled_back(), &json!({"retry": {"revision": "0a3m21grz", "attempt": 2}}));
    assert_eq!(progress(&again, &template("v2")), Progress::Pending, "somebody asked for it again");

    assert!(
        matches!(progress(&complete(), &template("v1")), Progress::RolledBack(_)),
        "another was pushed over it"
    );
    let kept = with(complete(), &json!({"pending": template("v3")}));
    assert_eq!(
        progress(&kept, &template("v3")),
        Progress::Pending,
        "kept until an older rollout has settled"
    );
    let gone = Facts { deployment: None, ..complete() };
    assert!(matches!(progress(&gone, &template("v2")), Progress::RolledBack(_)));
}

#[test]
fn at_a_gate_people_see_what_it_waits_for_who_opened_those_before_and_how_to_open_it() {
    let mut status = json!({"phase": "Waiting", "step": "2/2", "waiting": {"reason": "Gate",
        "message": "waiting for a person to promote this step: look at the board"}});
    status["trial"] = serde_json::to_value(stepping().rollout.unwrap().status.unwrap().trial).unwrap();
    status["trial"]["gates"] = json!([
        {"step": 1, "by": "webhook desk", "at": "2026-03-02T11:58:00Z", "said": "HTTP 200 OK: ticket 17"}]);
    let world = with(stepping(), &status);
    let view = View::of(&world);
    let opened = "step 1 was opened by webhook desk at 11:58:00Z: HTTP 200 OK: ticket 17";
    let text = tree(&view, now(), Paint::Plain).join("\n");
    assert!(text.contains(opened) && text.contains("look at the board"), "{text}");
    let text = explain(&view, now()).join("\n");
    assert!(text.contains(opened) && text.contains("opens the gate at which it waits"), "{text}");
    let steering = steer(&view, Wish::Promote).unwrap();
    let Change::Merge(patch) = steering.change else { panic!("{steering:?}") };
    assert_eq!(patch["spec"]["promote"]["step"], 2);
}
