//! `steelyard drain`: leaves every Deployment as if its annotation had been taken off, before Steelyard is uninstalled.
//!
//! The controller's own Deployment is scaled to nothing first, so that the lease comes free and nobody takes up again
//! what was just left. Then this process leads, and makes the passes that the controller would make if no Deployment
//! had the annotation: traffic back to stable, Services and routes as they were, the Rollout gone. The annotations
//! stay, so that a later installation adopts the same Deployments again.

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
        Key, client,
        events::Teller,
        gate::Gate,
        lease::{Election, Fence},
        mailbox::Mailbox,
        pass::{Context, Manner},
        raw::{Caller, MANAGER},
        slots::Slots,
        watch,
    },
    sources::{Sources, webhook::Webhooks},
    telemetry::{logs, metrics::Metrics},
};

/// The drain's flags.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file; without it all values are the default ones.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The controller's Deployment in the lease's namespace, scaled to nothing first. Without it nothing is scaled.
    #[arg(long)]
    controller: Option<String>,
    /// What the controller is scaled to should this fail; without it to what it was.
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..))]
    replicas: Option<i32>,
    /// How long it may take, in seconds.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline_seconds: u64,
    #[command(flatten)]
    lease: LeaseOptions,
    /// How log lines look.
    #[arg(long, env = "STEELYARD_LOG_FORMAT", value_enum, default_value_t)]
    log_format: logs::Format,
}

/// Why not everything was left.
#[derive(Debug, Error)]
enum Unfinished {
    #[error("the lease was not to be had within {0:?}: does another controller run?")]
    NoLease(Duration),
    #[error("the lease was lost")]
    LeaseLost,
    #[error("asked to end before all was left")]
    Asked,
    #[error(
        "not left in time:\n{0}\nto uninstall all the same: helm uninstall --no-hooks, then `kubectl rollout resume` what is paused"
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
        // Nobody takes care of what is still in flight but the controller. An earlier try may have left it at nothing.
        let replicas = replicas.unwrap_or(before);
        scale(&own, name, replicas).await?;
        say(format_args!("Deployment {name} is scaled to {replicas} again"));
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
        won = timeout_at(deadline, election.win()) => won.map_err(|_| Unfinished::NoLease(limit))?,
        () = stop(stopped.clone()) => return Err(Unfinished::Asked.into()),
    }
    let all = Api::<Rollout>::all(for_work.clone());
    let found: BTreeMap<Key, Rollout> =
        all.list(&ListParams::default()).await?.into_iter().map(|r| (key(&r), r)).collect();
    say(format_args!(
        "{} Rollouts, {} of them in flight",
        found.len(),
        found.values().filter(|r| in_flight(r)).count()
    ));

    let (sender, receiver) = mpsc::unbounded_channel();
    let context = Arc::new(Context {
        caller: Caller::new(for_work.clone(), margin),
        fence,
        metrics: Arc::new(Metrics::default()),
        teller: Teller::new(for_work.clone(), &pod),
        sources: Sources::default(),
        webhooks: Webhooks::default(),
        drain: pause,
        router: None,
        gate: Gate::default(),
        mail: Mailbox::default(),
        wakes: sender.clone(),
        slots: Slots::default(),
        manner: Manner::Leave,
    });
    let (tell, told) = oneshot::channel();
    let teller = context.teller.clone();
    let watched = all.clone();
    let gone = async move {
        let left = timeout_at(deadline, none_left(watched)).await;
        let _ = tell.send(left.is_ok());
    };
    tokio::select! {
        () = watch::run(context, for_work.clone(), (sender, receiver), gone) => {}
        () = election.keep() => return Err(Unfinished::LeaseLost.into()),
        () = stop(stopped) => return Err(Unfinished::Asked.into()),
    }
    teller.told().await;
    election.release().await;
    if !told.await.unwrap_or(false) {
        let left = all.list(&ListParams::default()).await?;
        let lines: Vec<String> = left.iter().map(waits).collect();
        return Err(Unfinished::Late(lines.join("\n")).into());
    }
    for (key, rollout) in &found {
        say(format_args!("{key}: {}", left(&for_work, key, rollout).await));
    }
    say(
        "all of it is left: Services and routes are as they were, and annotations stay for a later installation",
    );
    Ok(())
}

/// What becomes of a Deployment is told where the Job's log, or a terminal, shows it.
fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Sets the controller's replicas; gives what they were, or nothing where there is no such Deployment.
async fn scale(own: &Api<Deployment>, name: &str, replicas: i32) -> Result<Option<i32>, kube::Error> {
    let Some(before) = own.get_opt(name).await? else { return Ok(None) };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    own.patch(name, &params, &patch).await?;
    Ok(before.spec.and_then(|spec| spec.replicas).or(Some(1)))
}

/// Ends once there is no Rollout any more.
async fn none_left(all: Api<Rollout>) {
    let mut there = BTreeSet::new();
    let mut events = watcher(all, watcher::Config::default()).default_backoff().boxed();
    loop {
        match events.try_next().await {
            // Until the list is complete it says nothing.
            Ok(Some(watcher::Event::Init)) => {
                there.clear();
                continue;
            }
            Ok(Some(watcher::Event::InitApply(rollout) | watcher::Event::Apply(rollout))) => {
                there.insert(key(&rollout));
                continue;
            }
            Ok(Some(watcher::Event::Delete(rollout))) => {
                there.remove(&key(&rollout));
            }
            Ok(Some(watcher::Event::InitDone)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the watch broke, it is begun again");
                continue;
            }
        }
        if there.is_empty() {
            return;
        }
    }
}

fn key(rollout: &Rollout) -> Key {
    let meta = &rollout.metadata;
    Key { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

fn in_flight(rollout: &Rollout) -> bool {
    rollout.status.as_ref().is_some_and(|status| status.trial.is_some())
}

/// What a Rollout that is still there waits for.
fn waits(rollout: &Rollout) -> String {
    let status = rollout.status.clone().unwrap_or_default();
    let waiting = status.waiting.map_or_else(String::new, |w| format!(", waiting: {}", w.message));
    format!("{}: {}{waiting}", key(rollout), status.phase)
}

/// What became of a Deployment, in a line.
async fn left(client: &Client, key: &Key, before: &Rollout) -> String {
    let status = before.status.clone().unwrap_or_default();
    let was = match (status.phase, status.weight) {
        (Phase::Stable, _) => "was stable".to_owned(),
        (Phase::RolledBack, _) => "had been rolled back".to_owned(),
        (phase, Some(weight)) => format!("was {phase} at {weight} %"),
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
                    "{was}: {stable} serves all traffic; the newer template stays paused, and `kubectl -n {} rollout resume deployment/{}` rolls it natively",
                    key.namespace, key.name
                )
            } else {
                format!("{was}: it serves as a plain Deployment")
            }
        }
        Ok(None) => format!("{was}: the Deployment is gone"),
        Err(error) => format!("{was}: what it is now can't be read: {error}"),
    }
}
