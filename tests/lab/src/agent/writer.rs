//! Writes a pod's status in the background: always the newest, one write at a time.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::ResourceExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::{Written, write_status};
use super::host::{Host, pause};

/// How long the end of a pod waits for the write of its last status.
const LAST: Duration = Duration::from_secs(5);

/// Writes the status of one pod.
pub(crate) struct Writer {
    newest: watch::Sender<Option<PodStatus>>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the background task with nothing to write.
    pub(crate) fn start(host: Arc<Host>, pod: Arc<Pod>) -> Self {
        let (newest, wanted) = watch::channel(None);
        let task = tokio::spawn(write(host, pod, wanted));
        Self { newest, task }
    }

    /// Queues `status` for writing, unless a newer one follows.
    pub(crate) fn set(&self, status: &PodStatus) {
        self.newest.send_if_modified(|newest| {
            let new = newest.as_ref() != Some(status);
            if new {
                *newest = Some(status.clone());
            }
            new
        });
    }

    /// Queues the newest status for writing again, because another client changed it.
    pub(crate) fn again(&self) {
        self.newest.send_modify(|_| {});
    }

    /// Waits until the last status is written, for at most [`LAST`].
    pub(crate) async fn finish(self) {
        drop(self.newest);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST, self.task).await.is_err() {
            abort.abort();
        }
    }
}

async fn write(host: Arc<Host>, pod: Arc<Pod>, mut wanted: watch::Receiver<Option<PodStatus>>) {
    while wanted.changed().await.is_ok() {
        for n in 1.. {
            host.linked().await;
            let Some(status) = wanted.borrow_and_update().clone() else { break };
            match write_status(&host.client, &pod, &status).await {
                Ok(Written::Done) => break,
                Ok(Written::Gone) => return,
                Err(error) => tracing::warn!(pod = pod.name_any(), %error, "could not write a pod's status"),
            }
            tokio::time::sleep(pause(n)).await;
        }
    }
}
