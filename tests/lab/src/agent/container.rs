//! The lifecycle of one container: image, environment, runs, and the delays between them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};
use kube::ResourceExt;
use tokio::sync::{mpsc, watch};

use super::api;
use super::backoff::Backoff;
use super::check::Target;
use super::env::{Sources, expand, resolve, wanted};
use super::events::Level;
use super::host::{Host, pause};
use super::image::Name;
use super::mounts::{self, Access, Mount};
use super::process::{Group, Launch, Process, find};
use super::status::{Exit, Restart, State, View};
use super::volumes::Volumes;

/// How long `ErrImagePull` is shown before `ImagePullBackOff`.
const PULL: Duration = Duration::from_secs(1);

/// What the pod requires of its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Run.
    Run,
    /// Stop; processes that still run at the deadline are killed.
    End { deadline: Instant },
}

/// Identifies a container of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerIndex {
    /// The init container at this index.
    Init(usize),
    /// The container at this index.
    Main(usize),
}

/// A container of one pod.
pub(crate) struct Container {
    pub(super) host: Arc<Host>,
    pub(super) pod: Arc<Pod>,
    pub(super) spec: Arc<Spec>,
    pub(super) ip: Ipv4Addr,
    pub(super) index: ContainerIndex,
    pub(super) restart: Restart,
    pub(super) volumes: Arc<Volumes>,
    pub(super) view: View,
    pub(super) reports: mpsc::UnboundedSender<(ContainerIndex, View)>,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) group: Group,
}

impl Container {
    /// Runs the container until it has ended and does not restart, or until the pod ends.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let Some((launch, env)) = self.prepare().await else { return };
            let started = Timestamp::now();
            let exit =
                |code, reason, message| Exit { code, reason, message, started, finished: Timestamp::now() };
            let exit = match Process::start(&launch, &self.group) {
                Err(error) => {
                    let message = format!("{}: {error}", launch.program.display());
                    self.host.events.send(&self.pod, Level::Warning, "Failed", format!("Error: {message}"));
                    exit(128, "StartError", Some(message))
                }
                Ok(mut process) => {
                    self.view.id = format!("lab://{}-{}", process.id(), started.as_millisecond());
                    self.view.state = State::Running { since: started };
                    let target =
                        Target { ip: self.ip, process: process.id(), env, spec: Arc::clone(&self.spec) };
                    let code = self.supervise(&mut process, target).await;
                    exit(code, if code == 0 { "Completed" } else { "Error" }, None)
                }
            };
            let code = exit.code;
            (self.view.ready, self.view.started) = (false, false);
            self.view.state = State::Ended(exit.clone());
            self.report();
            if self.ending() || !self.restart.wants(code) {
                return;
            }
            let wait = backoff.restart(Instant::now());
            self.view.last = Some(exit);
            if !wait.is_zero() {
                let message = format!(
                    "back-off {} restarting failed container={} pod={}_{}({})",
                    go_duration(wait),
                    self.view.name,
                    self.pod.name_any(),
                    self.pod.namespace().unwrap_or_default(),
                    self.pod.uid().unwrap_or_default()
                );
                self.host.events.send(&self.pod, Level::Warning, "BackOff", message.clone());
                self.waiting("CrashLoopBackOff", Some(message));
                if !self.sleep(wait).await {
                    return;
                }
            }
            self.view.restarts += 1;
        }
    }

    /// Reports the container's state to the pod.
    pub(super) fn report(&self) {
        // The receiver is closed when the pod is gone.
        let _ = self.reports.send((self.index, self.view.clone()));
    }

    fn ending(&self) -> bool {
        matches!(*self.orders.borrow(), Order::End { .. })
    }

    fn waiting(&mut self, reason: &'static str, message: Option<String>) {
        self.view.state = State::Waiting { reason, message };
        self.report();
    }

    /// Waits; returns false if the pod ends meanwhile.
    async fn sleep(&mut self, time: Duration) -> bool {
        let mut orders = self.orders.clone();
        let ended = orders.wait_for(|order| matches!(order, Order::End { .. }));
        tokio::time::timeout(time, ended).await.is_err()
    }

    /// Prepares everything that a run needs, with retries. Returns `None` if the pod ends
    /// meanwhile.
    async fn prepare(&mut self) -> Option<(Launch, BTreeMap<String, String>)> {
        let program = self.pull().await?;
        let mut n = 0;
        loop {
            if self.ending() {
                return None;
            }
            match self.launch(&program).await {
                Ok(ready) => return Some(ready),
                Err(message) => {
                    n += 1;
                    // The objects that a new pod needs can appear shortly after it: report only if
                    // they stay missing.
                    if n == 5 {
                        self.host.events.send(
                            &self.pod,
                            Level::Warning,
                            "Failed",
                            format!("Error: {message}"),
                        );
                        self.waiting("CreateContainerConfigError", Some(message));
                    }
                    if !self.sleep(pause(n)).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Returns the program for the image.
    async fn pull(&mut self) -> Option<PathBuf> {
        let image = self.spec.image.clone().unwrap_or_default();
        let mut backoff = Backoff::default();
        loop {
            if let Some(program) = self.host.images.program(&image) {
                return Some(program.to_path_buf());
            }
            let name = Name::parse(&image).program;
            let why =
                format!("failed to pull image {image:?}: there is no program for {name:?} on this node");
            self.host.events.send(
                &self.pod,
                Level::Warning,
                "Failed",
                format!("Failed to pull image {image:?}: {why}"),
            );
            self.waiting("ErrImagePull", Some(why.clone()));
            if !self.sleep(PULL).await {
                return None;
            }
            let message = format!("Back-off pulling image {image:?}: ErrImagePull: {why}");
            self.host.events.send(
                &self.pod,
                Level::Normal,
                "BackOff",
                format!("Back-off pulling image {image:?}"),
            );
            self.waiting("ImagePullBackOff", Some(message));
            if !self.sleep(backoff.pull(Instant::now())).await {
                return None;
            }
        }
    }

    async fn launch(&self, program: &Path) -> Result<(Launch, BTreeMap<String, String>), String> {
        let sources = self.sources().await.map_err(|error| error.to_string())?;
        let image = self.spec.image.as_deref().unwrap_or_default();
        let base = self.host.base_env(&self.pod, Name::parse(image).tag, self.ip);
        let facts = self.host.facts(self.ip);
        let env =
            resolve(&self.pod, &self.spec, &facts, &sources, base).map_err(|error| error.to_string())?;
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        let (program, args) = command_line(&self.spec, program, &env, |name| find(name, path));
        let (namespace, name) = (self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let uid = self.pod.uid().unwrap_or_default();
        let work_dir =
            PathBuf::from(self.spec.working_dir.as_deref().filter(|dir| !dir.is_empty()).unwrap_or("/"));
        let script = self.script(&uid, &work_dir)?;
        let launch = Launch {
            program,
            args,
            env: env.clone(),
            work_dir,
            script,
            log: self.host.log(&namespace, &name, &self.spec.name),
            record: self.host.processes().join(format!("{uid}.{}", self.spec.name)),
        };
        Ok((launch, env))
    }

    async fn sources(&self) -> Result<Sources, kube::Error> {
        let (maps, secrets) = wanted(&self.spec);
        let namespace = self.pod.namespace().unwrap_or_default();
        let text = |data: BTreeMap<String, Vec<u8>>| {
            data.into_iter().map(|(key, bytes)| (key, String::from_utf8_lossy(&bytes).into_owned())).collect()
        };
        let mut sources = Sources::default();
        for name in maps {
            if let Some(data) = api::config_map(&self.host.client, &namespace, &name).await? {
                sources.config_maps.insert(name, text(data));
            }
        }
        for name in secrets {
            if let Some(data) = api::secret(&self.host.client, &namespace, &name).await? {
                sources.secrets.insert(name, text(data));
            }
        }
        Ok(sources)
    }

    /// Returns the script that mounts the volumes, or `None` if there are none.
    fn script(&self, uid: &str, work_dir: &Path) -> Result<Option<String>, String> {
        let mut wanted = Vec::new();
        for mount in self.spec.volume_mounts.iter().flatten() {
            let dir =
                self.volumes.dirs.get(&mount.name).ok_or_else(|| format!("no volume {:?}", mount.name))?;
            let source = mount.sub_path.as_ref().map_or_else(|| dir.clone(), |sub| dir.join(sub));
            if mount.sub_path.is_some() && !source.exists() {
                std::fs::create_dir_all(&source).map_err(|error| error.to_string())?;
            }
            let access = if mount.read_only == Some(true) { Access::ReadOnly } else { Access::ReadWrite };
            wanted.push(Mount {
                file: source.is_file(),
                source,
                target: PathBuf::from(&mount.mount_path),
                access,
            });
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let root = self.host.pod_dir(uid).join("roots").join(&self.spec.name);
        std::fs::create_dir_all(&root).map_err(|error| error.to_string())?;
        mounts::script(&wanted, &root, work_dir, entries).map(Some).map_err(|error| error.to_string())
    }
}

/// Returns the names in a directory of the machine.
fn entries(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Returns what to run: `command` replaces the image's program, unless the machine does not have
/// that command (for example, a path within the image): then the image's program runs with the rest
/// of the command. `args` follow.
fn command_line(
    spec: &Spec,
    program: &Path,
    env: &BTreeMap<String, String>,
    find: impl Fn(&str) -> Option<PathBuf>,
) -> (PathBuf, Vec<String>) {
    let words = |words: &Option<Vec<String>>| -> Vec<String> {
        words.iter().flatten().map(|word| expand(word, env)).collect()
    };
    let mut args = words(&spec.command);
    let mut found = program.to_path_buf();
    if !args.is_empty() {
        found = find(&args.remove(0)).unwrap_or(found);
    }
    args.extend(words(&spec.args));
    (found, args)
}

/// Formats a duration as Go prints whole seconds: `2m40s`.
fn go_duration(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: serde_json::Value) -> (String, Vec<String>) {
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let env = [("MODE".to_owned(), "fast".to_owned())].into();
        let find = |name: &str| (name == "sleep" || name == "/bin/sh").then(|| Path::new("/bin").join(name));
        let (program, args) = command_line(&spec, Path::new("/lab/demo"), &env, find);
        (program.to_string_lossy().into_owned(), args)
    }

    #[test]
    fn the_program_of_the_image_runs_with_args() {
        let (program, args) = line(serde_json::json!({"name": "a", "args": ["--mode=$(MODE)"]}));
        assert_eq!((program.as_str(), args), ("/lab/demo", vec!["--mode=fast".to_owned()]));
    }

    #[test]
    fn a_command_of_the_machine_replaces_the_program() {
        let (program, args) =
            line(serde_json::json!({"name": "a", "command": ["sleep", "5"], "args": ["6"]}));
        assert_eq!((program.as_str(), args), ("/bin/sleep", vec!["5".to_owned(), "6".to_owned()]));
    }

    #[test]
    fn a_command_that_the_machine_lacks_runs_the_program_of_the_image() {
        let (program, args) =
            line(serde_json::json!({"name": "a", "command": ["/demo", "serve"], "args": ["x"]}));
        assert_eq!((program.as_str(), args), ("/lab/demo", vec!["serve".to_owned(), "x".to_owned()]));
    }

    #[test]
    fn durations_are_formatted_as_in_kubelet() {
        let formatted = |seconds| go_duration(Duration::from_secs(seconds));
        assert_eq!(
            (formatted(10), formatted(160), formatted(300)),
            ("10s".into(), "2m40s".into(), "5m0s".into())
        );
    }
}
