//! Steelyard's pods and the values of its chart, for tests that disturb them.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use lab::agent::control::Fault;
use lab::steelyard::NAMESPACE;
use lab::support::{Failure, Space, available};
use serde_json::Value;
use tokio::process::Command;

use crate::holds;

/// The longest time until a new process leads: a lease of fifteen seconds, and a busy machine.
pub(crate) const LEADER: Duration = Duration::from_secs(40);
/// The longest time of an upgrade of the chart.
const UPGRADE: Duration = Duration::from_mins(1);

/// A process that holds the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// The whole identity, `POD_RANDOM`, which differs between two processes in one pod.
    pub(crate) identity: String,
    /// Its pod.
    pub(crate) pod: String,
}

/// Steelyard as the lab has installed it.
pub(crate) struct Controller {
    /// Its namespace.
    pub(crate) space: Space,
}

impl Controller {
    /// The controller that manages a test's namespace.
    pub(crate) fn of(space: &Space) -> Self {
        Self { space: space.beside(NAMESPACE) }
    }

    /// Runs `body` with some of the chart's values changed by Helm arguments. Restores all values
    /// in any case.
    pub(crate) async fn with<F>(space: &Space, args: &[&str], body: F) -> Result<(), Failure>
    where
        F: AsyncFnOnce(&Self) -> Result<(), Failure>,
    {
        let controller = Self::of(space);
        let before = controller.values().await?;
        let changed = controller.upgrade(&[&["--reset-then-reuse-values"], args].concat()).await;
        let done = match changed {
            Ok(()) => AssertUnwindSafe(body(&controller)).catch_unwind().await,
            Err(error) => Ok(Err(error)),
        };
        let restored = controller.reset(&before).await;
        match done {
            Ok(result) => result.and(restored),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The values that the chart was installed with, as JSON.
    pub(crate) async fn values(&self) -> Result<Value, Failure> {
        let (text, _) = helm(&["get", "values", "steelyard", "-n", NAMESPACE, "-o", "json"]).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Installs or upgrades the chart with exactly these values, and waits until it runs.
    pub(crate) async fn reset(&self, values: &Value) -> Result<(), Failure> {
        let file = std::env::temp_dir().join(format!("steelyard-values-{}.json", std::process::id()));
        std::fs::write(&file, values.to_string())?;
        let done = self.upgrade(&["--reset-values", "-f", &file.display().to_string()]).await;
        std::fs::remove_file(&file)?;
        done
    }

    /// Runs `helm upgrade --install`, and waits until only the pods of the new revision exist.
    pub(crate) async fn upgrade(&self, args: &[&str]) -> Result<(), Failure> {
        let chart = chart().display().to_string();
        let base = ["upgrade", "--install", "steelyard", &chart, "-n", NAMESPACE, "--create-namespace"];
        helm(&[&base[..], args].concat()).await?;
        let what = "the chart's Deployment available, with no old pod left";
        Ok(self
            .space
            .until("steelyard", what, UPGRADE, |deployment: &Deployment| available(deployment).then_some(()))
            .await?)
    }

    /// The process that holds the lease.
    pub(crate) async fn leader(&self) -> Result<Leader, Failure> {
        self.leads("a leader", LEADER, |_| true).await
    }

    /// Waits until a process leads for which `fits` returns true.
    pub(crate) async fn leads(
        &self,
        what: &str,
        limit: Duration,
        fits: impl Fn(&Leader) -> bool,
    ) -> Result<Leader, Failure> {
        let found = self
            .space
            .until("steelyard", what, limit, |lease: &Lease| holder(lease).filter(|leader| fits(leader)))
            .await?;
        Ok(found)
    }

    /// Waits until a process other than this one leads.
    pub(crate) async fn after(&self, leader: &Leader) -> Result<Leader, Failure> {
        let what = format!("another leader than {}", leader.identity);
        self.leads(&what, LEADER, |other| other.identity != leader.identity).await
    }

    /// Kills a pod's process (SIGKILL). The node agent restarts it: at once the first time, then
    /// with increasing delays.
    pub(crate) async fn kill(&self, pod: &str) -> Result<Timestamp, Failure> {
        self.space.fault(Fault::Kill, pod).await?;
        Ok(Timestamp::now())
    }

    /// Kills a pod's process and deletes the pod, so that another pod with another identity
    /// replaces it.
    pub(crate) async fn kill_for_good(&self, pod: &str) -> Result<Timestamp, Failure> {
        let killed = self.kill(pod).await?;
        let now = DeleteParams::default().grace_period(0);
        self.space.api::<Pod>().delete(pod, &now).await?;
        Ok(killed)
    }

    /// Waits until this many of Steelyard's pods are ready and none is terminating. Returns their
    /// names.
    pub(crate) async fn pods(&self, count: usize) -> Result<Vec<String>, Failure> {
        let which = kube::runtime::watcher::Config::default().labels("app.kubernetes.io/name=steelyard");
        let what = format!("{count} ready pods of Steelyard");
        let pods = self
            .space
            .until_all(which, &what, LEADER, |pods: &std::collections::BTreeMap<String, Pod>| {
                let fit = |pod: &Pod| holds(pod, "Ready") && pod.metadata.deletion_timestamp.is_none();
                (pods.len() == count && pods.values().all(fit)).then(|| pods.keys().cloned().collect())
            })
            .await?;
        Ok(pods)
    }
}

fn holder(lease: &Lease) -> Option<Leader> {
    let identity = lease.spec.as_ref()?.holder_identity.clone()?;
    let (pod, _) = identity.rsplit_once('_')?;
    Some(Leader { pod: pod.to_owned(), identity })
}

/// The chart in this repository.
pub(crate) fn chart() -> PathBuf {
    lab::paths::repository().join("charts/steelyard")
}

/// Runs Helm. Returns its standard output and standard error.
pub(crate) async fn helm(args: &[&str]) -> Result<(String, String), Failure> {
    let output = Command::new("helm").args(args).kill_on_drop(true).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok((text(&output.stdout), text(&output.stderr)));
    }
    Err(format!("helm {}: {}{}", args.join(" "), text(&output.stdout), text(&output.stderr)).into())
}
