//! The network namespace of a lab: every address of the cluster is local to it, and nothing leads out of it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::Stdio,
};

use nix::sched::{CloneFlags, setns};

use crate::{machine::tool, process::Identity};

/// The node's address: API server, Gateway, Prometheus and the node agent listen here.
pub const NODE: &str = "192.0.2.10";
/// Addresses of pods. All of them are local, so that a pod is a process bound to its pod's address.
pub const PODS: &str = "10.244.0.0/16";
/// Addresses of Services; kube-proxy rewrites them.
pub const SERVICES: &str = "10.96.0.0/16";
/// Base URL of the Gateway.
pub const GATEWAY: &str = "http://192.0.2.10:8000";
/// Base URL of Prometheus.
pub const PROMETHEUS: &str = "http://192.0.2.10:9090";

/// What can fail when making, entering or removing a namespace.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of `ip` failed.
    #[error("`{command}` failed: {stderr}")]
    Ip {
        /// The command line.
        command: String,
        /// What it printed on standard error.
        stderr: String,
    },
    /// `ip` could not be run.
    #[error("cannot run ip")]
    Run(#[source] io::Error),
    /// The namespace is not there.
    #[error("the lab is not up: there is no network namespace {name} (cargo lab up)")]
    Absent {
        /// Its name.
        name: String,
    },
    /// The kernel does not let this process in.
    #[error("cannot enter network namespace {name}")]
    Enter {
        /// Its name.
        name: String,
        /// What the system said.
        source: nix::errno::Errno,
    },
}

/// A network namespace, by name.
#[derive(Clone, Debug)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace of this name, whether it exists or not.
    pub fn named(name: String) -> Self {
        Self(name)
    }

    fn file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.0)
    }

    /// Whether it exists.
    pub fn exists(&self) -> bool {
        self.inode().is_some()
    }

    /// A namespace's file that is no mount (left behind by a crash of `ip`) lies on another file system than the
    /// namespaces do.
    fn inode(&self) -> Option<(u64, u64)> {
        let here = fs::metadata("/proc/self/ns/net").ok()?;
        let there = fs::metadata(self.file()).ok()?;
        (there.dev() == here.dev()).then_some((there.dev(), there.ino()))
    }

    /// Makes the namespace with the lab's addresses.
    pub fn create(&self) -> Result<(), Error> {
        if self.file().exists() {
            run(&["netns", "delete", &self.0], "")?;
        }
        run(&["netns", "add", &self.0], "")?;
        // As local addresses of `lo` the whole range of pods answers without a device per pod.
        let batch = format!(
            "link set lo up\naddr add {NODE}/24 dev lo\naddr add 10.244.0.1/16 dev lo\nroute add {SERVICES} dev lo\n"
        );
        run(&["-n", &self.0, "-batch", "-"], &batch).inspect_err(|_| {
            // The next try must not take a half-made namespace for a whole one.
            let _ = run(&["netns", "delete", &self.0], "");
        })
    }

    /// Moves this process into the namespace. Threads that already run stay outside, so this comes before any.
    pub fn enter(&self) -> Result<(), Error> {
        let file = fs::File::open(self.file()).map_err(|_| Error::Absent { name: self.0.clone() })?;
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|source| Error::Enter { name: self.0.clone(), source })
    }

    /// Every process inside, but for this one and those it descends from (a shell in the lab may end the lab).
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

    /// Removes the namespace. Its processes must have ended before.
    pub fn remove(&self) -> Result<(), Error> {
        if self.file().exists() { run(&["netns", "delete", &self.0], "") } else { Ok(()) }
    }
}

/// This process and all it descends from.
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
    fn a_namespace_that_is_not_there_has_no_processes_and_cannot_be_entered() {
        let none = Namespace::named("steelyard-lab-no-such".into());
        assert!(!none.exists());
        assert!(none.processes().is_empty());
        assert!(matches!(none.enter(), Err(Error::Absent { .. })));
    }

    #[test]
    fn the_chain_of_ancestors_starts_here_and_leads_up() {
        let chain = ancestors();
        assert_eq!(chain.first().copied(), i32::try_from(std::process::id()).ok());
        assert!(chain.len() > 1, "{chain:?}");
    }
}
