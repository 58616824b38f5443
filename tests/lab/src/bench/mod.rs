//! `cargo lab bench`: benchmarks on the lab.

pub mod fleet;
pub mod reaction;

use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::errors::Error as LabError;
use crate::own;
use crate::paths::Layout;
use crate::shell;
use crate::support::{Failure, SupportError};
use crate::up::{self, Without};

/// The reason why there are no figures, or why they miss their goals.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be run.
    #[error("cannot run the benchmark")]
    Run(#[source] io::Error),
    /// The benchmark inside the lab failed and has printed the reason.
    #[error("the benchmark failed")]
    Failed,
    /// The setup failed.
    #[error("cannot set up the benchmark: {0}")]
    Stage(Failure),
    /// A step of the benchmark failed.
    #[error(transparent)]
    Step(#[from] SupportError),
    /// The controller's metrics can't be read.
    #[error("cannot read Steelyard's metrics: {0}")]
    Metrics(String),
    /// A release lacks a measured value.
    #[error("release {version} has no {what}")]
    Missing {
        /// The release's version.
        version: String,
        /// The missing value.
        what: &'static str,
    },
    /// A process that is measured does not run.
    #[error("no process of {0} runs on the lab")]
    Process(String),
    /// A file could not be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Figures beyond their goals.
    #[error("not within its goal: {}", .0.join(", "))]
    Goals(Vec<String>),
}

impl Error {
    fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// Starts the lab and runs this program on it again, as `cargo lab bench ARGS --inside`. Must be
/// called before any thread is started.
fn inside(layout: &Layout, args: &[String]) -> Result<(), LabError> {
    up::up(layout, &Without::default())?;
    // As in the demo, the clients find the lab through environment variables, which this process
    // can't change for itself.
    let program = std::env::current_exe().map_err(Error::Run)?;
    let mut command = Command::new(program);
    command.arg("bench").args(args).arg("--inside");
    shell::environment(layout, &mut command);
    ended(command)
}

/// Builds this program, and with it all programs of the lab, for release, and runs `cargo lab bench
/// ARGS` with it.
fn released(layout: &Layout, args: &[String]) -> Result<(), LabError> {
    let lab = ["--release", "--package", "lab", own::FEATURES, "--bin", "lab", "--"];
    let mut command = own::cargo("run", &lab);
    command.args(["--name", &layout.name().to_string(), "bench"]).args(args);
    ended(command)
}

fn ended(mut command: Command) -> Result<(), LabError> {
    let status = command.status().map_err(Error::Run)?;
    if status.success() { Ok(()) } else { Err(Error::Failed.into()) }
}
