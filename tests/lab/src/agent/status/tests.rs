use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0).unwrap()
}

fn pod(spec: &serde_json::Value) -> Pod {
    serde_json::from_value(serde_json::json!({"metadata": {"name": "web", "generation": 3}, "spec": spec}))
        .unwrap()
}

fn plain() -> Pod {
    pod(&serde_json::json!({"containers": []}))
}

fn running(ready: bool) -> View {
    View { state: State::Running { since: at(1) }, started: true, ready, ..View::new("app", "demo:v1") }
}

fn exit(code: i32) -> Exit {
    let reason = if code == 0 { "Completed" } else { "Error" };
    Exit { code, reason, message: None, started: at(1), finished: at(2) }
}

fn ended(code: i32) -> View {
    View { state: State::Ended(exit(code)), ..View::new("app", "demo:v1") }
}

fn crash_looping() -> View {
    let state = State::Waiting { reason: "CrashLoopBackOff", message: None };
    View { state, last: Some(exit(1)), ..View::new("app", "demo:v1") }
}

fn facts<'a>(pod: &'a Pod, containers: &'a [View]) -> Facts<'a> {
    Facts {
        pod,
        inits: &[],
        containers,
        initialized: true,
        ip: "10.244.0.9".into(),
        host: "192.0.2.10".into(),
        since: at(0),
        life: Life::Wanted,
    }
}

fn status_of<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
    status.conditions.as_ref().unwrap().iter().find(|condition| condition.type_ == kind).unwrap()
}

#[test]
fn a_pod_is_ready_when_all_its_containers_are() {
    let pod = plain();
    let status = compute(&facts(&pod, &[running(true), running(true)]), None, at(5));
    assert_eq!(status_of(&status, "Ready").status, "True");
    let status = compute(&facts(&pod, &[running(true), running(false)]), None, at(5));
    let ready = status_of(&status, "Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("ContainersNotReady")));
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [app]"));
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(ready.observed_generation, Some(3));
}

#[test]
fn a_transition_time_changes_only_with_the_status_of_the_condition() {
    let pod = plain();
    let time = |status: &PodStatus, kind| status_of(status, kind).last_transition_time.clone().unwrap().0;
    let first = compute(&facts(&pod, &[running(false)]), None, at(5));
    let second = compute(&facts(&pod, &[running(false)]), Some(&first), at(6));
    assert_eq!(time(&second, "Ready"), at(5));
    let third = compute(&facts(&pod, &[running(true)]), Some(&second), at(7));
    assert_eq!((time(&third, "Ready"), time(&third, "Initialized")), (at(7), at(5)));
    let fourth = compute(&facts(&pod, &[running(true)]), Some(&third), at(8));
    assert_eq!(fourth, third);
}

#[test]
fn the_condition_of_the_scheduler_is_not_changed() {
    let mut pod = plain();
    let names = |pod: &Pod| -> Vec<String> {
        compute(&facts(pod, &[]), None, at(5)).conditions.unwrap().into_iter().map(|c| c.type_).collect()
    };
    assert!(
        names(&pod).contains(&"PodScheduled".to_owned()),
        "a pod that is created with a node name was never scheduled"
    );
    let scheduled =
        PodCondition { type_: "PodScheduled".into(), status: "True".into(), ..Default::default() };
    pod.status = Some(PodStatus { conditions: Some(vec![scheduled]), ..PodStatus::default() });
    assert!(!names(&pod).contains(&"PodScheduled".to_owned()));
}

#[test]
fn a_readiness_gate_delays_ready_but_not_containers_ready() {
    let mut pod = pod(&serde_json::json!({"containers": [], "readinessGates": [{"conditionType": "x/y"}]}));
    let status = compute(&facts(&pod, &[running(true)]), None, at(5));
    assert_eq!(status_of(&status, "Ready").reason.as_deref(), Some("ReadinessGatesNotReady"));
    assert_eq!(status_of(&status, "ContainersReady").status, "True");
    let gate = PodCondition { type_: "x/y".into(), status: "True".into(), ..Default::default() };
    pod.status = Some(PodStatus { conditions: Some(vec![gate]), ..PodStatus::default() });
    assert_eq!(status_of(&compute(&facts(&pod, &[running(true)]), None, at(6)), "Ready").status, "True");
}

#[test]
fn phases_follow_the_restart_policy() {
    let phase = |policy: &str, containers: &[View]| {
        let pod = pod(&serde_json::json!({"containers": [], "restartPolicy": policy}));
        compute(&facts(&pod, containers), None, at(5)).phase.unwrap()
    };
    let new = View::new("app", "demo:v1");
    for (policy, containers, expected) in [
        ("Always", vec![new.clone()], "Pending"),
        ("Always", vec![running(true), new], "Pending"),
        ("Always", vec![running(false)], "Running"),
        ("Always", vec![crash_looping()], "Running"),
        ("Always", vec![ended(0)], "Running"),
        ("OnFailure", vec![ended(0)], "Succeeded"),
        ("OnFailure", vec![ended(1)], "Running"),
        ("OnFailure", vec![ended(0), running(true)], "Running"),
        ("Never", vec![ended(0), ended(0)], "Succeeded"),
        ("Never", vec![ended(0), ended(1)], "Failed"),
    ] {
        assert_eq!(phase(policy, &containers), expected, "{policy} {containers:?}");
    }
}

#[test]
fn a_deleted_pod_has_failed_or_succeeded_once_all_its_containers_ended() {
    let pod = plain();
    let phase = |containers: &[View]| {
        let facts = Facts { life: Life::Ending, ..facts(&pod, containers) };
        compute(&facts, None, at(5)).phase.unwrap()
    };
    assert_eq!(phase(&[running(true)]), "Running");
    assert_eq!(phase(&[ended(0)]), "Succeeded");
    assert_eq!(phase(&[ended(137), ended(0)]), "Failed");
}

#[test]
fn readiness_is_reported_while_a_deleted_pod_still_serves() {
    let pod = plain();
    let containers = [running(true)];
    let facts = Facts { life: Life::Ending, ..facts(&pod, &containers) };
    assert_eq!(status_of(&compute(&facts, None, at(5)), "Ready").status, "True");
}

#[test]
fn a_crash_loop_shows_how_the_previous_run_ended() {
    let pod = plain();
    let mut view = crash_looping();
    (view.restarts, view.last) = (4, Some(exit(137)));
    let status = compute(&facts(&pod, &[view]), None, at(5));
    let container = &status.container_statuses.unwrap()[0];
    assert_eq!(
        container.state.as_ref().unwrap().waiting.as_ref().unwrap().reason.as_deref(),
        Some("CrashLoopBackOff")
    );
    let last = container.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.signal, last.reason.as_deref()), (137, Some(9), Some("Error")));
    assert_eq!(container.restart_count, 4);
}

#[test]
fn a_pod_with_incomplete_init_containers_is_pending() {
    let pod = plain();
    let inits = [running(false)];
    let containers = [View::new("app", "demo:v1")];
    let facts = Facts { inits: &inits, initialized: false, ..facts(&pod, &containers) };
    let status = compute(&facts, None, at(5));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(status_of(&status, "Initialized").reason.as_deref(), Some("ContainersNotInitialized"));
}
