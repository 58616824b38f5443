//! A container's process, and the record of processes, with which a later agent ends those that
//! this one left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use tokio::process::{Child, Command};

use crate::process::{Identity, State};

/// The process group of a running container; empty between runs. Shared with the senders of
/// signals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group(Arc<AtomicI32>);

impl Group {
    /// Sends a signal to all processes of the container. Returns false if none runs.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let id = self.0.load(Ordering::Acquire);
        id > 0 && killpg(Pid::from_raw(id), signal).is_ok()
    }
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Path of the program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Its complete environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Its working directory; used only without `script`.
    pub(crate) work_dir: PathBuf,
    /// A script that builds its view of the file system first (see [`super::mounts`]).
    pub(crate) script: Option<String>,
    /// Path of the log that its output is appended to.
    pub(crate) log: PathBuf,
    /// Path of its entry in the record of processes.
    pub(crate) record: PathBuf,
}

/// A container's main process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    id: Pid,
    group: Group,
    record: PathBuf,
}

impl Process {
    /// Starts the process as leader of a new process group.
    pub(crate) fn start(launch: &Launch, group: &Group) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(&launch.log)?;
        let mut command = match &launch.script {
            None => {
                let mut command = Command::new(&launch.program);
                command.current_dir(&launch.work_dir);
                command
            }
            Some(script) => {
                let mut command = Command::new(tool("unshare")?);
                command
                    .args(["--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"])
                    .arg(&launch.program);
                command
            }
        };
        let child = command
            .args(&launch.args)
            .env_clear()
            .envs(&launch.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or(io::ErrorKind::Other)?;
        group.0.store(id, Ordering::Release);
        let this = Self { child, id: Pid::from_raw(id), group: group.clone(), record: launch.record.clone() };
        if let Some(identity) = Identity::of(id) {
            fs::write(&launch.record, serde_json::to_vec(&identity)?)?;
        }
        Ok(this)
    }

    /// Sends SIGTERM to the main process.
    pub(crate) fn terminate(&self) {
        let _ = kill(self.id, Signal::SIGTERM);
    }

    /// Kills all processes of the container.
    pub(crate) fn kill(&self) {
        self.group.signal(Signal::SIGKILL);
    }

    /// Returns the pid of the main process, for entering its view of the file system.
    pub(crate) fn id(&self) -> i32 {
        self.id.as_raw()
    }

    /// Waits for the main process to end. Returns its exit code, or 128 + signal if a signal ended
    /// it. Can be dropped and called again.
    pub(crate) async fn ended(&mut self) -> i32 {
        self.child.wait().await.map_or(255, code)
    }
}

impl Drop for Process {
    /// Kills what the main process left running, as a container runtime does.
    fn drop(&mut self) {
        self.kill();
        self.group.0.store(0, Ordering::Release);
        let _ = fs::remove_file(&self.record);
    }
}

/// Finds a program: returns `name` itself if it has a slash, else the first match in the
/// directories of `path`.
pub(crate) fn find(name: &str, path: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).is_file().then(|| PathBuf::from(name));
    }
    path.split(':').map(|dir| Path::new(dir).join(name)).find(|file| file.is_file())
}

/// Finds a program of the machine that the agent itself needs.
pub(crate) fn tool(name: &str) -> io::Result<PathBuf> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is not installed"));
    find(name, "/usr/sbin:/usr/bin:/sbin:/bin").ok_or_else(missing)
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Kills every process recorded in `dir` that is still the recorded one, and empties the record.
/// Returns the number of processes killed. `prefix` selects records by the start of their name.
pub(crate) fn end_recorded(dir: &Path, prefix: &str) -> usize {
    let mut ended = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let recorded: Option<Identity> =
            fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(recorded) = recorded
            && recorded.state() != State::Gone
            && killpg(Pid::from_raw(recorded.pid), Signal::SIGKILL).is_ok()
        {
            ended += 1;
        }
        let _ = fs::remove_file(entry.path());
    }
    ended
}

#[cfg(test)]
mod tests;
