//! `kubectl steelyard`: what people see of rollouts, and how they steer them. It reads objects and patches the `spec`
//! of Rollouts, no more: whoever may do that with kubectl may do it here.

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
use steer::{Change, Wish, steer};

/// Who writes, as managed fields name it.
const MANAGER: &str = "kubectl-steelyard";
/// How often ages are drawn again in a terminal.
const TICK: Duration = Duration::from_secs(1);

/// Exit codes, the same for all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done; for `wait`: complete.
    Done = 0,
    /// Refused, or failed; for `wait`: rolled back.
    Refused = 1,
    /// Not in time.
    Timeout = 2,
    /// Wrong arguments, no such object, no cluster.
    Usage = 3,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command ended early.
#[derive(Debug, Error)]
pub enum PluginError {
    /// A kubeconfig that can't be used.
    #[error("use the kubeconfig")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    /// Neither a kubeconfig nor a service account.
    #[error("find a cluster")]
    NoCluster(#[source] Box<kube::config::InferConfigError>),
    /// Credentials or certificates that can't be used.
    #[error("make a client")]
    Client(#[source] Box<kube::Error>),
    /// The API server said no, or the connection broke.
    #[error("{verb} {object}")]
    Call {
        /// What was tried.
        verb: &'static str,
        /// On what.
        object: String,
        /// What was wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{verb} {object}: no answer within {limit:?}")]
    Timeout {
        /// What was tried.
        verb: &'static str,
        /// On what.
        object: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The cluster doesn't know the kind Rollout.
    #[error("this cluster knows no Rollouts of steelyard.io: Steelyard is not installed")]
    NotInstalled,
    /// There is nothing to work on.
    #[error("{0}")]
    Nothing(String),
    /// It makes no sense now.
    #[error("{0}")]
    Refused(String),
    /// The output is gone.
    #[error("print")]
    Print(#[from] std::io::Error),
    /// The output can't be put into words.
    #[error("print as {0}")]
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

/// Does what the command line says.
pub async fn run(cli: Cli) -> Code {
    match execute(cli).await {
        Ok(code) => code,
        // Whoever reads has had enough: `kubectl steelyard list | head -1`.
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
        completion::answer(&words).await?;
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
            wish(&cluster.await?, &target.name, Wish::Promote).await?;
        }
        Command::Promote { target, full: true } => {
            wish(&cluster.await?, &target.name, Wish::PromoteFull).await?;
        }
        Command::Abort { target } => wish(&cluster.await?, &target.name, Wish::Abort).await?,
        Command::Pause { target } => wish(&cluster.await?, &target.name, Wish::Pause).await?,
        Command::Resume { target } => wish(&cluster.await?, &target.name, Wish::Resume).await?,
        Command::Retry { target } => wish(&cluster.await?, &target.name, Wish::Retry).await?,
        Command::Skip { target, yes: true } => wish(&cluster.await?, &target.name, Wish::Skip).await?,
        Command::Skip { target, yes: false } => {
            let why = format!(
                "skip rolls the held template of {} out without steps and without metrics: say --yes if that is meant",
                target.name
            );
            return Err(PluginError::Nothing(why));
        }
        Command::Wait { target, timeout } => return wait::wait(&cluster.await?, &target.name, timeout).await,
        Command::Completion { .. } | Command::Complete { .. } => {}
    }
    Ok(Code::Done)
}

/// The view of a Deployment that Steelyard manages.
async fn managed(cluster: &Cluster, name: &str) -> Result<View, PluginError> {
    let world = read::read(cluster, name).await?;
    unmanaged(&world).map_or_else(|| Ok(View::of(&world)), |why| Err(PluginError::Nothing(why)))
}

/// Why there is nothing to see of a Deployment, if so.
fn unmanaged(world: &Facts) -> Option<String> {
    let Facts { name, namespace, .. } = world;
    if world.rollout.is_some() {
        return None;
    }
    Some(match (&world.deployment, world.policy()) {
        (None, _) => format!("there is no Deployment {name} in namespace {namespace}"),
        (Some(_), None) => format!(
            "Deployment {name} in namespace {namespace} is not managed by Steelyard: it has no annotation {}",
            crate::api::POLICY
        ),
        (Some(_), Some(policy)) => format!(
            "Deployment {name} in namespace {namespace} asks for policy {policy}, but Steelyard has made no Rollout of it yet: \
             is its controller running?"
        ),
    })
}

/// Goes on showing a rollout until somebody ends it.
async fn watch(cluster: &Cluster, name: &str) -> Result<Code, PluginError> {
    let world = read::read(cluster, name).await?;
    if let Some(why) = unmanaged(&world) {
        return Err(PluginError::Nothing(why));
    }
    let mut screen = Screen::new();
    let deployment = world.deployment.clone().unwrap_or_default();
    let mut news = follow(cluster, name, &Watched::Pods(&deployment));
    let mut view = View::of(&world);
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
            // Ages go on also while nothing happens.
            tokio::time::timeout(TICK, news.next()).await.is_ok()
        } else {
            news.next().await;
            true
        };
        if changed {
            match read::read(cluster, name).await {
                Ok(world) => (view, trouble) = (View::of(&world), unmanaged(&world)),
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
        None if listed.is_empty() => print("no Deployment here is managed by Steelyard\n"),
        None => print_lines(&tables::list(&listed, all, Timestamp::now())),
        Some(format) => formatted(format, &listed),
    }
}

/// Writes a wish into the Rollout's spec, unless it makes no sense now.
async fn wish(cluster: &Cluster, name: &str, wish: Wish) -> Result<(), PluginError> {
    let view = managed(cluster, name).await?;
    let steering = steer(&view, wish).map_err(PluginError::Refused)?;
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
    print(&format!("rollout {name}: {}\n", steering.said))
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
