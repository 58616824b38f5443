//! `steelyard policy ...`: works on policies without a cluster.

mod check;
mod found;
mod queries;
mod reference;

use std::process::ExitCode;

use clap::Subcommand;

/// The commands for policies.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check policy files and report every error with file, line and column. Exit codes: 0 no
    /// error, 1 errors, 2 a file can't be read.
    Check(check::Options),
    /// Print the reference of all fields as Markdown.
    Reference,
}

pub(super) async fn run(command: Command) -> ExitCode {
    match command {
        Command::Check(options) => check::run(options).await,
        Command::Reference => {
            print!("{}", reference::markdown());
            ExitCode::SUCCESS
        }
    }
}

pub use reference::markdown;
