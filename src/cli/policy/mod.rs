//! `steelyard policy ...`: what can be said of policies without a cluster.

mod ask;
mod check;
mod found;
mod reference;

use std::process::ExitCode;

use clap::Subcommand;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check policy files: every fault at once, each with file, line and column. Exits with 0 if there is none, 1 if there is one, 2 if a file can't be read.
    Check(check::Options),
    /// Print the reference of all fields, as Markdown.
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
