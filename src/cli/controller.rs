//! `steelyard controller`: wires the parts together and runs them until a signal or the loss of the lease.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use thiserror::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch as channel},
};

use super::config;
use crate::{
    cluster::{
        client,
        events::Teller,
        lease::{self, Election, Fence},
        pass::{Context, Manner},
        raw::Caller,
        slots::Slots,
        watch,
    },
    sources::{Sources, webhook::Webhooks},
    telemetry::{
        http::{self, Ready},
        logs,
        metrics::Metrics,
    },
};

/// The controller's flags.
#[derive(Debug, Args)]
pub struct Options {
    /// The configuration file; without it all values are the default ones.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    #[command(flatten)]
    lease: LeaseOptions,
    /// How log lines look.
    #[arg(long, env = "STEELYARD_LOG_FORMAT", value_enum, default_value_t)]
    log_format: logs::Format,
}

/// The flags of whoever takes part in the election.
#[derive(Debug, Args)]
pub(super) struct LeaseOptions {
    /// How long a lease lasts that isn't renewed, in seconds.
    #[arg(long, env = "STEELYARD_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..=300))]
    lease_seconds: u64,
    /// How often the lease is renewed, in seconds.
    #[arg(long, env = "STEELYARD_RENEW_SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    renew_seconds: u64,
    /// The namespace of the lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
    /// The name of this process among its kind.
    #[arg(long, env = "POD_NAME")]
    pod: Option<String>,
}

impl LeaseOptions {
    /// How the lease is kept, if it can be kept so.
    pub(super) fn checked(self) -> Result<lease::Options, Failure> {
        let Self { lease_seconds, renew_seconds, namespace, pod } = self;
        if renew_seconds * 3 > lease_seconds {
            return Err(Ended::Lease { lease: lease_seconds, renew: renew_seconds }.into());
        }
        let instant = jiff::Timestamp::now().as_nanosecond();
        // Without a pod's name no other process can be known to be a predecessor.
        let pod = pod.unwrap_or_else(|| format!("process-{}-{instant}", std::process::id()));
        Ok(lease::Options {
            namespace,
            identity: format!("{pod}_{instant:x}"),
            lasts: Duration::from_secs(lease_seconds),
            renew: Duration::from_secs(renew_seconds),
        })
    }
}

/// Why the controller ended.
#[derive(Debug, Error)]
enum Ended {
    #[error("the lease was lost")]
    LeaseLost,
    #[error("a lease of {lease} s can't be kept by renewals every {renew} s: renew within a third of it")]
    Lease { lease: u64, renew: u64 },
    #[error("the page of metrics is no longer served")]
    Page(#[source] std::io::Error),
}

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    logs::start(options.log_format);
    let Options { config, bind, lease, .. } = options;
    let lease = lease.checked()?;
    let settings = read(config)?;
    let sources = Sources::new(&settings.prometheus.sources)?;
    let webhooks = Webhooks::new(&settings.webhooks)?;
    let cluster = client::config().await?;
    let (for_lease, for_work) = (client::client(&cluster)?, client::client(&cluster)?);
    let metrics = Arc::new(Metrics::default());
    let ready = Ready::default();
    let listener = http::bind(bind).await?;
    tracing::info!(%bind, version = env!("CARGO_PKG_VERSION"), "steelyard starts");
    let page = tokio::spawn(http::serve(listener, Arc::clone(&metrics), ready.clone()));

    let identity = lease.identity.clone();
    let pod = identity.rsplit_once('_').map_or(identity.clone(), |(pod, _)| pod.to_owned());
    let fence = Fence::default();
    let margin = lease.margin();
    let mut election = Election::new(for_lease, lease, fence.clone());
    let stopped = on_signal()?;

    for_work.apiserver_version().await?;
    ready.set();
    tracing::info!(%identity, "waits for the lease");
    tokio::select! {
        () = election.win() => {}
        () = stop(stopped.clone()) => return Ok(()),
    }
    metrics.leads(fence.epoch());
    tracing::info!(epoch = fence.epoch(), "leads");

    let (sender, receiver) = mpsc::unbounded_channel();
    let context = Arc::new(Context {
        caller: Caller::new(for_work.clone(), margin),
        fence,
        metrics: Arc::clone(&metrics),
        teller: Teller::new(for_work.clone(), &pod),
        sources,
        webhooks,
        drain: settings.drain(),
        router: settings.router(),
        slots: Slots::new(settings.concurrency.limits()),
        gate: crate::cluster::gate::Gate::default(),
        mail: crate::cluster::mailbox::Mailbox::default(),
        wakes: sender.clone(),
        manner: Manner::Manage,
    });
    let teller = context.teller.clone();
    let work = watch::run(context, for_work, (sender, receiver), stop(stopped));
    let result = tokio::select! {
        () = work => Ok(()),
        () = election.keep() => Err(Ended::LeaseLost.into()),
        served = page => match served {
            Ok(Err(error)) => Err(Ended::Page(error).into()),
            _ => Err(Ended::Page(std::io::Error::other("the server ended")).into()),
        },
    };
    metrics.stands();
    if result.is_ok() {
        teller.told().await;
        election.release().await;
        tracing::info!("ended");
    }
    result
}

/// The operator's configuration; all defaults without a file.
pub(super) fn read(path: Option<PathBuf>) -> Result<config::Config, config::ConfigError> {
    let Some(path) = path else { return Ok(config::Config::default()) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| config::ConfigError::Read { path: name.clone(), source })?;
    config::parse(&name, &text)
}

/// Becomes true at SIGTERM or an interrupt.
pub(super) fn on_signal() -> std::io::Result<channel::Receiver<bool>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = channel::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("asked to end");
        let _ = sender.send(true);
    });
    Ok(receiver)
}

pub(super) async fn stop(mut stopped: channel::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
