//! What all pods of a node share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::sync::watch;

use super::env::Facts;
use super::events::Events;
use super::image::Images;

/// Whether the node speaks with the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It does.
    Up,
    /// A lost node: its pods go on, but nothing is reported.
    Lost,
}

/// What all pods of a node share.
pub(crate) struct Host {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) address: IpAddr,
    pub(crate) dir: PathBuf,
    pub(crate) images: Images,
    pub(crate) light: bool,
    /// Where pods find the API server: address and port of Service `default/kubernetes`.
    pub(crate) service: (String, i32),
    /// Asks HTTP probes.
    pub(crate) http: reqwest::Client,
    pub(crate) events: Events,
    pub(crate) link: watch::Sender<Link>,
}

/// The longest wait between two tries of what must work in the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The wait before try number `n` (from 1) of a call that must work in the end: 20 ms, doubled up to a second.
pub(crate) fn pause(n: u32) -> Duration {
    (Duration::from_millis(20) * 2_u32.saturating_pow(n.saturating_sub(1).min(16))).min(PATIENCE)
}

impl Host {
    /// Waits while the node is lost.
    pub(crate) async fn linked(&self) {
        // The sender lives as long as self.
        let _ = self.link.subscribe().wait_for(|link| *link == Link::Up).await;
    }

    /// The pod's folder: volumes, and the place for its containers' roots.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.dir.join("pods").join(uid)
    }

    /// Where a container's output goes, over all its runs.
    pub(crate) fn log(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.dir.join(format!("{namespace}_{pod}_{container}.log"))
    }

    /// Folder of the record of processes.
    pub(crate) fn processes(&self) -> PathBuf {
        processes(&self.dir)
    }

    /// What the downward API says of a pod.
    pub(crate) fn facts(&self, ip: Ipv4Addr) -> Facts {
        Facts { pod_ip: ip.to_string(), host_ip: self.address.to_string() }
    }

    /// The environment that each container gets, whatever its pod says.
    pub(crate) fn base_env(&self, pod: &Pod, tag: &str, ip: Ipv4Addr) -> BTreeMap<String, String> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let var = |name: &str| std::env::var(name).unwrap_or_default();
        [
            ("PATH", var("PATH")),
            ("HOME", "/root".to_owned()),
            ("HOSTNAME", name.clone()),
            ("POD_NAME", name),
            ("POD_IP", ip.to_string()),
            ("LAB_IMAGE_TAG", tag.to_owned()),
            ("KUBERNETES_SERVICE_HOST", self.service.0.clone()),
            ("KUBERNETES_SERVICE_PORT", self.service.1.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// Folder of the record of processes within the agent's folder.
pub(crate) fn processes(dir: &Path) -> PathBuf {
    dir.join("processes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_quickly_at_first_then_every_second() {
        let waits: Vec<u128> = (1..=8).map(|n| pause(n).as_millis()).collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(pause(u32::MAX), PATIENCE);
    }
}
