//! What can go wrong in a test's own machinery.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why a test on the lab failed; anything that can be shown.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why a step of a test could not be done.
#[derive(Debug, Error)]
pub enum SupportError {
    /// A variable that `cargo lab test` and `cargo lab shell` set is not there.
    #[error("{0} is not set: run this test by `cargo lab test`")]
    Outside(&'static str),
    /// The kubeconfig can't be used.
    #[error("could not use the lab's kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The API server's answer.
    #[error("could not {what}: {source}")]
    Api {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: kube::Error,
    },
    /// A manifest that can't be read.
    #[error("could not read the manifest: {0}")]
    Manifest(String),
    /// A wait that took too long.
    #[error("{what} did not come true within {limit:?}; last seen: {seen}")]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long.
        limit: Duration,
        /// What there was instead.
        seen: String,
    },
    /// A command that failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
    },
    /// A command that could not be run.
    #[error("could not run `{command}`: {source}")]
    Run {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
}

impl SupportError {
    /// Names what was tried when the API server refused it.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { what: what.into(), source }
    }
}
