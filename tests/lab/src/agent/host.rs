//! State that all pods of a node share.

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

/// Whether the node can reach the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It can.
    Up,
    /// It can't: its pods keep running, but nothing is reported.
    Lost,
}

/// State that all pods of a node share.
pub(crate) struct Host {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) address: IpAddr,
    pub(crate) dir: PathBuf,
    pub(crate) images: Images,
    pub(crate) light: bool,
    /// Address and port of Service `default/kubernetes`, at which pods reach the API server.
    pub(crate) service: (String, i32),
    /// The client for HTTP probes.
    pub(crate) http: reqwest::Client,
    pub(crate) events: Events,
    pub(crate) link: watch::Sender<Link>,
}

/// The longest delay between retries of a call that is repeated until it succeeds.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Returns the delay before attempt `n` (from 1) of a call that is repeated until it succeeds: 20
/// ms, doubled up to a second.
pub(crate) fn pause(n: u32) -> Duration {
    (Duration::from_millis(20) * 2_u32.saturating_pow(n.saturating_sub(1).min(16))).min(MAX_DELAY)
}

impl Host {
    /// Waits while the node is lost.
    pub(crate) async fn linked(&self) {
        // The sender lives as long as self.
        let _ = self.link.subscribe().wait_for(|link| *link == Link::Up).await;
    }

    /// Returns the pod's directory: its volumes and the mount points of its containers' roots.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.dir.join("pods").join(uid)
    }

    /// Returns the path of a container's log, which spans all its runs.
    pub(crate) fn log(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.dir.join(format!("{namespace}_{pod}_{container}.log"))
    }

    /// Returns the directory of the record of processes.
    pub(crate) fn processes(&self) -> PathBuf {
        processes(&self.dir)
    }

    /// Returns the facts of a pod for the downward API.
    pub(crate) fn facts(&self, ip: Ipv4Addr) -> Facts {
        Facts { pod_ip: ip.to_string(), host_ip: self.address.to_string() }
    }

    /// Returns the environment that every container gets, whatever its pod's spec contains.
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

/// Returns the directory of the record of processes within the agent's directory.
pub(crate) fn processes(dir: &Path) -> PathBuf {
    dir.join("processes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_quick_at_first_then_every_second() {
        let waits: Vec<u128> = (1..=8).map(|n| pause(n).as_millis()).collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(pause(u32::MAX), MAX_DELAY);
    }
}
