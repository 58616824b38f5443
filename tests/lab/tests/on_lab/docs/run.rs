//! Running the commands of pages, in a namespace and a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::paths::repository;
use lab::support::{Failure, Space, tell};
use tokio::process::Command;

use super::{By, commands};

/// No line of a page runs longer.
const LINE: Duration = Duration::from_mins(2);
/// How many lines of what a command printed are shown.
const SHOWN: usize = 12;

/// Commands that are only rehearsed, by `--dry-run=server`, and why.
const REHEARSED: [(&str, &str); 1] =
    [("kubectl delete crd ", "it would take the policies and rollouts of all other tests away")];

/// Commands that are to be run, all of them, in an order of the test's own.
pub(super) struct Lines {
    left: Vec<(String, String)>,
    /// Where they run.
    pub(super) folder: PathBuf,
    /// Whom they speak to.
    pub(super) config: Config,
}

impl Lines {
    /// Those of a test. They run in this folder, and where they name no namespace in that of the space.
    pub(super) async fn of(by: By, space: &Space, folder: &Path) -> Result<Self, Failure> {
        Ok(Self { left: commands(by)?, folder: folder.to_owned(), config: Config::of(space).await? })
    }

    /// Runs each line of a page that begins so and wasn't run yet, in order; gives what the last one printed.
    pub(super) async fn run(&mut self, page: &str, begin: &str) -> Result<String, Failure> {
        let fits = |(of, line): &(String, String)| of == page && line.starts_with(begin);
        let (now, left) = self.left.drain(..).partition(fits);
        self.left = left;
        let now: Vec<(String, String)> = now;
        let mut printed = Err(format!("{page} has no line that begins with {begin:?}").into());
        for (_, line) in now {
            let rehearsed = REHEARSED.iter().any(|(begin, _)| line.starts_with(begin));
            let line = if rehearsed { format!("{line} --dry-run=server") } else { line };
            printed = Ok(run(&line, &self.config.0, &self.folder).await?);
        }
        printed
    }

    /// Checks that none was left out.
    pub(super) fn done(self) {
        assert!(self.left.is_empty(), "no test runs {:?}", self.left);
    }
}

/// Runs a command line in a shell; gives what it printed.
pub(super) async fn run(line: &str, kubeconfig: &Path, folder: &Path) -> Result<String, Failure> {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", line]).current_dir(folder).env("KUBECONFIG", kubeconfig);
    let output = tokio::time::timeout(LINE, shell.kill_on_drop(true).output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let begin: Vec<&str> = out.lines().take(SHOWN).collect();
    tell(format_args!("$ {line}\n{}\n{err}", begin.join("\n")));
    if output.status.success() { Ok(out) } else { Err(format!("`{line}` failed: {out}{err}").into()) }
}

/// A kubeconfig that leads to this namespace where a command names none. Gone when it is dropped.
pub(super) struct Config(pub(super) PathBuf);

impl Config {
    pub(super) async fn of(space: &Space) -> Result<Self, Failure> {
        let file = std::env::temp_dir().join(format!("kubeconfig-{}", space.name()));
        std::fs::copy(std::env::var("KUBECONFIG")?, &file)?;
        let config = Self(file);
        let set = format!("kubectl config set-context --current --namespace={}", space.name());
        run(&set, &config.0, &repository()).await?;
        Ok(config)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
