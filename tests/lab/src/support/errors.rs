//! Errors of the test support.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// The reason why a test on the lab failed; anything that can be displayed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a step of a test failed.
#[derive(Debug, Error)]
pub enum SupportError {
    /// A variable that `cargo lab test` and `cargo lab shell` set is missing.
    #[error("{0} is not set: run this test by `cargo lab test`")]
    Outside(&'static str),
    /// The kubeconfig can't be used.
    #[error("could not use the lab's kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// A request to the API server failed.
    #[error("could not {what}: {source}")]
    Api {
        /// The operation.
        what: String,
        /// The cause.
        source: kube::Error,
    },
    /// A manifest that can't be read.
    #[error("could not read the manifest: {0}")]
    Manifest(String),
    /// A wait exceeded its limit.
    #[error("{what}: not reached within {limit:?}; last seen: {seen}")]
    Deadline {
        /// The awaited condition.
        what: String,
        /// The limit.
        limit: Duration,
        /// What was last seen.
        seen: String,
    },
    /// A command that failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its output.
        output: String,
    },
    /// A command that could not be run.
    #[error("could not run `{command}`: {source}")]
    Run {
        /// The command line.
        command: String,
        /// The cause.
        source: io::Error,
    },
}

impl SupportError {
    /// Returns a function that adds the operation to an error of the API server.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { what: what.into(), source }
    }
}
