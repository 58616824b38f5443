//! The program `steelyard`: the controller, and the commands for operators.

use std::process::ExitCode;

use clap::Parser as _;
use steelyard::cli;

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider is installed");
        return ExitCode::FAILURE;
    }
    cli::run(cli::Cli::parse()).await
}
