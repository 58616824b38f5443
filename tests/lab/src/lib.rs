//! The lab: a real Kubernetes control plane, a real Gateway and a real Prometheus on one machine,
//! without containers; and support code for the tests that run on it.

pub mod agent;
pub mod app;
pub mod bench;
pub mod certs;
pub mod cluster;
pub mod components;
pub mod demo;
pub mod digest;
pub mod errors;
pub mod load;
pub mod machine;
pub mod net;
pub mod own;
pub mod parts;
pub mod paths;
pub mod process;
pub mod ready;
pub mod shell;
pub mod status;
pub mod steelyard;
pub mod suite;
pub mod support;
pub mod up;

use std::{fmt, fs, future::Future, path::Path};

use errors::Error;

/// Selects the TLS library, for programs that use TLS. A second call has no effect.
pub fn use_ring() {
    // An error means that one was selected already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs a future to completion on this thread.
pub fn in_runtime<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(future)
}

/// Prints a message about the lab's progress.
pub(crate) fn say(what: impl fmt::Display) {
    eprintln!("lab: {what}");
}

/// Returns the last lines of a file, indented; an empty string if it can't be read.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<_> = text.lines().collect();
    let last = all.iter().skip(all.len().saturating_sub(lines));
    last.map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}
