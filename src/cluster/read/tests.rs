use serde_json::json;

use super::*;

#[test]
fn max_surge_in_percent_is_rounded_up_and_25_percent_by_default() {
    assert_eq!(surge(Some(&json!("25%")), 5), 2);
    assert_eq!(surge(Some(&json!("0%")), 5), 0);
    assert_eq!(surge(Some(&json!(3)), 5), 3);
    assert_eq!(surge(None, 4), 1);
    assert_eq!(surge(None, 0), 0);
}

#[test]
fn only_ready_endpoints_that_are_not_terminating_count() {
    let endpoint = |name: &str, ready: bool, terminating: bool| json!({"conditions": {"ready": ready, "terminating": terminating}, "targetRef": {"name": name}});
    let slice = json!({"metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "ports": [{"port": 80}],
        "endpoints": [endpoint("a", true, false), endpoint("b", false, false), endpoint("c", true, true)]});
    let pods = ["a", "b", "c"].map(|name| json!({"metadata": {"name": name}}));
    let found = ready(&endpoints(&[slice])["web"], &json!([{"port": 80}]), &pods);
    assert_eq!(found, BTreeSet::from(["a".to_owned()]));
}

#[test]
fn a_pod_is_ready_behind_a_service_if_it_is_on_each_port_that_it_serves() {
    let slice = |ports: Value, pods: &[&str]| {
        let endpoint = |name: &&str| json!({"conditions": {"ready": true}, "targetRef": {"name": name}});
        json!({"metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "ports": ports,
            "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>()})
    };
    let pod = |name: &str, ports: &[&str]| {
        let ports: Vec<_> = ports.iter().map(|port| json!({"name": port})).collect();
        json!({"metadata": {"name": name}, "spec": {"containers": [{"ports": ports}]}})
    };
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": "http"},
        {"name": "admin", "port": 81, "targetPort": "admin"},
    ]);
    let pods = [
        pod("both", &["http", "admin"]),
        pod("late", &["http", "admin"]),
        pod("one", &["admin"]),
        pod("none", &[]),
    ];
    // As the EndpointSlice controller groups them: by the ports that it found.
    let slices = [
        slice(json!([{"name": "http", "port": 80}, {"name": "admin", "port": 81}]), &["both"]),
        slice(json!([{"name": "admin", "port": 81}]), &["one", "late"]),
        slice(json!([]), &["none"]),
    ];
    let found = ready(&endpoints(&slices)["web"], &ports, &pods);
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["both", "one"]);
    let headless = ready(&endpoints(&[slice(Value::Null, &["both", "none"])])["web"], &Value::Null, &pods);
    assert_eq!(headless.len(), 2, "a Service without ports has addresses only");
}

#[test]
fn a_headless_service_is_reached_by_dns_and_an_external_name_has_no_endpoints() {
    let exposure = |spec: Value| service(&json!({"metadata": {"name": "web"}, "spec": spec})).exposure;
    assert_eq!(exposure(json!({"clusterIP": "None"})), Exposure::Headless);
    assert_eq!(exposure(json!({"clusterIP": "10.0.0.1"})), Exposure::Cluster);
    assert_eq!(exposure(json!({"type": "ExternalName", "externalName": "a.b"})), Exposure::ExternalName);
    assert_eq!(exposure(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"})), Exposure::Local);
}

#[test]
fn a_template_keeps_unknown_fields_and_loses_only_the_hash() {
    let set = replica_set(&json!({
        "metadata": {"name": "web-1", "labels": {HASH: "1"},
            "ownerReferences": [{"uid": "other"}, {"uid": "mine", "controller": true}]},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web", HASH: "1"}}, "spec": {"tomorrow": {"x": 1}}}}
    }));
    assert_eq!(set.template, json!({"metadata": {"labels": {"app": "web"}}, "spec": {"tomorrow": {"x": 1}}}));
    assert_eq!((set.hash.as_str(), set.controller.as_deref()), ("1", Some("mine")));
}

#[test]
fn the_reason_why_a_pod_does_not_run_is_read() {
    let crash = pod(&json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [
        {"name": "app", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}]}}));
    let trouble = |container: Option<&str>, reason: &str, message: &str| {
        let container = container.map(str::to_owned);
        Some(Trouble { container, reason: reason.to_owned(), message: message.to_owned() })
    };
    assert_eq!(crash.trouble, trouble(Some("app"), "CrashLoopBackOff", "back-off 10s"));
    let restarts = Restarts { container: "app".to_owned(), count: 3, backing_off: true };
    assert_eq!(crash.restarts, Some(restarts));
    let creating = pod(
        &json!({"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}),
    );
    assert_eq!(creating.trouble, None);
    let refused = pod(&json!({"status": {"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}}));
    assert_eq!(refused.trouble, trouble(None, "Unschedulable", "0/3 nodes"));
    let starting = pod(&json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [app]"}]}}));
    assert_eq!((starting.trouble, starting.unready.as_deref()), (None, Some("unready: [app]")));
    let set = replica_set(&json!({"status": {"conditions": [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}}));
    assert_eq!(set.failure.as_deref(), Some("exceeded quota"));
}

#[test]
fn restarts_of_init_containers_do_not_count_and_those_of_sidecars_do() {
    let pod = |init: Value| {
        pod(&json!({
            "spec": {"initContainers": [init], "containers": [{"name": "app"}]},
            "status": {
                "initContainerStatuses": [{"name": "init", "restartCount": 5,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}],
                "containerStatuses": [{"name": "app", "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}],
            },
        }))
    };
    let waits = pod(json!({"name": "init"}));
    assert_eq!(waits.restarts, None);
    let named = waits.trouble.as_ref().and_then(|trouble| trouble.container.as_deref());
    assert_eq!(named, Some("init"), "it is what the pod waits for");
    let sidecar = pod(json!({"name": "init", "restartPolicy": "Always"})).restarts.unwrap();
    assert_eq!((sidecar.container.as_str(), sidecar.count), ("init", 5));
}

#[test]
fn a_label_selector_with_every_operator_becomes_a_query_parameter() {
    let all = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
        {"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "NotIn", "values": ["z"]},
        {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"}]});
    assert_eq!(selector(&all).as_deref(), Some("app=web,a in (x,y),b notin (z),c,!d"));
    assert_eq!(selector(&json!({})), None);
}

#[test]
fn a_rollout_without_status_has_the_default_status() {
    let fresh =
        rollout(&json!({"metadata": {"name": "web", "finalizers": ["example.com/other"]}, "spec": {}}))
            .expect("a Rollout");
    assert_eq!(fresh.finalizers, ["example.com/other"]);
    assert_eq!(fresh.status, crate::api::RolloutStatus::default());
}

#[test]
fn a_pod_counts_until_it_terminates_and_belongs_to_its_replica_set() {
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
fn managed_field_entries_are_found_unless_there_is_no_other_manager() {
    let managed = |managers: &[&str]| {
        let entries: Vec<_> = managers.iter().map(|manager| json!({"manager": manager})).collect();
        meta(&json!({"metadata": {"name": "web", "managedFields": entries}})).managed
    };
    assert_eq!(managed(&["helm", "steelyard", "traefik", "steelyard"]), [1, 3]);
    assert_eq!(managed(&["helm"]), [0; 0]);
    assert_eq!(managed(&["steelyard"]), [0; 0]);
}
