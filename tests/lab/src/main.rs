//! `cargo lab`: a Kubernetes cluster on this machine, without containers.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use lab::{
    agent::control::{Fault, Request, send},
    cluster::Cluster,
    components::Part,
    errors::Error,
    in_runtime,
    paths::{LabName, Layout},
    shell, status, suite,
    up::{self, Without},
};

#[derive(Parser)]
#[command(
    name = "cargo lab",
    bin_name = "cargo lab",
    about = "A Kubernetes cluster on this machine, without containers"
)]
struct Cli {
    /// Which lab: several run side by side, each with a name of its own
    #[arg(long, env = "LAB_NAME", default_value = "default", global = true)]
    name: LabName,
    #[command(subcommand)]
    command: Do,
}

#[derive(Subcommand)]
enum Do {
    /// Build what is missing, start what doesn't run, and wait until all of it is ready
    Up {
        /// Leave out this project's chart
        #[arg(long)]
        no_steelyard: bool,
        /// Leave out a part, for instance to run your own
        #[arg(long, value_name = "PART")]
        without: Vec<Part>,
    },
    /// End every process of the lab and remove its network; logs stay
    Down,
    /// Show each part's process, whether it is ready, and its log
    Status,
    /// Run a command (or your shell) inside the lab
    Shell {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run all tests, or those on the lab whose name contains FILTER
    Test { filter: Option<String> },
    /// End a part (SIGTERM, after ten seconds SIGKILL)
    Stop { part: Part },
    /// Start a part again as it was, and wait until it is ready
    Start { part: Part },
    /// Stop a part in its tracks, connections open (SIGSTOP)
    Freeze { part: Part },
    /// Let a frozen part go on (SIGCONT)
    Thaw { part: Part },
    /// Do something bad to a pod, or undo it
    Pod {
        fault: PodFault,
        #[arg(value_name = "NAMESPACE/NAME")]
        pod: String,
    },
}

/// What can be done to a pod.
#[derive(Clone, Copy, ValueEnum)]
enum PodFault {
    /// Kill its processes; the restart policy applies
    Kill,
    /// Stop its processes in their tracks, connections open
    Freeze,
    /// Let them go on
    Thaw,
    /// Report it as not ready, whatever its probes say
    Unready,
    /// Let its probes count again
    Ready,
}

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
        Do::Up { no_steelyard, without } => {
            up::up(&layout, &Without { steelyard: no_steelyard, parts: without })?;
        }
        Do::Down => cluster.down()?,
        Do::Status => {
            cluster.namespace().enter()?;
            let ready = in_runtime(status::print(&layout))?;
            return Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Do::Shell { command } => {
            cluster.namespace().enter()?;
            let program = command.first().cloned().unwrap_or_default().into();
            return Err(Error::Run { program, source: shell::become_command(&layout, &command) });
        }
        Do::Test { filter } => suite::test(&layout, filter.as_deref())?,
        Do::Stop { part } => cluster.stop(part)?,
        Do::Start { part } => {
            cluster.namespace().enter()?;
            in_runtime(cluster.start(part))?;
        }
        Do::Freeze { part } => cluster.freeze(part)?,
        Do::Thaw { part } => cluster.thaw(part)?,
        Do::Pod { fault, pod } => {
            let fault = match fault {
                PodFault::Kill => Fault::Kill,
                PodFault::Freeze => Fault::Freeze,
                PodFault::Thaw => Fault::Thaw,
                PodFault::Unready => Fault::Unready,
                PodFault::Ready => Fault::Ready,
            };
            let request = Request::Pod { fault, pod };
            in_runtime(async { Ok(send(&layout.agent_socket(), &request).await?) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
