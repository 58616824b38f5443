//! `kubectl steelyard`: shows rollouts and controls them. The plugin only reads objects and patches
//! the `spec` of Rollouts, with the permissions of the user's kubeconfig.

pub mod args;
mod completion;
mod connect;
mod explain;
mod fleet;
mod follow;
mod progress;
mod read;
mod screen;
mod steer;
mod tables;
mod text;
mod tree;
mod wait;

#[cfg(test)]
mod tests;

use std::{io::Write as _, process::ExitCode, time::Duration};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    api::Rollout,
    view::{Facts, View},
};
use args::{Cli, Command, Format};
use connect::{Cluster, connect};
use follow::{Watched, follow};
use read::{call, rollouts};
use screen::Screen;
use steer::{Change, Intent, steer};

/// The field manager of writes.
const MANAGER: &str = "kubectl-steelyard";
/// How often a terminal is redrawn to update ages.
const TICK: Duration = Duration::from_secs(1);

/// The exit codes of all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Success; for `wait`: complete.
    Done = 0,
    /// Refused, or failed; for `wait`: rolled back.
    Refused = 1,
    /// The timeout is exceeded.
    Timeout = 2,
    /// Invalid arguments, no such object, or no cluster.
    Usage = 3,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum PluginError {
    /// The kubeconfig is invalid.
    #[error("can't use the kubeconfig")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    /// There is neither a kubeconfig nor a service account.
    #[error("can't find a cluster")]
    NoCluster(#[source] Box<kube::config::InferConfigError>),
    /// The credentials or certificates are invalid.
    #[error("can't create a client")]
    Client(#[source] Box<kube::Error>),
    /// The API server refused the request, or the connection failed.
    #[error("can't {verb} {object}")]
    Call {
        /// The verb of the request.
        verb: &'static str,
        /// The object of the request.
        object: String,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("can't {verb} {object}: no answer within {limit:?}")]
    Timeout {
        /// The verb of the request.
        verb: &'static str,
        /// The object of the request.
        object: String,
        /// The timeout.
        limit: Duration,
    },
    /// The cluster does not serve the kind Rollout.
    #[error("this cluster does not serve the kind Rollout of steelyard.io: install Steelyard")]
    NotInstalled,
    /// The object does not exist, is not managed, or an argument is missing.
    #[error("{0}")]
    Nothing(String),
    /// The command is not possible in the current state.
    #[error("{0}")]
    Refused(String),
    /// The output can't be written.
    #[error("can't write the output")]
    Print(#[from] std::io::Error),
    /// The output can't be serialized.
    #[error("can't serialize {0}")]
    Serialize(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PluginError {
    fn code(&self) -> Code {
        match self {
            Self::Refused(_) | Self::Print(_) | Self::Serialize(..) | Self::Call { verb: "patch", .. } => {
                Code::Refused
            }
            _ => Code::Usage,
        }
    }
}

/// Runs the command.
pub async fn run(cli: Cli) -> Code {
    match execute(cli).await {
        Ok(code) => code,
        // The reader closed the pipe: `kubectl steelyard list | head -1`.
        Err(PluginError::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Code::Done,
        Err(error) => {
            eprintln!("error: {}", crate::cluster::chain(&error));
            error.code()
        }
    }
}

async fn execute(cli: Cli) -> Result<Code, PluginError> {
    let Cli { connection, command } = cli;
    if let Command::Completion { shell } = command {
        print(&completion::script(shell))?;
        return Ok(Code::Done);
    }
    if let Command::Complete { words } = command {
        completion::complete(&words).await?;
        return Ok(Code::Done);
    }
    let cluster = connect(&connection);
    match command {
        Command::Get { target, watch: true, .. } => return watch(&cluster.await?, &target.name).await,
        Command::Get { target, output, .. } => {
            let view = managed(&cluster.await?, &target.name).await?;
            match output {
                None => print_lines(&tree::tree(&view, Timestamp::now(), Screen::new().paint()))?,
                Some(format) => formatted(format, &view)?,
            }
        }
        Command::List { all_namespaces, watch: true, .. } => {
            return fleet::watch(&cluster.await?, all_namespaces).await;
        }
        Command::List { all_namespaces, output, .. } => list(&cluster.await?, all_namespaces, output).await?,
        Command::Explain { target, output } => {
            let view = managed(&cluster.await?, &target.name).await?;
            match output {
                None => print_lines(&explain::explain(&view, Timestamp::now()))?,
                Some(format) => {
                    let next = explain::advice(&view);
                    formatted(format, &explain::Explanation { view: &view, next })?;
                }
            }
        }
        Command::History { target, output } => {
            let view = managed(&cluster.await?, &target.name).await?;
            match output {
                None if view.history.is_empty() => {
                    print(&format!("no rollout of {} has ended yet\n", view.name))?;
                }
                None => print_lines(&tables::history(&view.history, Timestamp::now()))?,
                Some(format) => formatted(format, &view.history)?,
            }
        }
        Command::Promote { target, full: false } => {
            request(&cluster.await?, &target.name, Intent::Promote).await?;
        }
        Command::Promote { target, full: true } => {
            request(&cluster.await?, &target.name, Intent::PromoteFull).await?;
        }
        Command::Abort { target } => request(&cluster.await?, &target.name, Intent::Abort).await?,
        Command::Pause { target } => request(&cluster.await?, &target.name, Intent::Pause).await?,
        Command::Resume { target } => request(&cluster.await?, &target.name, Intent::Resume).await?,
        Command::Retry { target } => request(&cluster.await?, &target.name, Intent::Retry).await?,
        Command::Skip { target, yes: true } => request(&cluster.await?, &target.name, Intent::Skip).await?,
        Command::Skip { target, yes: false } => {
            let why = format!(
                "skip rolls out the held template of Deployment {} without steps or metrics: add --yes to confirm",
                target.name
            );
            return Err(PluginError::Nothing(why));
        }
        Command::Wait { target, timeout } => return wait::wait(&cluster.await?, &target.name, timeout).await,
        Command::Completion { .. } | Command::Complete { .. } => {}
    }
    Ok(Code::Done)
}

/// Reads a Deployment that Steelyard manages and returns its view.
async fn managed(cluster: &Cluster, name: &str) -> Result<View, PluginError> {
    let facts = read::read(cluster, name).await?;
    unmanaged(&facts).map_or_else(|| Ok(View::of(&facts)), |why| Err(PluginError::Nothing(why)))
}

/// Returns why a Deployment has no rollout to show, if it has none.
fn unmanaged(facts: &Facts) -> Option<String> {
    let Facts { name, namespace, .. } = facts;
    if facts.rollout.is_some() {
        return None;
    }
    Some(match (&facts.deployment, facts.policy()) {
        (None, _) => format!("there is no Deployment {name} in namespace {namespace}"),
        (Some(_), None) => format!(
            "Deployment {name} in namespace {namespace} is not managed by Steelyard: it has no annotation {}",
            crate::api::POLICY
        ),
        (Some(_), Some(policy)) => format!(
            "Deployment {name} in namespace {namespace} names policy {policy}, but has no Rollout yet: check that the \
             Steelyard controller is running"
        ),
    })
}

/// Shows a rollout until interrupted.
async fn watch(cluster: &Cluster, name: &str) -> Result<Code, PluginError> {
    let facts = read::read(cluster, name).await?;
    if let Some(why) = unmanaged(&facts) {
        return Err(PluginError::Nothing(why));
    }
    let mut screen = Screen::new();
    let deployment = facts.deployment.clone().unwrap_or_default();
    let mut updates = follow(cluster, name, &Watched::Pods(&deployment));
    let mut view = View::of(&facts);
    let mut trouble: Option<String> = None;
    loop {
        let now = Timestamp::now();
        if screen.redraws() {
            let mut lines = tree::tree(&view, now, screen.paint());
            lines.extend(trouble.iter().map(|why| format!("not up to date: {why}")));
            screen.redraw(&lines)?;
        } else {
            screen.line(&text::clock(now, now), trouble.clone().unwrap_or_else(|| tree::line(&view)))?;
        }
        let changed = if screen.redraws() {
            // Ages change even without events.
            tokio::time::timeout(TICK, updates.next()).await.is_ok()
        } else {
            updates.next().await;
            true
        };
        if changed {
            match read::read(cluster, name).await {
                Ok(facts) => (view, trouble) = (View::of(&facts), unmanaged(&facts)),
                Err(error) => trouble = Some(crate::cluster::chain(&error)),
            }
        }
    }
}

async fn list(cluster: &Cluster, all: bool, output: Option<Format>) -> Result<(), PluginError> {
    let api = if all { Api::all(cluster.client.clone()) } else { rollouts(cluster) };
    let found = call("list", "Rollouts", "", api.list(&ListParams::default())).await?;
    let listed: Vec<tables::Listed> = found.into_iter().map(Into::into).collect();
    match output {
        None if listed.is_empty() => print("no Rollouts found\n"),
        None => print_lines(&tables::list(&listed, all, Timestamp::now())),
        Some(format) => formatted(format, &listed),
    }
}

/// Writes an intent to the Rollout's spec, unless it is not possible in the current state.
async fn request(cluster: &Cluster, name: &str, intent: Intent) -> Result<(), PluginError> {
    let view = managed(cluster, name).await?;
    let steering = steer(&view, intent).map_err(PluginError::Refused)?;
    let (api, params) =
        (rollouts(cluster), PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() });
    let written: Option<Rollout> = match steering.change {
        Change::Merge(patch) => {
            Some(call("patch", "Rollout", name, api.patch(name, &params, &Patch::Merge(patch))).await?)
        }
        Change::Guarded(ops) => {
            let ops = serde_json::from_value(ops)
                .map_err(|error| PluginError::Serialize("a patch", Box::new(error)))?;
            let patch = Patch::<()>::Json(ops);
            Some(call("patch", "Rollout", name, api.patch(name, &params, &patch)).await?)
        }
        Change::Nothing => None,
    };
    drop(written);
    print(&format!("rollout {name}: {}\n", steering.summary))
}

fn formatted(format: Format, value: &impl Serialize) -> Result<(), PluginError> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(|error| PluginError::Serialize("JSON", Box::new(error)))?,
        Format::Yaml => serde_saphyr::to_string(value)
            .map_err(|error| PluginError::Serialize("YAML", error.to_string().into()))?,
    };
    print(&text)
}

fn print_lines(lines: &[String]) -> Result<(), PluginError> {
    print(&(lines.join("\n") + "\n"))
}

fn print(text: &str) -> Result<(), PluginError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
