use serde_json::json;

use super::*;

#[test]
fn a_surge_in_percent_is_rounded_up_and_a_quarter_where_it_is_not_said() {
    assert_eq!(surge(Some(&json!("25%")), 5), 2);
    assert_eq!(surge(Some(&json!("0%")), 5), 0);
    assert_eq!(surge(Some(&json!(3)), 5), 3);
    assert_eq!(surge(None, 4), 1);
    assert_eq!(surge(None, 0), 0);
}

#[test]
fn only_ready_addresses_that_are_not_terminating_count_as_endpoints() {
    let endpoint = |name: &str, ready: bool, terminating: bool| json!({"conditions": {"ready": ready, "terminating": terminating}, "targetRef": {"name": name}});
    let slice = |ports: Value| {
        json!({"metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "ports": ports,
            "endpoints": [endpoint("a", true, false), endpoint("b", false, false), endpoint("c", true, true)]})
    };
    let ready = endpoints(&[slice(json!([{"port": 80}]))]);
    assert_eq!(ready["web"], BTreeSet::from(["a".to_owned()]));
    assert!(endpoints(&[slice(json!([]))]).is_empty(), "no port, no endpoint");
}

#[test]
fn a_template_keeps_fields_that_no_struct_knows_and_loses_only_the_hash() {
    let set = replica_set(&json!({
        "metadata": {"name": "web-1", "labels": {HASH: "1"},
            "ownerReferences": [{"uid": "other"}, {"uid": "mine", "controller": true}]},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web", HASH: "1"}}, "spec": {"tomorrow": {"x": 1}}}}
    }));
    assert_eq!(set.template, json!({"metadata": {"labels": {"app": "web"}}, "spec": {"tomorrow": {"x": 1}}}));
    assert_eq!((set.hash.as_str(), set.controller.as_deref()), ("1", Some("mine")));
}

#[test]
fn what_keeps_a_pod_from_running_is_named() {
    let crash = pod(&json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [
        {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}]}}));
    assert_eq!(
        (crash.restarts, crash.trouble),
        (3, Some(("CrashLoopBackOff".into(), "back-off 10s".into())))
    );
    let creating = pod(
        &json!({"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}),
    );
    assert_eq!(creating.trouble, None);
    let refused = pod(&json!({"status": {"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}}));
    assert_eq!(refused.trouble, Some(("Unschedulable".into(), "0/3 nodes".into())));
    let starting = pod(&json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [app]"}]}}));
    assert_eq!((starting.trouble, starting.unready.as_deref()), (None, Some("unready: [app]")));
    let set = replica_set(&json!({"status": {"conditions": [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}}));
    assert_eq!(set.failure.as_deref(), Some("exceeded quota"));
}

#[test]
fn every_kind_of_selector_term_is_written_as_the_api_server_reads_it() {
    let all = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "NotIn", "values": ["z"]},
        {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"}]});
    assert_eq!(selector(&all).as_deref(), Some("app=web,a in (x,y),b notin (z),c,!d"));
    assert_eq!(selector(&json!({})), None);
}

#[test]
fn a_rollout_without_status_is_a_fresh_one() {
    let fresh =
        rollout(&json!({"metadata": {"name": "web", "finalizers": ["example.com/other"]}, "spec": {}}))
            .expect("a Rollout");
    assert_eq!(fresh.finalizers, ["example.com/other"]);
    assert_eq!(fresh.status, crate::api::RolloutStatus::default());
}

#[test]
fn a_pod_counts_behind_a_service_until_it_ends_and_is_its_replica_set_s() {
    let owner = |kind: &str, uid: &str| json!([{"kind": kind, "uid": uid, "controller": true}]);
    let pod = |owners: Value| json!({"metadata": {"name": "a", "ownerReferences": owners}});
    let found = |pod: &Value| backend(pod).map(|backend| backend.owner);
    assert_eq!(found(&pod(owner("ReplicaSet", "x"))), Some(Owner::ReplicaSet("x".to_owned())));
    assert_eq!(found(&pod(owner("StatefulSet", "s"))), Some(Owner::Other));
    assert_eq!(found(&pod(json!([]))), Some(Owner::Other));
    let mut leaving = pod(owner("ReplicaSet", "x"));
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut done = pod(owner("Job", "j"));
    done["status"]["phase"] = "Succeeded".into();
    assert_eq!([found(&leaving), found(&done)], [None, None]);
}

#[test]
fn where_we_are_on_the_record_of_who_set_the_fields_is_known_but_not_where_we_are_alone() {
    let managed = |managers: &[&str]| {
        let entries: Vec<_> = managers.iter().map(|manager| json!({"manager": manager})).collect();
        meta(&json!({"metadata": {"name": "web", "managedFields": entries}})).managed
    };
    assert_eq!(managed(&["helm", "steelyard", "traefik", "steelyard"]), [1, 3]);
    assert_eq!(managed(&["helm"]), [0; 0]);
    assert_eq!(managed(&["steelyard"]), [0; 0]);
}
