//! Runs the commands of pages in a namespace and a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::paths::repository;
use lab::support::{Failure, Space, tell};
use tokio::process::Command;

use super::{By, commands};

/// The longest time that a command of a page runs.
const LINE: Duration = Duration::from_mins(2);
/// How many lines of a command's output are shown.
const SHOWN: usize = 12;

/// Commands that run only with `--dry-run=server`, and the reasons.
const DRY_RUN: [(&str, &str); 1] =
    [("kubectl delete crd ", "it would delete the policies and rollouts of all other tests")];

/// Commands that must all run, in an order that the test chooses.
pub(super) struct Lines {
    left: Vec<(String, String)>,
    /// The folder where they run.
    pub(super) folder: PathBuf,
    /// The kubeconfig that they use.
    pub(super) config: Config,
}

impl Lines {
    /// The commands of a test. They run in this folder and, where they name no namespace, in that
    /// of the space.
    pub(super) async fn of(by: By, space: &Space, folder: &Path) -> Result<Self, Failure> {
        Ok(Self { left: commands(by)?, folder: folder.to_owned(), config: Config::of(space).await? })
    }

    /// Runs each command of a page that begins with `begin` and has not run yet, in order. Returns
    /// the last output.
    pub(super) async fn run(&mut self, page: &str, begin: &str) -> Result<String, Failure> {
        let fits = |(of, line): &(String, String)| of == page && line.starts_with(begin);
        let (now, left) = self.left.drain(..).partition(fits);
        self.left = left;
        let now: Vec<(String, String)> = now;
        let mut printed = Err(format!("{page} has no line that begins with {begin:?}").into());
        for (_, line) in now {
            let dry = DRY_RUN.iter().any(|(begin, _)| line.starts_with(begin));
            let line = if dry { format!("{line} --dry-run=server") } else { line };
            printed = Ok(run(&line, &self.config.0, &self.folder).await?);
        }
        printed
    }

    /// Checks that every command has run.
    pub(super) fn done(self) {
        assert!(self.left.is_empty(), "no test runs {:?}", self.left);
    }
}

/// Runs a command in a shell and returns its output.
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

/// A kubeconfig with this namespace as the default. Removed on drop.
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
