//! The lab's command line.

use clap::{Parser, Subcommand, ValueEnum};
use lab::{agent::control::Fault, bench::fleet::Fleet, components::Part, paths::LabName};

#[derive(Parser)]
#[command(
    name = "cargo lab",
    bin_name = "cargo lab",
    about = "A Kubernetes cluster on this machine, without containers"
)]
pub(crate) struct Cli {
    /// Name of the lab; labs of different names run side by side
    #[arg(long, env = "LAB_NAME", default_value = "default", global = true)]
    pub(crate) name: LabName,
    #[command(subcommand)]
    pub(crate) command: Action,
}

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Build what is missing, start what is not running, and wait until everything is ready
    Up {
        /// Do not install this project's chart
        #[arg(long)]
        no_steelyard: bool,
        /// Do not start this part, for example to run another build of it
        #[arg(long, value_name = "PART")]
        without: Vec<Part>,
    },
    /// Stop every process of the lab and remove its network; logs remain
    Down,
    /// Show each part's process, its readiness, and its log
    Status,
    /// Run a command (or your shell) inside the lab
    Shell {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Show three releases under load: a good one, one that is rolled back, and its fix
    Demo {
        /// Also show blue-green: a release that is rolled back after the switch, and its fix
        #[arg(long)]
        blue_green: bool,
        /// The lab is running and this process is inside it, with its environment: only show the
        /// demo
        #[arg(long, hide = true)]
        inside: bool,
    },
    /// Measure
    Bench {
        #[command(subcommand)]
        bench: Bench,
    },
    /// Run all tests, or the tests on the lab whose name contains FILTER
    Test { filter: Option<String> },
    /// Stop a part (SIGTERM, after ten seconds SIGKILL)
    Stop { part: Part },
    /// Start a part again with its last command line, and wait until it is ready
    Start { part: Part },
    /// Freeze a part with its connections open (SIGSTOP)
    Freeze { part: Part },
    /// Resume a frozen part (SIGCONT)
    Thaw { part: Part },
    /// Inject a fault into a pod, or undo it
    Pod {
        fault: PodFault,
        #[arg(value_name = "NAMESPACE/NAME")]
        pod: String,
    },
}

/// The benchmarks.
#[derive(Clone, Subcommand)]
pub(crate) enum Bench {
    /// Measure how soon bad releases lose their traffic, and how long handovers of good ones take
    Reaction {
        /// Number of releases of each kind
        #[arg(long, default_value_t = 10)]
        releases: usize,
        /// The lab is running and this process is inside it, with its environment: only measure
        #[arg(long, hide = true)]
        inside: bool,
    },
    /// Measure what many Deployments cost, idle and when some change at once
    Fleet(Fleet),
}

/// A fault of a pod.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PodFault {
    /// Kill its processes; the restart policy applies
    Kill,
    /// Freeze its processes with their connections open
    Freeze,
    /// Resume its processes
    Thaw,
    /// Report it as not ready, whatever its probes return
    Unready,
    /// Report the result of its probes again
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
    fn the_command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_shell_command_keeps_its_own_flags() {
        let cli = Cli::parse_from(["lab", "--name", "a", "shell", "--", "kubectl", "get", "--name", "b"]);
        assert_eq!(cli.name.to_string(), "a");
        let Action::Shell { command } = cli.command else { panic!("another command") };
        assert_eq!(command, ["kubectl", "get", "--name", "b"]);
    }

    #[test]
    fn every_part_is_a_valid_argument() {
        for part in Part::ALL {
            let cli = Cli::parse_from(["lab", "freeze", part.name()]);
            assert!(matches!(cli.command, Action::Freeze { part: named } if named == part));
        }
    }
}
