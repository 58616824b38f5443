//! The error type of the lab's commands: what failed, in which part.

use std::{io, path::PathBuf};

use crate::{
    agent::control::ControlError, bench, certs, components::Part, demo, machine, net, own, parts, paths,
    process, ready, steelyard, suite,
};

/// The reason why a command of the lab failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant wraps the error of the module it is named after")]
pub enum Error {
    #[error(transparent)]
    Paths(#[from] paths::NoHome),
    #[error(transparent)]
    Machine(#[from] machine::Error),
    #[error(transparent)]
    Parts(#[from] parts::Error),
    #[error(transparent)]
    Own(#[from] own::Error),
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error(transparent)]
    Certs(#[from] certs::Error),
    #[error(transparent)]
    Process(#[from] process::Error),
    #[error(transparent)]
    Ready(#[from] ready::Error),
    #[error(transparent)]
    Steelyard(#[from] steelyard::Error),
    #[error(transparent)]
    Suite(#[from] suite::Error),
    #[error(transparent)]
    Demo(#[from] demo::Error),
    #[error(transparent)]
    Bench(#[from] bench::Error),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start an asynchronous runtime")]
    Runtime(#[source] io::Error),
    #[error("{part} was never started in this lab; start the lab with `cargo lab up`")]
    NeverStarted { part: Part },
    #[error("{what} failed:\n{output}")]
    Kubectl { what: String, output: String },
    #[error("cannot run {}", program.display())]
    Run { program: PathBuf, source: io::Error },
}

impl Error {
    /// Returns the error and its causes on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            let next_text = next.to_string();
            if !text.ends_with(&next_text) {
                text = format!("{text}: {next_text}");
            }
            cause = next.source();
        }
        text
    }
}

/// Adds the path to an error of a file operation.
pub(crate) fn on_file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    |source| Error::File { path, source }
}
