//! What the command line says.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// See and steer the rollouts of Deployments that Steelyard manages.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-steelyard",
    bin_name = "kubectl steelyard",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 refused or rolled back, 2 timeout, 3 usage, or nothing to work on"
)]
pub struct Cli {
    /// Which cluster, and as whom.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, which namespace, and as whom: the flags that kubectl has.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// The namespace; default: the context's
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The context in the kubeconfig; default: the current one
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Act as this user
    #[arg(long = "as", global = true, value_name = "USER")]
    pub user: Option<String>,
}

/// A Deployment, as its name or as `deployment/NAME` or `rollout/NAME`.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The Deployment's name
    #[arg(value_name = "NAME", value_parser = bare)]
    pub name: String,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

/// The shells whose completion can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a rollout: phase, weight, versions with their pods, metrics
    Get {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// Go on showing it: redrawn in a terminal, else a line per change
        #[arg(short, long, conflicts_with = "output")]
        watch: bool,
        /// Print this format instead
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// List the rollouts of a namespace, or of all
    List {
        /// In all namespaces
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// Go on showing them: redrawn in a terminal, else a line per change
        #[arg(short, long, conflicts_with = "output")]
        watch: bool,
        /// Print this format instead
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// Say what a rollout waits for, with numbers and queries, and what could be done
    Explain {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// Print this format instead
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// Leave the step of now without waiting for its end
    Promote {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// Leave all steps: hand over as soon as the canary is at full scale
        #[arg(long)]
        full: bool,
    },
    /// Take the traffic back and keep the old version
    Abort {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// Stay at the weight of now
    Pause {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// Go on after a pause
    Resume {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// Try the version again that was rolled back
    Retry {
        /// Which.
        #[command(flatten)]
        target: Target,
    },
    /// Let the held version roll out natively, unmeasured: for an emergency
    Skip {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// Yes, without steps and without metrics
        #[arg(long)]
        yes: bool,
    },
    /// Wait for the end of a rollout: exit code 0 complete, 1 rolled back, 2 timeout, 3 usage
    Wait {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// How long at most, such as 90s, 30m or 1h30m
        #[arg(long, default_value = "30m", value_parser = span)]
        timeout: SignedDuration,
    },
    /// List the rollouts that ended
    History {
        /// Which.
        #[command(flatten)]
        target: Target,
        /// Print this format instead
        #[arg(short, long, value_enum)]
        output: Option<Format>,
    },
    /// Print a completion script
    Completion {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print what could stand next on the command line, as kubectl asks for it
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words so far; the last one may be unfinished.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// A name, with or without its kind before it.
fn bare(text: &str) -> Result<String, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("deployment", text));
    let known = ["deployment", "deployments", "deploy", "rollout", "rollouts", "sro"];
    let ours = kind.strip_suffix(".apps").or(kind.strip_suffix(".steelyard.io")).unwrap_or(kind);
    if !known.contains(&ours) {
        return Err(format!("{kind} is no Deployment and no Rollout"));
    }
    if name.is_empty() { Err("a name is missing".to_owned()) } else { Ok(name.to_owned()) }
}

fn span(text: &str) -> Result<SignedDuration, String> {
    let span: SignedDuration = text.parse().map_err(|_| "not a duration such as 90s or 30m".to_owned())?;
    if span.is_negative() { Err("below zero".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_name_may_carry_its_kind_as_kubectl_prints_it() {
        for text in ["web", "deployment/web", "deploy/web", "deployment.apps/web", "rollout.steelyard.io/web"]
        {
            assert_eq!(bare(text), Ok("web".to_owned()), "{text}");
        }
        assert!(bare("service/web").is_err());
        assert!(bare("rollout/").is_err());
    }

    #[test]
    fn flags_may_stand_before_and_after_the_command() {
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
