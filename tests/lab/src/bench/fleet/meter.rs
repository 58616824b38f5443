//! Measures one phase of the benchmark.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use super::Error;
use super::audit::{AuditLog, Requests};
use super::process::{Process, Usage};
use crate::components::Part;
use crate::steelyard::NAMESPACE;
use crate::support::{Space, SupportError};

/// How long Steelyard must send no request until a phase counts as over.
const QUIET: Duration = Duration::from_secs(5);
/// The interval at which the audit log is read.
const PACE: Duration = Duration::from_millis(250);

/// What a phase cost.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct Cost {
    /// How long it took, in seconds.
    pub(super) seconds: f64,
    /// The requests of Steelyard.
    pub(super) requests: Requests,
    /// The processor time of Steelyard, in seconds.
    pub(super) cpu: f64,
    /// The processor time of the API server, in seconds.
    pub(super) api_server_cpu: f64,
    /// The resident memory of Steelyard at the end, in MiB.
    pub(super) memory: f64,
    /// The most resident memory of Steelyard meanwhile, in MiB.
    pub(super) peak: f64,
}

/// A phase in progress.
pub(super) struct Meter {
    space: Space,
    lab: PathBuf,
    log: AuditLog,
    began: Instant,
    controller: (Process, Usage),
    api_server: Usage,
}

impl Meter {
    /// Begins a phase.
    pub(super) async fn begin(space: &Space, lab: &Path) -> Result<Self, Error> {
        let controller = leader(space).await?;
        controller.forget_peak()?;
        Ok(Self {
            space: space.clone(),
            lab: lab.to_owned(),
            log: AuditLog::open(&lab.join("audit.log"))?,
            began: Instant::now(),
            controller: (controller, controller.usage()?),
            api_server: Process::of_part(Part::KubeApiserver, lab)?.usage()?,
        })
    }

    /// Ends the phase now.
    pub(super) async fn end(self) -> Result<Cost, Error> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.cost(seconds, Requests::default()).await
    }

    /// Ends the phase when Steelyard has sent no request for [`QUIET`], which does not count
    /// toward its duration.
    pub(super) async fn end_when_quiet(mut self) -> Result<Cost, Error> {
        let (mut counted, mut last) = (Requests::default(), Instant::now());
        while last.elapsed() < QUIET {
            // The audit log is a file of another program: there is no event to wait for.
            tokio::time::sleep(PACE).await;
            let requests = self.log.read()?;
            if requests.total() > 0 {
                last = Instant::now();
                counted.add(requests);
            }
        }
        let seconds = last.duration_since(self.began).as_secs_f64();
        self.cost(seconds, counted).await
    }

    async fn cost(mut self, seconds: f64, mut requests: Requests) -> Result<Cost, Error> {
        requests.add(self.log.read()?);
        let now = leader(&self.space).await?;
        let usage = now.usage()?;
        // The processor time of a new process counts from its start.
        let (before, used) = self.controller;
        let cpu = if before == now { usage.cpu - used.cpu } else { usage.cpu };
        let api_server = Process::of_part(Part::KubeApiserver, &self.lab)?.usage()?;
        let api_server_cpu = api_server.cpu - self.api_server.cpu;
        Ok(Cost { seconds, requests, cpu, api_server_cpu, memory: usage.memory, peak: usage.peak })
    }
}

/// Returns the process that holds Steelyard's lease.
async fn leader(space: &Space) -> Result<Process, Error> {
    let leases = Api::<Lease>::namespaced(space.client(), NAMESPACE);
    let lease = leases.get("steelyard").await;
    let lease = lease.map_err(|source| SupportError::Api { what: "read the lease".to_owned(), source })?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    let (pod, _) = holder.rsplit_once('_').ok_or_else(|| Error::Process("Steelyard".to_owned()))?;
    Process::of_pod(pod)
}
