//! The commands of the program `steelyard`.

mod config;
mod controller;
mod crds;
mod drain;
mod policy;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use config::{Config, ConfigError, parse};
pub use controller::Options;
pub use crds::files;
pub use policy::markdown as policy_reference;

/// Progressive delivery for the Deployments you already have.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller.
    Controller(Options),
    /// Release every Deployment, before Steelyard is uninstalled.
    Drain(drain::Options),
    /// Print the custom resource definitions.
    Crds {
        /// Directory to write one file per CRD to
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Check policies, or print their reference.
    #[command(subcommand)]
    Policy(policy::Command),
}

/// Runs the command.
pub async fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Controller(options) => controller::run(options).await,
        Command::Drain(options) => drain::run(options).await,
        Command::Crds { dir } => crds::write(dir.as_deref()).map_err(Into::into),
        Command::Policy(command) => return policy::run(command).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", crate::cluster::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
