//! `steelyard controller`: runs the controller until a signal or the loss of the lease.

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
        cache::Caches,
        client,
        concurrency::Concurrency,
        context::{Context, Mode},
        events::EventRecorder,
        lease::{self, Election, Fence},
        raw::Caller,
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
    /// Path of the configuration file; default: the default values
    #[arg(long)]
    config: Option<PathBuf>,
    /// Address that serves /metrics, /healthz and /readyz
    #[arg(long, default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    #[command(flatten)]
    lease: LeaseOptions,
    /// Format of the log
    #[arg(long, env = "STEELYARD_LOG_FORMAT", value_enum, default_value_t)]
    log_format: logs::Format,
}

/// The flags of leader election.
#[derive(Debug, Args)]
pub(super) struct LeaseOptions {
    /// Duration of the lease without renewal, in seconds
    #[arg(long, env = "STEELYARD_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..=300))]
    lease_seconds: u64,
    /// Interval between renewals of the lease, in seconds; at most a third of its duration
    #[arg(long, env = "STEELYARD_RENEW_SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    renew_seconds: u64,
    /// Namespace of the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Name of this pod, used as the identity in the lease
    #[arg(long, env = "POD_NAME")]
    pod: Option<String>,
}

impl LeaseOptions {
    /// Checks the durations and returns the options of the lease.
    pub(super) fn checked(self) -> Result<lease::Options, Failure> {
        let Self { lease_seconds, renew_seconds, namespace, pod } = self;
        if renew_seconds * 3 > lease_seconds {
            return Err(Stopped::Lease { lease: lease_seconds, renew: renew_seconds }.into());
        }
        let instant = jiff::Timestamp::now().as_nanosecond();
        // Without the name of the pod, an earlier process of the same pod can't be recognized.
        let pod = pod.unwrap_or_else(|| format!("process-{}-{instant}", std::process::id()));
        Ok(lease::Options {
            namespace,
            identity: format!("{pod}_{instant:x}"),
            lasts: Duration::from_secs(lease_seconds),
            renew: Duration::from_secs(renew_seconds),
        })
    }
}

/// Why the controller stopped.
#[derive(Debug, Error)]
enum Stopped {
    #[error("the lease was lost")]
    LeaseLost,
    #[error(
        "--renew-seconds is {renew}, more than a third of --lease-seconds, which is {lease}: lower --renew-seconds"
    )]
    Lease { lease: u64, renew: u64 },
    #[error("the metrics server stopped")]
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
    tracing::info!(%bind, version = env!("CARGO_PKG_VERSION"), "starting steelyard");
    let page = tokio::spawn(http::serve(listener, Arc::clone(&metrics), ready.clone()));

    let identity = lease.identity.clone();
    let pod = identity.rsplit_once('_').map_or(identity.clone(), |(pod, _)| pod.to_owned());
    let fence = Fence::default();
    let margin = lease.margin();
    let mut election = Election::new(for_lease, lease, fence.clone());
    let stopped = on_signal()?;

    for_work.apiserver_version().await?;
    ready.set();
    tracing::info!(%identity, "waiting for the lease");
    tokio::select! {
        () = election.acquire() => {}
        () = stop(stopped.clone()) => return Ok(()),
    }
    metrics.leads(fence.epoch());
    tracing::info!(epoch = fence.epoch(), "acquired the lease");

    let (sender, receiver) = mpsc::unbounded_channel();
    let context = Arc::new(Context {
        caller: Caller::new(for_work.clone(), margin),
        caches: Caches::new(for_work.clone(), sender.clone()),
        fence,
        metrics: Arc::clone(&metrics),
        events: EventRecorder::new(for_work.clone(), &pod),
        sources,
        webhooks,
        drain: settings.drain(),
        router: settings.router()?,
        concurrency: Concurrency::new(settings.concurrency.limits()),
        hold_probe: crate::cluster::hold_probe::HoldProbe::default(),
        policies: std::sync::Mutex::default(),
        answers: crate::cluster::answers::Answers::default(),
        wakes: sender.clone(),
        mode: Mode::Manage,
    });
    let events = context.events.clone();
    let work = watch::run(context, for_work, (sender, receiver), stop(stopped));
    let result = tokio::select! {
        () = work => Ok(()),
        () = election.keep() => Err(Stopped::LeaseLost.into()),
        served = page => match served {
            Ok(Err(error)) => Err(Stopped::Page(error).into()),
            _ => Err(Stopped::Page(std::io::Error::other("the server stopped")).into()),
        },
    };
    metrics.stands();
    if result.is_ok() {
        events.flush().await;
        election.release().await;
        tracing::info!("stopped");
    }
    result
}

/// Reads the configuration file; returns the default values without a file.
pub(super) fn read(path: Option<PathBuf>) -> Result<config::Config, config::ConfigError> {
    let Some(path) = path else { return Ok(config::Config::default()) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| config::ConfigError::Read { path: name.clone(), source })?;
    config::parse(&name, &text)
}

/// Returns a channel that becomes true at SIGTERM or SIGINT.
pub(super) fn on_signal() -> std::io::Result<channel::Receiver<bool>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = channel::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("received a signal to stop");
        let _ = sender.send(true);
    });
    Ok(receiver)
}

/// Waits for the signal to stop.
pub(super) async fn stop(mut stopped: channel::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
