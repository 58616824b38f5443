//! `steelyard drain`: releases every Deployment as if its annotation were removed, before Steelyard
//! is uninstalled.
//!
//! First the Deployment of the controller is scaled to 0, so that the lease becomes free and no
//! controller adopts a released Deployment again. Then this process acquires the lease and runs the
//! reconciles that the controller would run if no Deployment had the annotation: traffic returns to
//! stable, Services and routes are restored, the Rollout is deleted. The annotations stay, so that
//! a later installation adopts the same Deployments again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::controller::{Failure, LeaseOptions, on_signal, read, stop};
use crate::{
    api::{Phase, Rollout},
    cluster::{
        ObjectKey,
        answers::Answers,
        cache::Caches,
        client,
        concurrency::Concurrency,
        context::{Context, Mode},
        events::EventRecorder,
        hold_probe::HoldProbe,
        lease::{Election, Fence},
        raw::Caller,
        watch,
    },
    sources::{Sources, webhook::Webhooks},
    telemetry::{logs, metrics::Metrics},
};

/// The flags of `drain`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Path of the configuration file; default: the default values
    #[arg(long)]
    config: Option<PathBuf>,
    /// Deployment of the controller in the namespace of the lease, scaled to 0 first; default:
    /// nothing is scaled
    #[arg(long)]
    controller: Option<String>,
    /// Replicas of the controller after a failed drain; default: the previous number
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    replicas: Option<i32>,
    /// Maximum duration, in seconds
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline_seconds: u64,
    #[command(flatten)]
    lease: LeaseOptions,
    /// Format of the log
    #[arg(long, env = "STEELYARD_LOG_FORMAT", value_enum, default_value_t)]
    log_format: logs::Format,
}

/// Why the drain is incomplete.
#[derive(Debug, Error)]
enum Unfinished {
    #[error("the lease was not acquired within {0:?}: check whether another controller runs")]
    NoLease(Duration),
    #[error("the lease was lost")]
    LeaseLost,
    #[error("received a signal to stop before all Deployments were released")]
    Asked,
    #[error(
        "not released in time:\n{0}\nto uninstall anyway, run `helm uninstall --no-hooks`, then `kubectl rollout resume` for each paused Deployment"
    )]
    Late(String),
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    logs::start(options.log_format);
    let Options { config, controller, replicas, deadline_seconds, lease, .. } = options;
    let lease = lease.checked()?;
    let limit = Duration::from_secs(deadline_seconds);
    let deadline = Instant::now() + limit;
    let settings = read(config)?;
    let cluster = client::config().await?;
    let (for_lease, for_work) = (client::client(&cluster)?, client::client(&cluster)?);
    let own = Api::<Deployment>::namespaced(for_work.clone(), &lease.namespace);
    let before = match &controller {
        Some(name) => scale(&own, name, 0).await?,
        None => None,
    };
    let done = drain(settings.drain(), lease, (for_lease, for_work), deadline, limit).await;
    if let (Err(_), Some(name), Some(before)) = (&done, &controller, before) {
        // Only the controller continues the remaining rollouts. An earlier drain may have left it
        // at 0 replicas.
        let replicas = replicas.unwrap_or(before);
        scale(&own, name, replicas).await?;
        say(format_args!("scaled Deployment {name} back to {replicas}"));
    }
    done
}

async fn drain(
    pause: jiff::SignedDuration,
    lease: crate::cluster::lease::Options,
    (for_lease, for_work): (Client, Client),
    deadline: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    let fence = Fence::default();
    let (margin, pod) = (lease.margin(), lease.identity.clone());
    let mut election = Election::new(for_lease, lease, fence.clone());
    let stopped = on_signal()?;
    tokio::select! {
        won = timeout_at(deadline, election.acquire()) => won.map_err(|_| Unfinished::NoLease(limit))?,
        () = stop(stopped.clone()) => return Err(Unfinished::Asked.into()),
    }
    let all = Api::<Rollout>::all(for_work.clone());
    let found: BTreeMap<ObjectKey, Rollout> =
        all.list(&ListParams::default()).await?.into_iter().map(|r| (key(&r), r)).collect();
    say(format_args!(
        "found {} Rollouts, {} in progress",
        found.len(),
        found.values().filter(|r| in_progress(r)).count()
    ));

    let (sender, receiver) = mpsc::unbounded_channel();
    let context = Arc::new(Context {
        caller: Caller::new(for_work.clone(), margin),
        caches: Caches::new(for_work.clone(), sender.clone()),
        fence,
        metrics: Arc::new(Metrics::default()),
        events: EventRecorder::new(for_work.clone(), &pod),
        sources: Sources::default(),
        webhooks: Webhooks::default(),
        drain: pause,
        router: None,
        hold_probe: HoldProbe::default(),
        policies: std::sync::Mutex::default(),
        answers: Answers::default(),
        wakes: sender.clone(),
        concurrency: Concurrency::default(),
        mode: Mode::Unmanage,
    });
    let (sent, all_gone) = oneshot::channel();
    let events = context.events.clone();
    let watched = all.clone();
    let gone = async move {
        let left = timeout_at(deadline, none_left(watched)).await;
        let _ = sent.send(left.is_ok());
    };
    tokio::select! {
        () = watch::run(context, for_work.clone(), (sender, receiver), gone) => {}
        () = election.keep() => return Err(Unfinished::LeaseLost.into()),
        () = stop(stopped) => return Err(Unfinished::Asked.into()),
    }
    events.flush().await;
    election.release().await;
    if !all_gone.await.unwrap_or(false) {
        let left = all.list(&ListParams::default()).await?;
        let lines: Vec<String> = left.iter().map(waits).collect();
        return Err(Unfinished::Late(lines.join("\n")).into());
    }
    for (key, rollout) in &found {
        say(format_args!("{key}: {}", left(&for_work, key, rollout).await));
    }
    say(
        "released all Deployments: Services and routes are restored, annotations stay for a later installation",
    );
    Ok(())
}

/// Prints to standard output, which the log of the Job or a terminal shows.
fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Scales the controller. Returns the previous replicas, or `None` if there is no such Deployment.
async fn scale(own: &Api<Deployment>, name: &str, replicas: i32) -> Result<Option<i32>, kube::Error> {
    let Some(before) = own.get_opt(name).await? else { return Ok(None) };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let params = PatchParams { field_manager: Some(client::MANAGER.to_owned()), ..PatchParams::default() };
    own.patch(name, &params, &patch).await?;
    Ok(before.spec.and_then(|spec| spec.replicas).or(Some(1)))
}

/// Waits until there is no Rollout.
async fn none_left(all: Api<Rollout>) {
    let mut remaining = BTreeSet::new();
    let mut events = watcher(all, watcher::Config::default()).default_backoff().boxed();
    loop {
        match events.try_next().await {
            // An incomplete list proves nothing.
            Ok(Some(watcher::Event::Init)) => {
                remaining.clear();
                continue;
            }
            Ok(Some(watcher::Event::InitApply(rollout) | watcher::Event::Apply(rollout))) => {
                remaining.insert(key(&rollout));
                continue;
            }
            Ok(Some(watcher::Event::Delete(rollout))) => {
                remaining.remove(&key(&rollout));
            }
            Ok(Some(watcher::Event::InitDone)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the watch failed and restarts");
                continue;
            }
        }
        if remaining.is_empty() {
            return;
        }
    }
}

fn key(rollout: &Rollout) -> ObjectKey {
    let meta = &rollout.metadata;
    ObjectKey {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

fn in_progress(rollout: &Rollout) -> bool {
    rollout.status.as_ref().is_some_and(|status| status.trial.is_some())
}

/// Returns what a remaining Rollout waits for.
fn waits(rollout: &Rollout) -> String {
    let status = rollout.status.clone().unwrap_or_default();
    let waiting = status.waiting.map_or_else(String::new, |w| format!(", waiting: {}", w.message));
    format!("{}: {}{waiting}", key(rollout), status.phase)
}

/// Returns the state of a released Deployment in one line.
async fn left(client: &Client, key: &ObjectKey, before: &Rollout) -> String {
    let status = before.status.clone().unwrap_or_default();
    let was = match (status.phase, status.weight) {
        (Phase::Stable, _) => "was stable".to_owned(),
        (Phase::RolledBack, _) => "had been rolled back".to_owned(),
        (phase, Some(weight)) => format!("was {phase} at {weight}"),
        (phase, None) => format!("was {phase}"),
    };
    let api = Api::<Deployment>::namespaced(client.clone(), &key.namespace);
    let tag = |version: Option<crate::api::Version>| version.map_or_else(|| "stable".to_owned(), |v| v.tag);
    match api.get_opt(&key.name).await {
        Ok(Some(deployment)) => {
            let spec: Value = serde_json::to_value(&deployment.spec).unwrap_or_default();
            if spec["paused"] == json!(true) {
                let stable = tag(status.stable);
                format!(
                    "{was}: {stable} serves all traffic; the newer template stays paused, and `kubectl -n {} rollout resume deployment/{}` rolls it out natively",
                    key.namespace, key.name
                )
            } else {
                format!("{was}: it serves as a plain Deployment")
            }
        }
        Ok(None) => format!("{was}: the Deployment was deleted"),
        Err(error) => format!("{was}: can't read the Deployment: {error}"),
    }
}
