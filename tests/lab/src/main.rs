//! `cargo lab`: a Kubernetes cluster on this machine, without containers.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use cli::{Action, Bench, Cli};
use lab::{
    agent::control::{Request, send},
    bench::{fleet, reaction},
    cluster::Cluster,
    demo,
    errors::Error,
    in_runtime,
    paths::Layout,
    shell, status, suite,
    up::{self, Without},
};

fn main() -> ExitCode {
    lab::use_ring();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let layout = Layout::of(cli.name)?;
    let cluster = Cluster::of(&layout);
    match cli.command {
        Action::Up { no_steelyard, without } => {
            up::up(&layout, &Without { steelyard: no_steelyard, parts: without })?;
        }
        Action::Down => {
            cluster.down()?;
            Cluster::of(&layout.beside()).down()?;
        }
        Action::Status => {
            cluster.namespace().enter()?;
            let ready = in_runtime(status::print(&layout))?;
            return Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Action::Shell { command } => {
            cluster.namespace().enter()?;
            let program = command.first().cloned().unwrap_or_default().into();
            return Err(Error::Run { program, source: shell::become_command(&layout, &command) });
        }
        Action::Demo { blue_green, inside } => {
            let acts = if blue_green { demo::Acts::Four } else { demo::Acts::Three };
            if inside { in_runtime(demo::show(acts))? } else { demo::run(&layout, acts)? }
        }
        Action::Bench { bench: Bench::Reaction { releases, inside } } => {
            if inside {
                in_runtime(reaction::show(releases))?;
            } else {
                reaction::run(&layout, releases)?;
            }
        }
        Action::Bench { bench: Bench::Fleet(fleet) } => fleet::run(&layout, &fleet)?,
        Action::Test { filter } => suite::test(&layout, filter.as_deref())?,
        Action::Stop { part } => cluster.stop(part)?,
        Action::Start { part } => {
            cluster.namespace().enter()?;
            in_runtime(cluster.start(part))?;
        }
        Action::Freeze { part } => cluster.freeze(part)?,
        Action::Thaw { part } => cluster.thaw(part)?,
        Action::Pod { fault, pod } => {
            let request = Request::Pod { fault: fault.into(), pod };
            in_runtime(async { Ok(send(&layout.agent_socket(), &request).await?) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
