//! The network namespace of a lab: every address of the cluster is local to it, and it has no route
//! to the outside.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, setns},
    unistd::geteuid,
};

use crate::{
    machine::tool,
    paths::Layout,
    process::{self, Identity, Spec, State},
};

/// The node's address, on which API server, Gateway, Prometheus and node agent listen.
pub const NODE: &str = "192.0.2.10";
/// Addresses of pods. All of them are local, so a pod is a process that binds to the pod's address.
pub const PODS: &str = "10.244.0.0/16";
/// Addresses of Services; kube-proxy rewrites them.
pub const SERVICES: &str = "10.96.0.0/16";
/// Base URL of the Gateway.
pub const GATEWAY: &str = "http://192.0.2.10:8000";
/// Base URL of Prometheus.
pub const PROMETHEUS: &str = "http://192.0.2.10:9090";

/// The reason why a namespace can't be created, entered or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of `ip` failed.
    #[error("`{command}` failed: {stderr}")]
    Ip {
        /// The command line.
        command: String,
        /// Its standard error.
        stderr: String,
    },
    /// `ip` could not be run.
    #[error("cannot run ip")]
    Run(#[source] io::Error),
    /// The namespace does not exist.
    #[error(
        "the lab is not running: network namespace {name} does not exist; start the lab with `cargo lab up`"
    )]
    Absent {
        /// Its name.
        name: String,
    },
    /// The process that keeps the namespace could not be started or ended.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The record of the process that keeps the namespace could not be written.
    #[error("cannot record which process keeps the lab's namespace")]
    Keep(#[source] io::Error),
    /// Without root, network namespaces need a user namespace, and the machine does not allow one.
    #[error("only root can create network namespaces on this machine: run the lab as root\n{output}")]
    NoUserNamespace {
        /// The output of `unshare`.
        output: String,
    },
    /// The kernel does not allow this process to enter.
    #[error("cannot enter network namespace {name}")]
    Enter {
        /// Its name.
        name: String,
        /// The cause.
        source: nix::errno::Errno,
    },
}

/// The network namespace of one lab.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    keeper: Keeper,
}

/// What keeps a namespace while no program of the lab runs in it.
#[derive(Clone, Debug)]
enum Keeper {
    /// The kernel, under a name in `/run/netns`; used with root.
    Name,
    /// A sleeping process in a separate user namespace; used without root. Its record is in this
    /// directory.
    Process(PathBuf),
}

impl Namespace {
    /// Returns the namespace of this lab, whether it exists or not.
    pub fn of(layout: &Layout) -> Self {
        let name = layout.namespace();
        let sleeper = Self { name: name.clone(), keeper: Keeper::Process(layout.run()) };
        // In the user namespace of a lab, every user is root.
        if geteuid().is_root() && sleeper.keeper().is_none() {
            return Self { name, keeper: Keeper::Name };
        }
        sleeper
    }

    /// Returns whether it exists.
    pub fn exists(&self) -> bool {
        self.inode().is_some()
    }

    /// Returns the process that keeps the namespace.
    fn keeper(&self) -> Option<Identity> {
        let Keeper::Process(dir) = &self.keeper else { return None };
        let record = fs::read(dir.join(KEEPER)).ok()?;
        let process: Identity = serde_json::from_slice(&record).ok()?;
        (process.state() != State::Gone).then_some(process)
    }

    /// Returns the file that identifies the namespace, or the user namespace that it belongs to.
    fn file(&self, kind: &str) -> Option<PathBuf> {
        match &self.keeper {
            Keeper::Name => (kind == "net").then(|| PathBuf::from("/run/netns").join(&self.name)),
            Keeper::Process(_) => Some(PathBuf::from(format!("/proc/{}/ns/{kind}", self.keeper()?.pid))),
        }
    }

    /// Returns device and inode of the namespace's file. If the file is not a mount (after a crash
    /// of `ip`), its device differs from that of namespaces.
    fn inode(&self) -> Option<(u64, u64)> {
        let (here, there) = (own_inode()?, fs::metadata(self.file("net")?).ok()?);
        (there.dev() == here.0).then_some((there.dev(), there.ino()))
    }

    /// Creates the namespace with the lab's addresses, and moves this process into it.
    pub fn create(&self) -> Result<(), Error> {
        self.remove()?;
        match &self.keeper {
            Keeper::Name => run(&["netns", "add", &self.name], "")?,
            Keeper::Process(dir) => keep(dir)?,
        }
        // As local addresses of `lo`, the whole range of pods answers without a device per pod.
        let batch = format!(
            "link set lo up\naddr add {NODE}/24 dev lo\naddr add 10.244.0.1/16 dev lo\nroute add {SERVICES} dev lo\n"
        );
        self.enter().and_then(|()| run(&["-batch", "-"], &batch)).inspect_err(|_| {
            // The next attempt must not use an incomplete namespace.
            let _ = self.remove();
        })
    }

    /// Moves this process into the namespace. Must be called before any thread is started: existing
    /// threads remain outside.
    pub fn enter(&self) -> Result<(), Error> {
        let absent = || Error::Absent { name: self.name.clone() };
        let inode = self.inode().ok_or_else(absent)?;
        if own_inode() == Some(inode) {
            return Ok(());
        }
        // The user namespace first: it grants the right to enter the other.
        for (kind, flag) in [("user", CloneFlags::CLONE_NEWUSER), ("net", CloneFlags::CLONE_NEWNET)] {
            if let Some(file) = self.file(kind) {
                let file = fs::File::open(file).map_err(|_| absent())?;
                setns(file, flag).map_err(|source| Error::Enter { name: self.name.clone(), source })?;
            }
        }
        Ok(())
    }

    /// Returns every process inside, except this one and its ancestors (a shell in the lab can stop
    /// the lab).
    pub fn processes(&self) -> Vec<Identity> {
        let Some(inode) = self.inode() else { return Vec::new() };
        let ours = ancestors();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| !ours.contains(pid))
            .filter(|pid| {
                fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|m| (m.dev(), m.ino()) == inode)
            })
            .filter_map(Identity::of)
            .collect()
    }

    /// Removes the namespace. Its processes must have ended.
    pub fn remove(&self) -> Result<(), Error> {
        match &self.keeper {
            Keeper::Name if PathBuf::from("/run/netns").join(&self.name).exists() => {
                run(&["netns", "delete", &self.name], "")
            }
            Keeper::Name => Ok(()),
            Keeper::Process(_) => {
                let keeper = self.keeper();
                Ok(process::end(keeper.as_slice(), Duration::from_secs(1))?)
            }
        }
    }
}

/// The name of the file that records which process keeps a namespace.
const KEEPER: &str = "namespace.json";

/// Starts a process that keeps a namespace, and records it.
fn keep(dir: &Path) -> Result<(), Error> {
    let spec = Spec {
        program: "unshare".into(),
        args: ["--user", "--map-root-user", "--net", "sleep", "infinity"].map(String::from).into(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin:/usr/sbin:/sbin".to_owned())]),
        content: String::new(),
    };
    fs::create_dir_all(dir).map_err(Error::Keep)?;
    let log = dir.join("namespace.log");
    // No thread waits for it: a process that enters a user namespace must be single-threaded.
    let (_, process) = process::spawn(&spec, dir, &log)?;
    let until = Instant::now() + Duration::from_secs(5);
    while fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default() != "sleep\n" {
        if process.state() == State::Gone || Instant::now() >= until {
            return Err(Error::NoUserNamespace { output: crate::tail(&log, 3) });
        }
        thread::sleep(Duration::from_millis(5));
    }
    fs::write(dir.join(KEEPER), serde_json::to_vec(&process).unwrap_or_default()).map_err(Error::Keep)
}

/// Returns the namespace of this process.
fn own_inode() -> Option<(u64, u64)> {
    let here = fs::metadata("/proc/self/ns/net").ok()?;
    Some((here.dev(), here.ino()))
}

/// Returns this process and its ancestors.
fn ancestors() -> Vec<i32> {
    let mut chain = Vec::new();
    let mut pid = i32::try_from(std::process::id()).unwrap_or(0);
    while pid > 0 && !chain.contains(&pid) {
        chain.push(pid);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse().ok());
        pid = parent.unwrap_or(0);
    }
    chain
}

fn run(args: &[&str], input: &str) -> Result<(), Error> {
    let mut child = tool("ip")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::Run)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(Error::Run)?;
    }
    let out = child.wait_with_output().map_err(Error::Run)?;
    if out.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    Err(Error::Ip { command: format!("ip {}", args.join(" ")), stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_namespace_has_no_processes_and_cannot_be_entered() {
        let layout = Layout::of("no-such".parse().expect("a name")).expect("a home");
        let none = Namespace::of(&layout);
        assert!(!none.exists());
        assert!(none.processes().is_empty());
        assert!(matches!(none.enter(), Err(Error::Absent { .. })));
    }

    #[test]
    fn the_ancestors_start_with_this_process_and_include_its_parent() {
        let chain = ancestors();
        assert_eq!(chain.first().copied(), i32::try_from(std::process::id()).ok());
        assert!(chain.len() > 1, "{chain:?}");
    }
}
