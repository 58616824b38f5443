//! One test in a process of its own: what came of it, how long it took, and what it cost.

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

/// A test that runs longer is ended, and has failed.
const LIMIT: Duration = Duration::from_mins(10);

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was ended when its time was over.
    Late,
}

/// A test that has run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Its name.
    pub(super) name: String,
    /// What came of it.
    pub(super) outcome: Outcome,
    /// How long it took.
    pub(super) took: Duration,
    /// Processor time of its process and of all commands that it ran.
    pub(super) processor: Duration,
    /// What it printed for everybody.
    pub(super) notes: String,
    /// What it printed besides, which matters if it failed.
    pub(super) output: String,
}

impl Run {
    /// Runs a test of the program inside a lab.
    pub(super) fn of(name: &str, program: &Path, layout: &Layout) -> Result<Self, Error> {
        let mut command = Command::new(layout.bin().join("lab"));
        command.arg("--name").arg(layout.name().to_string()).args(["shell", "--"]);
        // It sees files of the repository where `cargo test` would show them.
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.arg(program).args([name, "--exact"]);
        let dir = layout.run().join("output");
        fs::create_dir_all(&dir).map_err(|source| Error::File { path: dir.clone(), source })?;
        Self::watch(name, command, &dir, LIMIT)
            .map_err(|source| Error::Run { program: program.to_owned(), source })
    }

    /// Runs a command as the test of this name; its output is in files of the folder.
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

    /// Its line in a list, with all that it printed if it failed.
    pub(super) fn report(&self) -> String {
        let word = match self.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Late => "LATE",
        };
        let output = if self.outcome == Outcome::Passed { "" } else { self.output.as_str() };
        let mut text = format!("{word:<6} {}\n", self.line());
        for line in self.notes.lines().chain(output.lines()) {
            let _ = writeln!(text, "    {line}");
        }
        text
    }

    /// Its duration, the share of one processor that it used, and its name.
    pub(super) fn line(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let share = 100.0 * self.processor.as_secs_f64() / seconds.max(0.001);
        format!("{seconds:6.1} s (cpu {share:3.0} %) {}", self.name)
    }
}

/// Waits until a process ends, or ends it when the limit has passed: its status, its processor time
/// with that of its children, and whether it was ended.
fn wait(mut child: Child, limit: Duration) -> io::Result<(ExitStatus, Duration, bool)> {
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let (ended, news) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = news.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late && let Some(process) = Identity::of(pid) {
                // If the signal fails the test goes on, which the other thread notices.
                let _ = process.signal(Signal::SIGKILL);
            }
            late
        });
        // Until it is waited for, a process that has ended keeps its figures.
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
    fn a_test_that_passed_shows_its_notes_and_one_that_failed_all_that_it_printed() {
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
    fn the_processor_time_is_that_of_the_process_and_of_the_commands_that_it_ran() {
        let busy = "bash -c 'for ((i = 0; i < 300000; i++)); do :; done'";
        let run = shell(&format!("{busy}; sleep 0.1"), Duration::from_mins(1));
        assert!(run.processor >= Duration::from_millis(50), "{run:?}");
        assert!(run.took > Duration::from_millis(100), "{run:?}");
        let idle = shell("exec sleep 0.3", Duration::from_mins(1));
        assert!(idle.processor < Duration::from_millis(200), "{idle:?}");
    }

    #[test]
    fn a_test_that_does_not_end_is_ended() {
        let run = shell("echo begun; exec sleep 60", Duration::from_millis(300));
        assert_eq!(run.outcome, Outcome::Late);
        assert!(run.took < Duration::from_secs(30), "{run:?}");
        assert!(run.report().contains("begun"), "{run:?}");
    }
}
