//! The lab's replacement for kubelet. See [`lab::agent`].

use std::process::ExitCode;

use clap::Parser;
use lab::agent::{Args, run};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    lab::use_ring();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("node-agent: {error}");
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                eprint!(": {source}");
                cause = source;
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
