//! One test in a separate process: its outcome, duration and processor time.

use std::{
    fmt::Write,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use super::Error;
use crate::{paths::Layout, process::Identity};

/// The time limit of a test; one that runs longer is killed, and has failed.
const LIMIT: Duration = Duration::from_mins(10);

/// The outcome of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was killed at the time limit.
    Late,
}

/// Which attempt at a test a run is. Each keeps its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// With the other tests.
    First,
    /// After a failure, with nothing else running.
    Second,
}

/// A finished test.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Its name.
    pub(super) name: String,
    /// Its outcome.
    pub(super) outcome: Outcome,
    /// Its duration.
    pub(super) took: Duration,
    /// Processor time of its process and of all commands that it ran.
    pub(super) processor: Duration,
    /// Its standard error, which is always shown.
    pub(super) notes: String,
    /// Its standard output, which is shown only if it failed.
    pub(super) output: String,
}

impl Run {
    /// Runs a test of the program inside a lab.
    pub(super) fn of(name: &str, attempt: Attempt, program: &Path, layout: &Layout) -> Result<Self, Error> {
        let mut command = Command::new(layout.bin().join("lab"));
        command.arg("--name").arg(layout.name().to_string()).args(["shell", "--"]);
        // The working directory is the same as with `cargo test`.
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.arg(program).args([name, "--exact"]);
        let dir = match attempt {
            Attempt::First => layout.run().join("output"),
            Attempt::Second => layout.run().join("output/second"),
        };
        fs::create_dir_all(&dir).map_err(|source| Error::File { path: dir.clone(), source })?;
        Self::watch(name, command, &dir, LIMIT)
            .map_err(|source| Error::Run { program: program.to_owned(), source })
    }

    /// Runs a command as the test of this name; its output goes to files in the directory.
    fn watch(name: &str, mut command: Command, dir: &Path, limit: Duration) -> io::Result<Self> {
        let file = |kind: &str| dir.join(format!("{}.{kind}", name.replace("::", ".")));
        let (out, err) = (file("out"), file("err"));
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
        let began = Instant::now();
        let (status, processor, late) = wait(command.spawn()?, limit)?;
        let outcome = match (late, status.success()) {
            (true, _) => Outcome::Late,
            (false, true) => Outcome::Passed,
            (false, false) => Outcome::Failed,
        };
        let text = |file: &PathBuf| fs::read(file).map(|text| String::from_utf8_lossy(&text).into_owned());
        let (notes, output) = (text(&err)?, text(&out)?);
        Ok(Self { name: name.to_owned(), outcome, took: began.elapsed(), processor, notes, output })
    }

    /// Returns its line in a list, with all its output if it failed.
    pub(super) fn report(&self) -> String {
        let result = match self.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Late => "LATE",
        };
        let output = if self.outcome == Outcome::Passed { "" } else { self.output.as_str() };
        let mut text = format!("{result:<6} {}\n", self.line());
        for line in self.notes.lines().chain(output.lines()) {
            let _ = writeln!(text, "    {line}");
        }
        text
    }

    /// Returns its duration, the share of one processor that it used, and its name.
    pub(super) fn line(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let share = 100.0 * self.processor.as_secs_f64() / seconds.max(0.001);
        format!("{seconds:6.1} s (cpu {share:3.0} %) {}", self.name)
    }
}

/// Waits until a process ends, or kills it when the limit has passed. Returns its status, its
/// processor time including its children, and whether it was killed.
fn wait(mut child: Child, limit: Duration) -> io::Result<(ExitStatus, Duration, bool)> {
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late && let Some(process) = Identity::of(pid) {
                // If the signal fails, the test continues, and the other thread notices.
                let _ = process.signal(Signal::SIGKILL);
            }
            late
        });
        // A process that has ended keeps its statistics until it is waited for.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while let Err(error) = waitid(Id::Pid(Pid::from_raw(pid)), flags) {
            if error != nix::errno::Errno::EINTR {
                break;
            }
        }
        let processor = Identity::of(pid).and_then(Identity::processor).unwrap_or_default();
        drop(ended);
        let status = child.wait()?;
        Ok((status, processor, watch.join().unwrap_or(false)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Run {
        let dir = std::env::temp_dir();
        let name = format!("lab-run-{}-{}", std::process::id(), script.len());
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        let run = Run::watch(&name, command, &dir, limit).expect("it runs");
        for kind in ["out", "err"] {
            fs::remove_file(dir.join(format!("{name}.{kind}"))).expect("removed");
        }
        run
    }

    #[test]
    fn a_passed_test_shows_stderr_and_a_failed_one_all_output() {
        let limit = Duration::from_secs(20);
        let passed = shell("echo out; echo note >&2", limit);
        assert_eq!(passed.outcome, Outcome::Passed);
        assert!(passed.report().starts_with("ok "), "{}", passed.report());
        assert!(passed.report().ends_with("\n    note\n"), "{}", passed.report());
        let failed = shell("echo out; echo note >&2; exit 101", limit);
        assert_eq!(failed.outcome, Outcome::Failed);
        assert!(failed.report().ends_with("\n    note\n    out\n"), "{}", failed.report());
    }

    #[test]
    fn processor_time_includes_child_processes() {
        let busy = "bash -c 'for ((i = 0; i < 300000; i++)); do :; done'";
        let run = shell(&format!("{busy}; sleep 0.1"), Duration::from_mins(1));
        assert!(run.processor >= Duration::from_millis(50), "{run:?}");
        assert!(run.took > Duration::from_millis(100), "{run:?}");
        let idle = shell("exec sleep 0.3", Duration::from_mins(1));
        assert!(idle.processor < Duration::from_millis(200), "{idle:?}");
    }

    #[test]
    fn a_test_that_exceeds_the_limit_is_killed() {
        let run = shell("echo begun; exec sleep 60", Duration::from_millis(300));
        assert_eq!(run.outcome, Outcome::Late);
        assert!(run.took < Duration::from_secs(30), "{run:?}");
        assert!(run.report().contains("begun"), "{run:?}");
    }
}
