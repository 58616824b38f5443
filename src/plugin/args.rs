//! The command-line arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// Show and control the rollouts of Deployments that Steelyard manages.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-steelyard",
    bin_name = "kubectl steelyard",
    version,
    about,
    after_help = "Exit codes: 0 success, 1 refused or rolled back, 2 timeout, 3 usage error or object not found"
)]
pub struct Cli {
    /// The connection flags.
    #[command(flatten)]
    pub connection: Connection,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The cluster, the namespace and the user: the same flags as in kubectl.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Namespace; default: the namespace of the context
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; default: the current context
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub user: Option<String>,
}

/// A Deployment, given as `NAME`, `deployment/NAME` or `rollout/NAME`.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Name of the Deployment
    #[arg(value_name = "NAME", value_parser = plain_name)]
    pub name: String,
}

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// The shells for which there is a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a rollout: phase, weight, versions with their pods, metrics
    Get {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
        /// Watch for changes: redraw in a terminal, otherwise print one line per change
        #[arg(short, long, conflicts_with = "output")]
        watch: bool,
        /// Output format
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// List the rollouts in one namespace or in all namespaces
    List {
        /// List the rollouts in all namespaces
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// Watch for changes: redraw in a terminal, otherwise print one line per change
        #[arg(short, long, conflicts_with = "output")]
        watch: bool,
        /// Output format
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// Explain what a rollout waits for, with its measurements and queries, and list the possible
    /// actions
    Explain {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
        /// Output format
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// End the current step now, or open the gate that the rollout waits at
    Promote {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
        /// End all steps: hand over as soon as the canary is at full scale
        #[arg(long)]
        full: bool,
    },
    /// Return all traffic to stable and reject the new version
    Abort {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
    },
    /// Pause a rollout at its current weight; metrics still guard it
    Pause {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
    },
    /// Resume a paused rollout
    Resume {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
    },
    /// Roll out a version again that was rolled back
    Retry {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
    },
    /// Roll out the held template natively, without steps or metrics: for emergencies only
    Skip {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
        /// Confirm the rollout without steps or metrics
        #[arg(long)]
        yes: bool,
    },
    /// Wait for the end of a rollout: exit code 0 complete, 1 rolled back, 2 timeout, 3 usage error
    Wait {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
        /// Maximum time to wait, such as 90s, 30m or 1h30m
        #[arg(long, default_value = "30m", value_parser = duration)]
        timeout: SignedDuration,
    },
    /// List the rollouts that have ended
    History {
        /// The Deployment.
        #[command(flatten)]
        target: Target,
        /// Output format
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// Print a completion script
    Completion {
        /// Name of the shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the completion candidates for the last word, in the format of kubectl
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words on the command line; the last one may be incomplete.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Parses `NAME` or `KIND/NAME` and returns the name.
fn plain_name(text: &str) -> Result<String, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("deployment", text));
    let known = ["deployment", "deployments", "deploy", "rollout", "rollouts", "sro"];
    let short = kind.strip_suffix(".apps").or(kind.strip_suffix(".steelyard.io")).unwrap_or(kind);
    if !known.contains(&short) {
        return Err(format!("{kind} is neither a Deployment nor a Rollout"));
    }
    if name.is_empty() { Err("the name is missing".to_owned()) } else { Ok(name.to_owned()) }
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "not a duration such as 90s or 30m".to_owned())?;
    if duration.is_negative() { Err("must not be negative".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_argument_definitions_are_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_name_may_have_a_kind_prefix_as_kubectl_prints_it() {
        for text in ["web", "deployment/web", "deploy/web", "deployment.apps/web", "rollout.steelyard.io/web"]
        {
            assert_eq!(plain_name(text), Ok("web".to_owned()), "{text}");
        }
        assert!(plain_name("service/web").is_err());
        assert!(plain_name("rollout/").is_err());
    }

    #[test]
    fn flags_are_accepted_before_and_after_the_command() {
        let cli = Cli::try_parse_from([
            "kubectl-steelyard",
            "-n",
            "shop",
            "wait",
            "web",
            "--timeout",
            "90s",
            "--context",
            "c",
        ]);
        let cli = cli.expect("a command line");
        assert_eq!(cli.connection.namespace.as_deref(), Some("shop"));
        assert_eq!(cli.connection.context.as_deref(), Some("c"));
        let Command::Wait { timeout, .. } = cli.command else { panic!("not wait") };
        assert_eq!(timeout, SignedDuration::from_secs(90));
    }
}
