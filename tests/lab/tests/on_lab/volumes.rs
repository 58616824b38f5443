//! The file system and the environment of a pod.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use lab::support::{Failure, Space};

use crate::SOON;

/// Waits until a pod has ended. Returns its output.
async fn output(space: &Space, pod: &str) -> Result<String, Failure> {
    let ended = |pod: &Pod| {
        let phase = pod.status.as_ref()?.phase.clone()?;
        matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase)
    };
    let phase = space.until(pod, "the pod's end", SOON, ended).await?;
    let log = std::fs::read_to_string(space.log(pod, "app")?)?;
    if phase == "Failed" { Err(format!("pod {pod} failed: {log}").into()) } else { Ok(log) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_calls_the_api_with_its_token_and_only_the_permissions_of_its_role() -> Result<(), Failure> {
    Space::run("token", async |space| {
        let kubectl = which("kubectl")?;
        let manifest = format!(
            r#"
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader}}
rules: [{{apiGroups: [""], resources: [pods], verbs: [list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {namespace}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: caller}}
spec:
  serviceAccountName: reader
  restartPolicy: Never
  containers:
  - name: app
    image: demo:v1
    command: [sh, -c]
    args:
    - |
      {kubectl} auth whoami -o 'jsonpath={{.status.userInfo.username}}' && echo
      {kubectl} get pods -o name && ! {kubectl} get services
"#,
            namespace = space.name(),
            kubectl = kubectl.display()
        );
        space.apply(&manifest).await?;
        let log = output(space, "caller").await?;
        assert!(log.contains(&format!("system:serviceaccount:{}:reader\n", space.name())), "{log}");
        assert!(log.contains("pod/caller\n"), "{log}");
        assert!(log.contains("services is forbidden"), "{log}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_and_variables_match_the_pod_spec() -> Result<(), Failure> {
    Space::run("volumes", async |space| {
        space.apply(VOLUMES).await?;
        let log = output(space, "looker").await?;
        for line in [
            "file fast",
            "one fast",
            "secret s3cret",
            "labels color=\"red\"",
            "init was here",
            "env looker fast s3cret",
            "read-only",
        ] {
            assert!(log.lines().any(|found| found == line), "{line:?} in {log}");
        }
        // Nothing of it is left on the machine itself.
        assert!(!PathBuf::from("/etc/lab-test-conf").exists());
        assert!(!PathBuf::from("/lab-test-scratch").exists());
        Ok(())
    })
    .await
}

const VOLUMES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {mode: fast}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: looker, labels: {color: red}}
spec:
  restartPolicy: Never
  volumes:
  - {name: conf, configMap: {name: conf}}
  - name: all
    projected:
      sources:
      - secret: {name: keys, items: [{key: token, path: deep/token}]}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
  - {name: scratch, emptyDir: {}}
  initContainers:
  - name: first
    image: demo:v1
    command: [sh, -c, "echo init was here > /lab-test-scratch/file"]
    volumeMounts: [{name: scratch, mountPath: /lab-test-scratch}]
  containers:
  - name: app
    image: demo:v1
    command: [sh, -c]
    args:
    - |
      echo file $(cat /etc/lab-test-conf/mode)
      echo one $(cat /etc/lab-test-mode)
      echo secret $(cat /lab-test-all/deep/token)
      echo labels $(cat /lab-test-all/labels)
      cat /lab-test-scratch/file
      echo env $WHO $MODE $TOKEN
      touch /etc/lab-test-conf/new || echo read-only
    env:
    - {name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: MODE, valueFrom: {configMapKeyRef: {name: conf, key: mode}}}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}
    volumeMounts:
    - {name: conf, mountPath: /etc/lab-test-conf, readOnly: true}
    - {name: conf, mountPath: /etc/lab-test-mode, subPath: mode}
    - {name: all, mountPath: /lab-test-all}
    - {name: scratch, mountPath: /lab-test-scratch}
"#;

/// The path of a program of the lab.
fn which(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| format!("{name} is not on the PATH").into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_logs_shows_what_a_container_printed() -> Result<(), Failure> {
    Space::run("logs", async |space| {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: talker}, spec: {restartPolicy: Never, containers: \
                   [{name: app, image: 'demo:v1', command: [sh, -c, 'echo one; echo two']}]}}";
        space.apply(pod).await?;
        output(space, "talker").await?;
        assert_eq!(space.kubectl(&["logs", "talker"]).await?, "one\ntwo\n");
        assert_eq!(space.kubectl(&["logs", "talker", "--tail=1"]).await?, "two\n");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_start_first_and_exec_probes_see_the_containers_own_files() -> Result<(), Failure> {
    Space::run("sidecar", async |space| {
        let pod = r#"
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: helper
    image: demo:v1
    restartPolicy: Always
    command: [sh, -c, "echo from the sidecar > /lab-test-shared/file; exec sleep 600"]
    volumeMounts: [{name: shared, mountPath: /lab-test-shared}]
    startupProbe: {exec: {command: [test, -s, /lab-test-shared/file]}, periodSeconds: 1}
  containers:
  - name: app
    image: demo:v1
    command: [sh, -c, "cat /lab-test-shared/file; exec sleep 600"]
    volumeMounts: [{name: shared, mountPath: /lab-test-shared}]
    readinessProbe: {exec: {command: [test, -e, /lab-test-shared/ready]}, periodSeconds: 1, failureThreshold: 1}
"#;
        space.apply(pod).await?;
        let running = |pod: &Pod| crate::container(pod)?.state.as_ref()?.running.clone();
        space.until("pair", "the app running", SOON, running).await?;
        let pod = space.api::<Pod>().get("pair").await?;
        assert!(!crate::holds(&pod, "Ready"), "its file does not exist yet");
        assert!(crate::holds(&pod, "Initialized"));
        // The volume on the machine.
        let dir = space.volume(&pod, "shared")?;
        std::fs::write(dir.join("ready"), "")?;
        crate::ready(space, "pair").await?;
        std::fs::remove_file(dir.join("ready"))?;
        space.until("pair", "not ready", SOON, |pod: &Pod| (!crate::holds(pod, "Ready")).then_some(())).await?;
        assert_eq!(std::fs::read_to_string(space.log("pair", "app")?)?, "from the sidecar\n");
        Ok(())
    })
    .await
}
