//! Pods behave as with a kubelet, where a controller can see it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams};
use lab::support::{Demo, Failure, Space, tell};

use crate::{SOON, container, holds, pods_of, ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_of_four_is_ready_quickly() -> Result<(), Failure> {
    Space::run("quick", async |space| {
        let began = Instant::now();
        space.apply(&Demo::new("web", "v1").to_string()).await?;
        space.rolled_out("web", SOON).await?;
        let took = began.elapsed();
        tell(format_args!("4 pods ready {took:?} after apply"));
        assert!(took < Duration::from_secs(5), "{took:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_reported() -> Result<(), Failure> {
    Space::run("crash-loop", async |space| {
        let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec: {containers: [{name: app, image: "demo:v1", env: [{name: CRASH_AFTER, value: 200ms}]}]}
"#;
        space.apply(pod).await?;
        let status = space
            .until("crash", "a crash loop", SOON, |pod: &Pod| {
                let status = container(pod)?;
                let waiting = status.state.as_ref()?.waiting.as_ref()?;
                (waiting.reason.as_deref() == Some("CrashLoopBackOff")).then(|| status.clone())
            })
            .await?;
        assert_eq!(status.restart_count, 1, "the first restart is immediate, the second one waits");
        let last = status.last_state.and_then(|state| state.terminated).expect("the termination state");
        assert_eq!((last.exit_code, last.reason.as_deref()), (1, Some("Error")));
        let message = status.state.and_then(|state| state.waiting).and_then(|waiting| waiting.message);
        assert!(
            message.as_ref().is_some_and(|text| text.starts_with("back-off 10s restarting")),
            "{message:?}"
        );
        let log = std::fs::read_to_string(space.log("crash", "app")?)?;
        assert_eq!(log.matches("as CRASH_AFTER requires").count(), 2, "both runs are in the log: {log}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_image_is_reported() -> Result<(), Failure> {
    Space::run("missing-image", async |space| {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: none}, spec: {containers: [{name: app, image: 'absent:v1'}]}}";
        space.apply(pod).await?;
        for reason in ["ErrImagePull", "ImagePullBackOff"] {
            let phase = space
                .until("none", reason, SOON, |pod: &Pod| {
                    let waiting = container(pod)?.state.as_ref()?.waiting.as_ref()?;
                    (waiting.reason.as_deref() == Some(reason)).then(|| pod.status.clone()?.phase)
                })
                .await?;
            assert_eq!(phase.as_deref(), Some("Pending"));
        }
        let events = space.api::<Event>().list(&ListParams::default().fields("involvedObject.name=none")).await?;
        assert!(events.iter().any(|event| event.reason.as_deref() == Some("Failed")), "{events:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_keeps_serving_and_is_marked_as_terminating() -> Result<(), Failure> {
    Space::run("deletion", async |space| {
        let demo = Demo::new("web", "v1").replicas(1);
        space.apply(&demo.manifest(space.name())).await?;
        let name = pods_of(space, "web", 1).await?.remove(0);
        let began = Instant::now();
        space.api::<Pod>().delete(&name, &DeleteParams::default()).await?;
        let slices = kube::runtime::watcher::Config::default().labels("kubernetes.io/service-name=web");
        space
            .until_all(
                slices,
                "a terminating endpoint that still serves",
                SOON,
                |slices: &std::collections::BTreeMap<String, EndpointSlice>| {
                    let mut endpoints = slices.values().flat_map(|slice| slice.endpoints.iter());
                    endpoints.find_map(|endpoint| {
                        let conditions = endpoint.conditions.as_ref()?;
                        let states = (conditions.terminating, conditions.serving, conditions.ready);
                        (states == (Some(true), Some(true), Some(false))).then_some(())
                    })
                },
            )
            .await?;
        gone(space, &name).await?;
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(2), "the pod serves for two seconds after SIGTERM: {took:?}");
        assert!(
            took < Duration::from_secs(9),
            "the pod does not wait for the end of its grace period: {took:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_ignores_sigterm_is_killed_when_its_grace_period_ends() -> Result<(), Failure> {
    Space::run("grace", async |space| {
        let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 4
  containers:
  - name: app
    image: demo:v1
    command: [sh, -c, "trap 'echo no' TERM; echo up; while true; do sleep 0.1; done"]
    lifecycle: {preStop: {sleep: {seconds: 1}}}
"#;
        space.apply(pod).await?;
        ready(space, "stubborn").await?;
        let began = Instant::now();
        space.api::<Pod>().delete("stubborn", &DeleteParams::default()).await?;
        gone(space, "stubborn").await?;
        let took = began.elapsed();
        assert!((3.9..8.0).contains(&took.as_secs_f64()), "{took:?}");
        let log = std::fs::read_to_string(space.log("stubborn", "app")?)?;
        assert!(log.contains("up") && log.contains("no"), "SIGTERM came first: {log}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_follow_their_delays_and_thresholds() -> Result<(), Failure> {
    Space::run("probes", async |space| {
        // The pod is healthy only after a second, so its startup probe must delay the liveness
        // probe. After that every liveness probe fails.
        let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  containers:
  - name: app
    image: demo:v1
    env: [{name: START_DELAY, value: 1s}, {name: ERROR_RATE, value: "1"}]
    startupProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 30}
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, successThreshold: 2}
    livenessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, failureThreshold: 3}
"#;
        space.apply(pod).await?;
        let pod = ready(space, "slow").await?;
        let status = container(&pod).expect("a status");
        assert_eq!((status.started, status.restart_count), (Some(true), 0));
        let running = status.state.as_ref().and_then(|state| state.running.as_ref()).expect("running");
        let since = running.started_at.as_ref().expect("a start").0;
        let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let turned = conditions
            .find(|condition| condition.type_ == "Ready")
            .and_then(|condition| condition.last_transition_time.clone());
        let waited = turned.expect("a time").0.duration_since(since).as_secs();
        assert!(waited >= 1, "START_DELAY and two passes of the readiness probe: {waited} s");
        let restarted = space
            .until("slow", "a restart by the liveness probe", SOON, |pod: &Pod| {
                let status = container(pod)?;
                (status.restart_count == 1).then(|| status.last_state.clone()).flatten()
            })
            .await?;
        assert_eq!(
            restarted.terminated.expect("the termination state").exit_code,
            0,
            "the container exited on request"
        );
        let events =
            space.api::<Event>().list(&ListParams::default().fields("involvedObject.name=slow")).await?;
        assert!(events.iter().any(|event| event.reason.as_deref() == Some("Unhealthy")), "{events:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_runs_to_completion_succeeds_or_fails() -> Result<(), Failure> {
    Space::run("once", async |space| {
        for (name, code, phase) in [("good", 0, "Succeeded"), ("bad", 3, "Failed")] {
            let pod = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{restartPolicy: Never, \
                 containers: [{{name: app, image: 'demo:v1', command: [sh, -c, 'exit {code}']}}]}}}}"
            );
            space.apply(&pod).await?;
            let pod = space
                .until(name, phase, SOON, |pod: &Pod| {
                    (pod.status.as_ref()?.phase.as_deref() == Some(phase)).then(|| pod.clone())
                })
                .await?;
            let ended = container(&pod).and_then(|status| status.state.as_ref()?.terminated.as_ref());
            assert_eq!(ended.map(|ended| ended.exit_code), Some(code));
            assert!(!holds(&pod, "Ready"));
        }
        Ok(())
    })
    .await
}

async fn gone(space: &Space, name: &str) -> Result<(), Failure> {
    let one = kube::runtime::watcher::Config::default().fields(&format!("metadata.name={name}"));
    let what = format!("pod {name} gone");
    Ok(space
        .until_all(one, &what, SOON, |pods: &std::collections::BTreeMap<String, Pod>| {
            pods.is_empty().then_some(())
        })
        .await?)
}
