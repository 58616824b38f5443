//! The lab's command line.

use clap::{Parser, Subcommand, ValueEnum};
use lab::{agent::control::Fault, components::Part, paths::LabName};

#[derive(Parser)]
#[command(
    name = "cargo lab",
    bin_name = "cargo lab",
    about = "A Kubernetes cluster on this machine, without containers"
)]
pub(crate) struct Cli {
    /// Which lab: several run side by side, each with a name of its own
    #[arg(long, env = "LAB_NAME", default_value = "default", global = true)]
    pub(crate) name: LabName,
    #[command(subcommand)]
    pub(crate) command: Do,
}

#[derive(Subcommand)]
pub(crate) enum Do {
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
    /// Show three releases under load: a good one, one that comes back by itself, and its fix
    Demo {
        /// And an act of blue-green: one that comes back after the switch, and its fix
        #[arg(long)]
        blue_green: bool,
        /// The lab is up and entered, and its environment set: only show
        #[arg(long, hide = true)]
        inside: bool,
    },
    /// Measure
    Bench {
        #[command(subcommand)]
        bench: Bench,
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

/// What can be measured.
#[derive(Clone, Copy, Subcommand)]
pub(crate) enum Bench {
    /// How soon bad releases lose their traffic, and how long good ones' handovers take
    Reaction {
        /// How many of each
        #[arg(long, default_value_t = 10)]
        releases: usize,
        /// The lab is up and entered, and its environment set: only measure
        #[arg(long, hide = true)]
        inside: bool,
    },
}

/// What can be done to a pod.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PodFault {
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

impl From<PodFault> for Fault {
    fn from(fault: PodFault) -> Self {
        match fault {
            PodFault::Kill => Self::Kill,
            PodFault::Freeze => Self::Freeze,
            PodFault::Thaw => Self::Thaw,
            PodFault::Unready => Self::Unready,
            PodFault::Ready => Self::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_shell_command_keeps_its_own_flags() {
        let cli = Cli::parse_from(["lab", "--name", "a", "shell", "--", "kubectl", "get", "--name", "b"]);
        assert_eq!(cli.name.to_string(), "a");
        let Do::Shell { command } = cli.command else { panic!("another command") };
        assert_eq!(command, ["kubectl", "get", "--name", "b"]);
    }

    #[test]
    fn every_part_can_be_named() {
        for part in Part::ALL {
            let cli = Cli::parse_from(["lab", "freeze", part.name()]);
            assert!(matches!(cli.command, Do::Freeze { part: named } if named == part));
        }
    }
}
