//! Starts, stops and repairs the parts of one lab.

use std::{fs, process::Command, time::Duration};

use nix::sys::signal;
use serde::{Deserialize, Serialize};

use crate::{
    components::Part,
    errors::{Error, on_file},
    net::Namespace,
    paths::Layout,
    process::{self, Identity, Spec, State},
    ready::Prober,
    say, shell,
    support::turn::{Kept, Row, Switched},
};

/// How long a part has to become ready; a machine with both cores busy needs much of it.
pub const LIMIT: Duration = Duration::from_secs(90);
/// How long a part has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// The same when the whole lab stops: the API server would wait for clients that stop too.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// The record of a started part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The command line.
    pub spec: Spec,
    /// The process.
    pub process: Identity,
}

/// One lab.
#[derive(Clone, Debug)]
pub struct Cluster {
    layout: Layout,
}

impl Cluster {
    /// Returns the lab of this layout, whether it runs or not.
    pub fn of(layout: &Layout) -> Self {
        Self { layout: layout.clone() }
    }

    /// Returns the lab's network namespace.
    pub fn namespace(&self) -> Namespace {
        Namespace::of(&self.layout)
    }

    /// Returns the record of a part's last start.
    pub fn record(&self, part: Part) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.layout.record(part)).ok()?).ok()
    }

    /// Returns the state of the part's process, or `None` if it was never started.
    pub fn state(&self, part: Part) -> Option<State> {
        Some(self.record(part)?.process.state())
    }

    /// Starts a program as a part, and records it. Must be called inside the namespace.
    pub fn launch(&self, part: Part, spec: Spec) -> Result<Identity, Error> {
        let file = self.layout.record(part);
        let process = process::start(&spec, &self.layout.run(), &self.layout.log(part))?;
        let record = Record { spec, process };
        let text = serde_json::to_vec_pretty(&record).unwrap_or_default();
        let work = file.with_extension("new");
        fs::write(&work, text).and_then(|()| fs::rename(&work, &file)).map_err(on_file(file))?;
        Ok(process)
    }

    /// Makes a part run with this command line: starts, resumes or replaces it, as needed.
    pub fn ensure(&self, part: Part, spec: Spec) -> Result<Identity, Error> {
        if let Some(record) = self.record(part) {
            let state = record.process.state();
            if state != State::Gone && record.spec == spec {
                if state == State::Frozen {
                    say(format_args!("thawing {part}"));
                    record.process.signal(signal::SIGCONT)?;
                }
                return Ok(record.process);
            }
            if state != State::Gone {
                say(format_args!("replacing {part}, which has changed"));
                process::end(&[record.process], GRACE)?;
            }
        }
        self.launch(part, spec)
    }

    /// Stops a part: SIGTERM, and SIGKILL after ten seconds.
    pub fn stop(&self, part: Part) -> Result<(), Error> {
        Ok(process::end(&[self.started(part)?.process], GRACE)?)
    }

    /// Starts a part with its last command line, and waits until it is ready. A running part is not
    /// changed. Must be called inside the namespace.
    pub async fn start(&self, part: Part) -> Result<(), Error> {
        let record = self.started(part)?;
        let process = self.ensure(part, record.spec)?;
        Ok(Prober::new(&self.layout).await?.wait(part, process, LIMIT).await?)
    }

    /// Freezes a part's process with its connections open (SIGSTOP). Returns when it is stopped.
    pub fn freeze(&self, part: Part) -> Result<(), Error> {
        Ok(process::freeze(self.started(part)?.process)?)
    }

    /// Resumes a frozen part (SIGCONT).
    pub fn thaw(&self, part: Part) -> Result<(), Error> {
        Ok(self.started(part)?.process.signal(signal::SIGCONT)?)
    }

    fn started(&self, part: Part) -> Result<Record, Error> {
        self.record(part).ok_or(Error::NeverStarted { part })
    }

    /// Ends every process in the lab's namespace and removes the namespace. Logs remain, state is
    /// deleted.
    pub fn down(&self) -> Result<(), Error> {
        let namespace = self.namespace();
        // The agent restarts processes, so stop it first.
        let first = self.record(Part::NodeAgent).map(|record| record.process);
        process::end(first.as_slice(), LAST_GRACE)?;
        // The first listing can miss a process that is just being created.
        loop {
            let left = namespace.processes();
            if left.is_empty() {
                break;
            }
            process::end(&left, LAST_GRACE)?;
        }
        namespace.remove()?;
        // Measurements and output are needed after the end.
        let keep = ["logs", "audit.log", "failures", "output", Row::FOLDER, Switched::FOLDER];
        let run = self.layout.run();
        let Ok(entries) = fs::read_dir(&run) else { return Ok(()) };
        for entry in entries.flatten() {
            let path = entry.path();
            if keep.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.map_err(on_file(path))?;
        }
        Ok(())
    }

    /// Runs kubectl as administrator. Returns its output if it succeeds. Must be called inside the
    /// namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, Error> {
        self.tool("kubectl", args)
    }

    /// Runs one of the lab's tools in the environment of its shell.
    pub fn tool(&self, name: &str, args: &[&str]) -> Result<String, Error> {
        let program = self.layout.bin().join(name);
        let mut command = Command::new(&program);
        shell::environment(&self.layout, &mut command);
        let out = command.args(args).output().map_err(|source| Error::Run { program, source })?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let output = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).trim().to_owned();
        Err(Error::Kubectl { what: format!("{name} {}", args.join(" ")), output })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, env, path::PathBuf};

    use super::*;

    /// A lab in a temporary directory, whose etcd is `sleep`.
    struct Scratch(PathBuf, Cluster);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = env::temp_dir().join(format!("lab-cluster-{name}-{}", std::process::id()));
            let layout = Layout::below(dir.clone(), name.parse().expect("a name"));
            for folder in [layout.logs(), layout.run().join("processes")] {
                fs::create_dir_all(folder).expect("a folder");
            }
            Self(dir, Cluster::of(&layout))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = self.1.stop(Part::Etcd);
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn sleep(seconds: u32) -> Spec {
        Spec {
            program: "sleep".into(),
            args: vec![seconds.to_string()],
            env: BTreeMap::from([("PATH".into(), env::var("PATH").expect("a PATH"))]),
            content: String::new(),
        }
    }

    #[test]
    fn a_running_part_with_the_same_command_line_is_not_restarted() {
        let Scratch(_, cluster) = &Scratch::new("same");
        let first = cluster.ensure(Part::Etcd, sleep(60)).expect("started");
        assert_eq!(cluster.ensure(Part::Etcd, sleep(60)).expect("kept"), first);
        assert_eq!(cluster.state(Part::Etcd), Some(State::Running));
    }

    #[test]
    fn a_part_whose_command_line_has_changed_is_replaced() {
        let Scratch(_, cluster) = &Scratch::new("changed");
        let first = cluster.ensure(Part::Etcd, sleep(60)).expect("started");
        let second = cluster.ensure(Part::Etcd, sleep(61)).expect("replaced");
        assert_ne!(first, second);
        assert_eq!((first.state(), second.state()), (State::Gone, State::Running));
    }

    #[test]
    fn a_frozen_part_resumes_as_the_same_process() {
        let Scratch(_, cluster) = &Scratch::new("frozen");
        let first = cluster.ensure(Part::Etcd, sleep(60)).expect("started");
        cluster.freeze(Part::Etcd).expect("frozen");
        assert_eq!(cluster.ensure(Part::Etcd, sleep(60)).expect("thawed"), first);
        assert_eq!(cluster.state(Part::Etcd), Some(State::Running));
    }

    #[test]
    fn a_part_that_ended_is_started_again_and_one_that_never_ran_cannot_be_stopped() {
        let Scratch(_, cluster) = &Scratch::new("ended");
        assert!(matches!(cluster.stop(Part::Etcd), Err(Error::NeverStarted { part: Part::Etcd })));
        let first = cluster.ensure(Part::Etcd, sleep(60)).expect("started");
        cluster.stop(Part::Etcd).expect("stopped");
        assert_eq!(first.state(), State::Gone);
        assert_ne!(cluster.ensure(Part::Etcd, sleep(60)).expect("started"), first);
    }
}
