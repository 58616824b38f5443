//! Starts, identifies and signals the processes of the lab.
//!
//! A process is identified by its id *and* its start time, so that an id that the kernel has reused
//! is never signaled.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{sys::signal, unistd::Pid};
use serde::{Deserialize, Serialize};

/// A command line and its environment; nothing is inherited from the environment of the process
/// that starts the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its complete environment.
    pub env: BTreeMap<String, String>,
    /// A digest of the other files that the program reads: its own file if that changes,
    /// configuration files.
    pub content: String,
}

/// Identifies a process among all that have or had its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine's boot (proc(5), field 22 of `stat`).
    pub started: u64,
}

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits for something.
    Running,
    /// It was stopped by a signal and does not run until it is resumed.
    Frozen,
    /// It has ended, or its id belongs to another process.
    Gone,
}

impl Identity {
    /// Returns the current process with this id, if there is one.
    pub fn of(pid: i32) -> Option<Self> {
        let (_, started) = read_stat(pid)?;
        Some(Self { pid, started })
    }

    /// Returns the state of exactly this process.
    pub fn state(self) -> State {
        match read_stat(self.pid) {
            Some((letter, started)) if started == self.started => match letter {
                'Z' | 'X' => State::Gone,
                'T' | 't' => State::Frozen,
                _ => State::Running,
            },
            _ => State::Gone,
        }
    }

    /// Sends a signal. Returns no error if the process is gone.
    pub fn signal(self, what: signal::Signal) -> Result<(), Error> {
        if self.state() == State::Gone {
            return Ok(());
        }
        match signal::kill(Pid::from_raw(self.pid), what) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(source) => Err(Error::Signal { pid: self.pid, source }),
        }
    }

    /// Returns the processor time used by it and by those of its children that have ended, or
    /// `None` if the kernel does not report it.
    pub fn processor(self) -> Option<Duration> {
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        let ticks = parse_ticks(&fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?)?;
        Some(Duration::from_millis(ticks * 1000 / u64::try_from(per_second).ok()?))
    }

    /// Returns the time since it started, or `None` if the kernel does not report it.
    pub fn age(self) -> Option<Duration> {
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        let up: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        let started = Duration::from_millis(self.started * 1000 / u64::try_from(per_second).ok()?);
        Duration::from_secs_f64(up).checked_sub(started)
    }
}

/// The reason why a process could not be started, signaled or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be opened, or the program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It ended before it could be identified.
    #[error("{} ended immediately; see its log {}", program.display(), log.display())]
    EndedAtOnce {
        /// The program.
        program: PathBuf,
        /// The file with its output.
        log: PathBuf,
    },
    /// The signal could not be sent.
    #[error("cannot signal process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// The cause.
        source: nix::errno::Errno,
    },
    /// A process still runs after SIGSTOP.
    #[error("process {pid} still runs after SIGSTOP")]
    StillRunning {
        /// The process.
        pid: i32,
    },
    /// A process outlived SIGKILL.
    #[error("process {pid} still runs after SIGKILL")]
    NotKilled {
        /// The process.
        pid: i32,
    },
}

/// Starts a program in a new session (so that it outlives the terminal), with its output appended
/// to `log`.
pub fn start(spec: &Spec, dir: &Path, log: &Path) -> Result<Identity, Error> {
    let (mut child, identity) = spawn(spec, dir, log)?;
    // Reaped in the background for as long as this program runs; after that, by init.
    thread::spawn(move || child.wait());
    Ok(identity)
}

/// Does the same without a thread that waits for its end.
pub(crate) fn spawn(spec: &Spec, dir: &Path, log: &Path) -> Result<(Child, Identity), Error> {
    let failed = |source| Error::Start { program: spec.program.clone(), source };
    let out = File::options().create(true).append(true).open(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    // `setsid` replaces itself with the program, so the id is the same.
    let child = Command::new("setsid")
        .arg(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(&spec.env)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(failed)?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let ended = || Error::EndedAtOnce { program: spec.program.clone(), log: log.to_owned() };
    let identity = Identity::of(pid).ok_or_else(ended)?;
    Ok((child, identity))
}

/// Ends processes: SIGTERM to all, and SIGKILL to those that still run after `grace`.
pub fn end(all: &[Identity], grace: Duration) -> Result<(), Error> {
    for one in all {
        one.signal(signal::SIGTERM)?;
        // A frozen process does not handle SIGTERM.
        one.signal(signal::SIGCONT)?;
    }
    if wait_gone(all, grace).is_none() {
        return Ok(());
    }
    for one in all {
        one.signal(signal::SIGKILL)?;
    }
    match wait_gone(all, Duration::from_secs(5)) {
        None => Ok(()),
        Some(one) => Err(Error::NotKilled { pid: one.pid }),
    }
}

/// Freezes a process (SIGSTOP), and waits until it is stopped: the kernel stops it when it next
/// schedules it.
pub fn freeze(one: Identity) -> Result<(), Error> {
    one.signal(signal::SIGSTOP)?;
    let until = Instant::now() + Duration::from_secs(5);
    while one.state() == State::Running {
        if Instant::now() >= until {
            return Err(Error::StillRunning { pid: one.pid });
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits until all are gone. At the deadline, returns one that is not.
fn wait_gone(all: &[Identity], limit: Duration) -> Option<Identity> {
    let until = Instant::now() + limit;
    loop {
        let left = all.iter().copied().find(|one| one.state() != State::Gone)?;
        if Instant::now() >= until {
            return Some(left);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns state letter and start time from `/proc/PID/stat`.
fn read_stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses them. The program's name, the second field, is in parentheses and can itself contain
/// blanks and parentheses.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Returns the sum of the four fields of processor time: of the process and of its children, each
/// in user and in system mode.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<u64> =
        rest.split_ascii_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    (fields.len() == 4).then(|| fields.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_is_parsed() {
        let stat = "12 (a) b (c)) T 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2 3";
        assert_eq!(parse_stat(stat), Some(('T', 98765)));
        let stat = "12 (a) b (c)) T 1 12 12 0 -1 4194560 1 0 0 0 1 20 300 4000 20 0 1 0 98765 1 2 3";
        assert_eq!(parse_ticks(stat), Some(4321));
    }

    #[test]
    fn a_reused_id_is_another_process() {
        let me = Identity::of(i32::try_from(std::process::id()).expect("an id")).expect("this process");
        assert_eq!(me.state(), State::Running);
        let other = Identity { started: me.started + 1, ..me };
        assert_eq!(other.state(), State::Gone);
        // This would end the test run if the start time were not compared.
        other.signal(signal::SIGKILL).expect("nothing to signal");
    }

    #[test]
    fn a_frozen_process_is_recognized_and_can_be_ended() {
        let dir = std::env::temp_dir();
        let log = dir.join(format!("lab-process-{}.log", std::process::id()));
        let spec = Spec {
            program: "sleep".into(),
            args: vec!["60".into()],
            env: BTreeMap::from([("PATH".into(), std::env::var("PATH").expect("a PATH"))]),
            content: String::new(),
        };
        let one = start(&spec, &dir, &log).expect("started");
        freeze(one).expect("frozen");
        assert_eq!(one.state(), State::Frozen);
        end(&[one], Duration::from_secs(5)).expect("ended");
        assert_eq!(one.state(), State::Gone);
        fs::remove_file(log).expect("the log");
    }
}
