//! The objects of the node: Node, Lease, taints.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::host::{Host, Link, pause};

/// Interval between heartbeats of the Lease (kubelet's number).
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Number of Lease heartbeats per update of the node's status.
const STATUS_EVERY: u32 = 6;
/// Taints of a node that is not ready; the API server sets the first on each new node.
const NOT_READY: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Registers the node and sends heartbeats for as long as this is polled. Sends nothing while the
/// node is lost.
pub(crate) async fn keep(host: Arc<Host>) {
    let mut beat = 0;
    let mut failed = 0;
    let mut ready_since = Timestamp::now();
    loop {
        if *host.link.borrow() == Link::Lost {
            host.linked().await;
            // The control plane has marked the node as not ready meanwhile.
            (beat, ready_since) = (0, Timestamp::now());
        }
        let mut wait = HEARTBEAT;
        let beaten = async {
            if beat % STATUS_EVERY == 0 {
                register(&host, ready_since).await?;
            }
            renew(&host).await
        };
        match beaten.await {
            Ok(()) => (beat, failed) = (beat + 1, 0),
            Err(error) => {
                tracing::warn!(%error, "could not send a heartbeat");
                failed += 1;
                (beat, wait) = (0, pause(failed));
            }
        }
        let mut link = host.link.subscribe();
        // React at once when the link is lost or restored, not at the next heartbeat.
        let _ = tokio::time::timeout(wait, link.wait_for(|link| *link == Link::Lost)).await;
    }
}

/// Returns the node's status: ample resources, ready since the given time.
fn status(host: &Host, ready_since: Timestamp, version: &str) -> Value {
    let resources =
        json!({"cpu": "1000", "memory": "1000Gi", "ephemeral-storage": "1000Gi", "pods": "100000"});
    let condition = |kind: &str, holds: bool, reason: &str| {
        json!({
            "type": kind, "status": if holds { "True" } else { "False" }, "reason": reason,
            "lastHeartbeatTime": now(), "lastTransitionTime": seconds(ready_since),
        })
    };
    json!({
        "capacity": resources,
        "allocatable": resources,
        // No host name: the API server would prefer it, and nothing resolves it.
        "addresses": [{"type": "InternalIP", "address": host.address.to_string()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": super::logs::PORT}},
        "conditions": [
            condition("MemoryPressure", false, "KubeletHasSufficientMemory"),
            condition("DiskPressure", false, "KubeletHasNoDiskPressure"),
            condition("PIDPressure", false, "KubeletHasSufficientPID"),
            condition("Ready", true, "KubeletReady"),
        ],
        "nodeInfo": {
            "kubeletVersion": version, "kubeProxyVersion": "", "containerRuntimeVersion": "processes://0",
            "operatingSystem": "linux", "architecture": architecture(), "osImage": "this machine",
            "kernelVersion": "", "machineID": "", "systemUUID": "", "bootID": "",
        },
    })
}

/// Returns the architecture as Kubernetes names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn register(host: &Host, ready_since: Timestamp) -> Result<(), kube::Error> {
    let nodes = Api::<Node>::all(host.client.clone());
    // The version of the control plane: nothing here depends on it, and version skew checks pass.
    let version = host.client.apiserver_version().await?.git_version;
    let status = status(host, ready_since, &version);
    if nodes.get_opt(&host.node).await?.is_none() {
        let name = &host.node;
        let labels = json!({
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture(),
        });
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status,
        });
        let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
        match nodes.create(&PostParams::default(), &node).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created?),
        }
    }
    let patch = Patch::Strategic(json!({"status": status}));
    let node = nodes.patch_status(&host.node, &PatchParams::default(), &patch).await?;
    clear_taints(&nodes, &node).await;
    Ok(())
}

/// Removes the taints of a node that is not ready. The node lifecycle controller removes them a
/// little later too; if the node is not allowed to, that suffices.
async fn clear_taints(nodes: &Api<Node>, node: &Node) {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let (gone, kept): (Vec<_>, Vec<_>) = taints.partition(|taint| NOT_READY.contains(&taint.key.as_str()));
    if gone.is_empty() {
        return;
    }
    let (name, version) = (node.metadata.name.clone().unwrap_or_default(), &node.metadata.resource_version);
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": kept}});
    if let Err(error) = nodes.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        tracing::debug!(%error, "could not remove taints; the control plane removes them");
    }
}

async fn renew(host: &Host) -> Result<(), kube::Error> {
    let leases = Api::<Lease>::namespaced(host.client.clone(), "kube-node-lease");
    let spec = json!({"holderIdentity": host.node, "leaseDurationSeconds": 40, "renewTime": micros()});
    let patch = Patch::Merge(json!({"spec": spec}));
    match leases.patch(&host.node, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": host.node, "namespace": "kube-node-lease"}, "spec": spec,
            });
            let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
            leases.create(&PostParams::default(), &lease).await.map(drop)
        }
        renewed => renewed.map(drop),
    }
}

fn now() -> String {
    seconds(Timestamp::now())
}

/// Formats a time as `metav1.Time`.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats a time as `metav1.MicroTime`.
fn micros() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
