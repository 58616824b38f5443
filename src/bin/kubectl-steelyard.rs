//! The kubectl plugin: `kubectl steelyard ...`.

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};
use steelyard::plugin::{Code, args::Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider is installed");
        return Code::Usage.into();
    }
    match Cli::try_parse() {
        Ok(cli) => run(cli).await.into(),
        Err(error) => {
            let _ = error.print();
            let requested = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            if requested { Code::Done.into() } else { Code::Usage.into() }
        }
    }
}
