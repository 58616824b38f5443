//! Tests of output and patches: objects as the API server returns them, and the result of a
//! command.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{
    explain::explain,
    progress::{Progress, progress},
    steer::{Change, Intent, steer},
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
        "strategy": {"canary": {"steps": [{"weight": 5, "duration": "2m"}, {"weight": 25, "duration": "5m"}]}},
        "traffic": {"gatewayAPI": {}},
        "analysis": {"metrics": [
            {"name": "success-rate", "min": 0.99, "query": "sum(rate(ok{namespace=\"$namespace\",pod=~\"$canary_pods\"}[1m]))\n/ sum(rate(all{pod=~\"$canary_pods\"}[1m]))"},
            {"name": "latency", "max": 0.5, "dryRun": true, "query": "p99{pod=~\"$canary_pods\"}"}]}
    });
    let rollout = json!({
        "apiVersion": "steelyard.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "generation": 1},
        "spec": {},
        "status": {
            "observedGeneration": 1, "epoch": 7, "phase": "Stepping", "step": 2, "steps": 2, "progress": "2/2", "weight": "25%", "verdict": "Pending",
            "waiting": {"reason": "StepDuration", "message": "weight is 25%; waiting for the step's duration",
                        "since": "2026-03-02T11:59:46Z", "until": "2026-03-02T12:04:46Z"},
            "stable": {"revision": "6c8f9", "replicaSet": "web-6c8f9", "tag": "v1", "generation": 1},
            "canary": {"revision": "0a3m21grz", "replicaSet": "web-0a3m21grz", "tag": "v2", "generation": 2,
                       "templateHash": crate::engine::hash(&template("v2"))},
            "attempt": 1,
            "trial": {"policy": policy, "services": ["web"], "service": "web", "canaryService": "web-canary", "step": 1,
                "metrics": {
                    "success-rate": {"tally": {"passed": 2, "failed": 1, "consecutiveFailures": 0}, "askedAt": "2026-03-02T11:59:50Z",
                                     "last": {"kind": "Value", "value": 0.998_765_4}},
                    "latency": {"tally": {"inconclusiveInRow": 3}, "askedAt": "2026-03-02T11:59:51Z", "last": {"kind": "NoData"}}}},
            "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-03-01T12:00:00Z"},
                {"type": "Progressing", "status": "True", "reason": "StepDuration", "message": "weight is 25%; waiting for the step's duration",
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

/// Overwrites fields of the status.
fn with(mut facts: Facts, status: &Value) -> Facts {
    let mut rollout = serde_json::to_value(facts.rollout.take().unwrap()).unwrap();
    for (key, value) in status.as_object().unwrap() {
        rollout["status"][key] = value.clone();
    }
    facts.rollout = Some(serde_json::from_value(rollout).unwrap());
    facts
}

/// Sets the spec, which holds the intents.
fn with_spec(mut facts: Facts, spec: &Value) -> Facts {
    facts.rollout.as_mut().unwrap().spec = serde_json::from_value(spec.clone()).unwrap();
    facts
}

/// v2 was rolled back, and is still held.
fn rolled_back() -> Facts {
    let failure = json!({"reason": "MetricFailed", "message": "metric success-rate is 0.79, below min 0.99",
        "metric": "success-rate", "query": "sum(rate(ok[1m]))", "value": 0.794_236_1, "at": "2026-03-02T11:59:58Z"});
    let status = json!({"phase": "RolledBack", "trial": null, "step": null, "steps": null, "progress": null, "weight": null, "verdict": "Fail", "waiting": null, "failure": failure});
    let mut facts = with(stepping(), &status);
    facts.replica_sets[1]["spec"]["replicas"] = json!(0);
    facts.pods.pop();
    facts
}

/// v2 was handed over.
fn complete() -> Facts {
    let mut facts = with(
        stepping(),
        &json!({"phase": "Stable", "trial": null, "canary": null, "waiting": null, "step": null, "steps": null, "progress": null, "weight": null, "verdict": "Pass",
            "stable": {"revision": "0a3m21grz", "replicaSet": "web-0a3m21grz", "tag": "v2", "generation": 2},
            "conditions": [{"type": "Complete", "status": "True", "reason": "Stable", "message": "", "lastTransitionTime": "2026-03-02T11:57:00Z"}]}),
    );
    facts.deployment.as_mut().unwrap()["spec"]["paused"] = json!(false);
    facts.deployment.as_mut().unwrap()["metadata"]["labels"] = json!({});
    facts
}

fn text(lines: &[String]) -> String {
    lines.join("\n")
}

#[test]
fn the_tree_shows_a_rollout_in_its_second_step() {
    let view = View::of(&stepping());
    insta::assert_snapshot!(text(&tree(&view, now(), Paint::Plain)));
    insta::assert_snapshot!(line(&view));
}

#[test]
fn colors_do_not_change_the_text() {
    let view = View::of(&stepping());
    let colored = text(&tree(&view, now(), Paint::Color)).replace("\x1b[33m", "").replace("\x1b[0m", "");
    assert_eq!(colored, text(&tree(&view, now(), Paint::Plain)));
}

#[test]
fn the_tree_shows_a_rollout_that_was_rolled_back() {
    insta::assert_snapshot!(text(&tree(&View::of(&rolled_back()), now(), Paint::Plain)));
}

#[test]
fn the_tree_shows_a_complete_rollout() {
    insta::assert_snapshot!(text(&tree(&View::of(&complete()), now(), Paint::Plain)));
}

#[test]
fn explain_shows_the_wait_the_queries_and_the_possible_actions() {
    insta::assert_snapshot!(text(&explain(&View::of(&stepping()), now())));
}

#[test]
fn explain_shows_the_preview_service_before_the_switch_and_stable_at_full_scale_after_it() {
    let mut trial = serde_json::to_value(stepping().rollout.unwrap().status.unwrap().trial).unwrap();
    trial["policy"]["strategy"] = json!({"blueGreen": {"keepStable": "5m"}});
    let explained = |status: &Value| text(&explain(&View::of(&with(stepping(), status)), now()));
    let text = explained(&json!({"trial": trial, "weight": "0%", "phase": "Waiting"}));
    let preview =
        "v1 serves. v2 runs as a preview, step 2 of 2: only Service web-canary sends requests to it.";
    for word in [preview, "opens the gate", "switches all traffic at once, then hands over"] {
        assert!(text.contains(word), "{word:?} in\n{text}");
    }
    let text = explained(&json!({"trial": trial, "weight": "100%"}));
    for word in ["v2 has all traffic, step 2 of 2. v1 stays at full scale", "ends all steps, then hands over"]
    {
        assert!(text.contains(word), "{word:?} in\n{text}");
    }
}

#[test]
fn explain_shows_who_paused_the_rollout() {
    let facts = with_spec(stepping(), &json!({"pause": {"revision": "0a3m21grz", "by": "alice"}}));
    let text = text(&explain(&View::of(&facts), now()));
    assert!(text.contains("paused by alice") && text.contains("kubectl steelyard resume web"), "{text}");
}

#[test]
fn explain_shows_the_evidence_of_a_rollback() {
    insta::assert_snapshot!(text(&explain(&View::of(&rolled_back()), now())));
}

#[test]
fn explain_shows_how_to_fix_a_refused_policy() {
    let status = json!({"phase": "Preparing", "trial": null, "canary": null, "step": null, "steps": null, "progress": null, "weight": null, "verdict": null,
        "waiting": {"reason": "NotAccepted", "message": "the template stays held: see condition Accepted", "since": "2026-03-02T11:59:00Z"},
        "conditions": [{"type": "Accepted", "status": "False", "reason": "PolicyNotFound", "lastTransitionTime": "2026-03-02T11:59:00Z",
            "message": "there is no policy web-canary: create it, or name another in annotation steelyard.io/policy"}]});
    insta::assert_snapshot!(text(&explain(&View::of(&with(stepping(), &status)), now())));
}

#[test]
fn list_shows_a_rollout_in_one_line() {
    let mut rollout: Rollout = stepping().rollout.unwrap();
    rollout.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-02-28T12:00:00Z".parse().unwrap()));
    let all = [tables::Listed::from(rollout)];
    insta::assert_snapshot!(text(&tables::list(&all, true, now())));
    assert!(!text(&tables::list(&all, false, now())).contains("shop"));
}

#[test]
fn history_starts_with_the_latest_rollout() {
    let past: Vec<Past> = serde_json::from_value(json!([
        {"revision": "0aone", "tag": "v2", "outcome": "RolledBack", "reason": "MetricFailed",
         "started": "2026-03-01T12:00:00Z", "ended": "2026-03-01T12:04:30Z"},
        {"revision": "0atwo", "tag": "v3", "outcome": "Complete", "started": "2026-03-02T11:00:00Z", "ended": "2026-03-02T11:30:00Z"}]))
    .unwrap();
    insta::assert_snapshot!(text(&tables::history(&past, now())));
}

/// Returns the patch for an intent.
fn patch(facts: &Facts, intent: Intent) -> Value {
    match steer(&View::of(facts), intent).unwrap().change {
        Change::Merge(value) | Change::Guarded(value) => value,
        Change::Nothing => Value::Null,
    }
}

#[test]
fn each_intent_names_its_revision() {
    let facts = stepping();
    let revision = "0a3m21grz";
    let spec = |intent: &str, value: Value| json!({"spec": {intent: value}});
    let plain = json!({"revision": revision});
    assert_eq!(
        patch(&facts, Intent::Promote),
        spec("promote", json!({"revision": revision, "step": 2, "full": null}))
    );
    assert_eq!(
        patch(&facts, Intent::PromoteFull),
        spec("promote", json!({"revision": revision, "step": null, "full": true}))
    );
    assert_eq!(patch(&facts, Intent::Abort), spec("abort", plain.clone()));
    assert_eq!(patch(&facts, Intent::Pause), spec("pause", plain.clone()));
    assert_eq!(patch(&facts, Intent::Skip), spec("skip", plain));
    let retried = json!({"retry": {"revision": revision, "attempt": 2}, "abort": null, "pause": null, "promote": null, "skip": null});
    assert_eq!(patch(&rolled_back(), Intent::Retry), json!({"spec": retried}));
    let paused = with_spec(facts, &json!({"pause": {"revision": revision}}));
    assert_eq!(
        patch(&paused, Intent::Resume),
        json!([{"op": "test", "path": "/spec/pause/revision", "value": revision}, {"op": "remove", "path": "/spec/pause"}])
    );
    assert_eq!(patch(&paused, Intent::Pause), Value::Null, "already paused");
}

#[test]
fn before_there_is_a_revision_an_intent_names_the_hash_of_the_template() {
    let held = with(
        stepping(),
        &json!({"phase": "Stable", "trial": null, "canary": null, "step": null, "steps": null, "progress": null, "weight": null}),
    );
    let hash = crate::engine::hash(&template("v2"));
    for (intent, field) in [(Intent::Pause, "pause"), (Intent::Abort, "abort"), (Intent::Skip, "skip")] {
        assert_eq!(patch(&held, intent), json!({"spec": {field: {"revision": hash}}}));
    }
    let paused = with_spec(stepping(), &json!({"pause": {"revision": hash}}));
    assert!(View::of(&paused).paused(), "the revision has this template");
    assert_eq!(patch(&paused, Intent::Resume)[0]["value"], hash);
}

#[test]
fn an_impossible_intent_is_refused_with_a_reason() {
    let back = with(stepping(), &json!({"phase": "RollingBack"}));
    let promoting = with(stepping(), &json!({"phase": "Promoting"}));
    let mut trial =
        serde_json::to_value(promoting.rollout.clone().unwrap()).unwrap()["status"]["trial"].clone();
    trial["handover"] = json!("Transferring");
    let mut adopted = with(promoting.clone(), &json!({"trial": trial}));
    let almost = View::of(&adopted);
    assert!(steer(&almost, Intent::Abort).is_ok(), "abort is possible until the Deployment owns the canary");
    adopted.replica_sets[1]["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "controller": true}]);
    let first = with(stepping(), &json!({"phase": "Preparing", "step": 0, "steps": 2, "progress": "0/2"}));
    let old = with_spec(stepping(), &json!({"pause": {"revision": "another"}}));
    let held = with(rolled_back(), &json!({"phase": "Stable", "canary": null, "failure": null}));
    let paused = with_spec(stepping(), &json!({"pause": {"revision": "0a3m21grz"}}));
    for (facts, intent, word) in vec![
        (complete(), Intent::Promote, "no rollout of web is in progress"),
        (complete(), Intent::Abort, "no rollout of web is in progress"),
        (complete(), Intent::Skip, "no rollout of web is in progress"),
        (complete(), Intent::Retry, "no rollout of web is in progress"),
        (rolled_back(), Intent::Promote, "retry web"),
        (rolled_back(), Intent::Abort, "was rolled back"),
        (back.clone(), Intent::Abort, "already rolling back"),
        (back, Intent::Pause, "already rolling back"),
        (stepping(), Intent::Retry, "only a revision that was rolled back"),
        (stepping(), Intent::Resume, "not paused"),
        (old, Intent::Resume, "not paused"),
        (promoting.clone(), Intent::Promote, "being handed over"),
        (promoting.clone(), Intent::PromoteFull, "being handed over"),
        (adopted.clone(), Intent::Abort, "push its template"),
        (adopted, Intent::Skip, "nothing is left to skip"),
        (first, Intent::Promote, "promote --full"),
        (held, Intent::Promote, "has not started its first step"),
        (
            with(promoting.clone(), &json!({"weight": "100%"})),
            Intent::Pause,
            "only `kubectl steelyard abort web`",
        ),
        (paused.clone(), Intent::PromoteFull, "resume web"),
        (paused, Intent::Promote, "resume web"),
    ] {
        let why = steer(&View::of(&facts), intent).expect_err("refused");
        assert!(why.contains(word), "{intent:?}: {why}");
    }
}

#[test]
fn wait_after_a_push_does_not_end_with_the_previous_rollout() {
    // Admission holds the push in the same write; the status still describes the previous rollout.
    let mut facts = complete();
    let deployment = facts.deployment.as_mut().unwrap();
    deployment["spec"]["template"] = template("v3");
    deployment["spec"]["paused"] = json!(true);
    deployment["metadata"]["labels"] = json!({"steelyard.io/held": "true"});
    deployment["metadata"]["generation"] = json!(3);
    assert_eq!(progress(&facts, &template("v3")), Progress::Pending);

    let mut facts = rolled_back();
    let deployment = facts.deployment.as_mut().unwrap();
    deployment["spec"]["template"] = template("v3");
    deployment["metadata"]["generation"] = json!(3);
    assert_eq!(progress(&facts, &template("v3")), Progress::Pending, "v2 was rolled back, v3 was not");
}

#[test]
fn wait_ends_with_the_rollout_of_its_template() {
    assert!(matches!(progress(&complete(), &template("v2")), Progress::Complete(_)));
    assert!(matches!(progress(&rolled_back(), &template("v2")), Progress::RolledBack(_)));
    assert_eq!(progress(&stepping(), &template("v2")), Progress::Pending);

    let mut scaled = rolled_back();
    scaled.deployment.as_mut().unwrap()["metadata"]["generation"] = json!(9);
    assert!(matches!(progress(&scaled, &template("v2")), Progress::RolledBack(_)), "scaling is not a push");

    let again = with_spec(rolled_back(), &json!({"retry": {"revision": "0a3m21grz", "attempt": 2}}));
    assert_eq!(progress(&again, &template("v2")), Progress::Pending, "a retry is requested");

    assert!(
        matches!(progress(&complete(), &template("v1")), Progress::RolledBack(_)),
        "another template was pushed"
    );
    let gone = Facts { deployment: None, ..complete() };
    assert!(matches!(progress(&gone, &template("v2")), Progress::RolledBack(_)));
}

#[test]
fn a_gate_shows_its_message_who_opened_the_previous_gates_and_how_to_open_it() {
    let mut status = json!({"phase": "Waiting", "step": 2, "steps": 2, "progress": "2/2", "waiting": {"reason": "Gate",
        "message": "waiting for a person to promote this step: check the dashboards"}});
    status["trial"] = serde_json::to_value(stepping().rollout.unwrap().status.unwrap().trial).unwrap();
    status["trial"]["gates"] = json!([
        {"step": 1, "by": "webhook desk", "at": "2026-03-02T11:58:00Z", "response": "HTTP 200 OK: ticket 17"}]);
    let facts = with(stepping(), &status);
    let view = View::of(&facts);
    let opened = "step 1 was opened by webhook desk at 11:58:00Z: HTTP 200 OK: ticket 17";
    let text = tree(&view, now(), Paint::Plain).join("\n");
    assert!(text.contains(opened) && text.contains("check the dashboards"), "{text}");
    let text = explain(&view, now()).join("\n");
    assert!(text.contains(opened) && text.contains("opens the gate"), "{text}");
    let steering = steer(&view, Intent::Promote).unwrap();
    let Change::Merge(patch) = steering.change else { panic!("{steering:?}") };
    assert_eq!(patch["spec"]["promote"]["step"], 2);
}
