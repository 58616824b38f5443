//! Starting, recognising and signalling the processes of the lab.
//!
//! A process is known by its id *and* the moment it started, so that an id which the kernel gave to
//! somebody else meanwhile is never signalled.

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

/// A command line: what to run, with nothing inherited from the environment of whoever starts the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// A digest of what the program reads besides: its own file where that changes, configuration files.
    pub content: String,
}

/// One process, told apart from any other that has had or will have its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine's boot (proc(5), field 22 of `stat`).
    pub started: u64,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits for something.
    Running,
    /// It was stopped by a signal and will not run until it is continued.
    Frozen,
    /// It has ended, or its id now belongs to another process.
    Gone,
}

impl Identity {
    /// The process that has this id now, if there is one.
    pub fn of(pid: i32) -> Option<Self> {
        let (_, started) = read_stat(pid)?;
        Some(Self { pid, started })
    }

    /// What this very process is doing.
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

    /// Sends a signal; a process that is gone already is no error.
    pub fn signal(self, what: signal::Signal) -> Result<(), Error> {
        if self.state() == State::Gone {
            return Ok(());
        }
        match signal::kill(Pid::from_raw(self.pid), what) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(source) => Err(Error::Signal { pid: self.pid, source }),
        }
    }

    /// Processor time that it has used, and all those of its children that have ended; `None` when the
    /// kernel doesn't say.
    pub fn processor(self) -> Option<Duration> {
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        let ticks = parse_ticks(&fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?)?;
        Some(Duration::from_millis(ticks * 1000 / u64::try_from(per_second).ok()?))
    }

    /// How long ago it started; `None` when the kernel doesn't say.
    pub fn age(self) -> Option<Duration> {
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        let up: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        let started = Duration::from_millis(self.started * 1000 / u64::try_from(per_second).ok()?);
        Duration::from_secs_f64(up).checked_sub(started)
    }
}

/// Why a process could not be started, signalled or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be opened, or the program not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was gone before it could be looked at.
    #[error("{} ended at once; its log is {}", program.display(), log.display())]
    EndedAtOnce {
        /// The program.
        program: PathBuf,
        /// Where its output went.
        log: PathBuf,
    },
    /// The kernel refused a signal.
    #[error("cannot signal process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// What the system said.
        source: nix::errno::Errno,
    },
    /// A process runs on after SIGSTOP.
    #[error("process {pid} does not stop")]
    Restless {
        /// The process.
        pid: i32,
    },
    /// A process outlived SIGKILL.
    #[error("process {pid} does not end")]
    Immortal {
        /// The process.
        pid: i32,
    },
}

/// Starts a program in a session of its own (it outlives the terminal), with its output appended to `log`.
pub fn start(spec: &Spec, dir: &Path, log: &Path) -> Result<Identity, Error> {
    let (mut child, identity) = spawn(spec, dir, log)?;
    // Reaped in the background for as long as this program runs; afterwards init does it.
    thread::spawn(move || child.wait());
    Ok(identity)
}

/// The same without a thread that waits for its end.
pub(crate) fn spawn(spec: &Spec, dir: &Path, log: &Path) -> Result<(Child, Identity), Error> {
    let failed = |source| Error::Start { program: spec.program.clone(), source };
    let out = File::options().create(true).append(true).open(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    // `setsid` replaces itself by the program: the id stays.
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

/// Ends processes: SIGTERM to all, and SIGKILL to those that are still there after `grace`.
pub fn end(all: &[Identity], grace: Duration) -> Result<(), Error> {
    for one in all {
        one.signal(signal::SIGTERM)?;
        // A frozen process sees no SIGTERM.
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
        Some(one) => Err(Error::Immortal { pid: one.pid }),
    }
}

/// Stops a process in its tracks (SIGSTOP), and waits until it stands still: the kernel stops it when it next gives it
/// the processor.
pub fn freeze(one: Identity) -> Result<(), Error> {
    one.signal(signal::SIGSTOP)?;
    let until = Instant::now() + Duration::from_secs(5);
    while one.state() == State::Running {
        if Instant::now() >= until {
            return Err(Error::Restless { pid: one.pid });
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits until all are gone; gives back one that is not, at the deadline.
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

/// State letter and start time from `/proc/PID/stat`.
fn read_stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The program's name, second of the fields, is in parentheses and may hold blanks and parentheses itself.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The sum of the four fields of processor time: its own and its children's, each in user and in
/// system mode.
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
    fn a_program_name_with_parentheses_does_not_confuse_the_reader() {
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
        // Would end this test run if the start time were not looked at.
        other.signal(signal::SIGKILL).expect("nothing to signal");
    }

    #[test]
    fn a_frozen_process_is_told_from_a_running_one_and_ends_all_the_same() {
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
