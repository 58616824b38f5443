//! Completion: scripts for shells, and the candidates that kubectl requests by running
//! `kubectl_complete-steelyard`.

use clap::CommandFactory as _;
use kube::{
    Api, ResourceExt,
    api::{ListParams, PartialObjectMeta},
};

use super::{
    PluginError,
    args::{Cli, Connection, Shell},
    connect::connect,
    read::call,
};
use crate::api::Rollout;

/// Returns the completion script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut out = Vec::new();
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut command = Cli::command();
    // The scripts complete the command `kubectl-steelyard`. For `kubectl steelyard`, kubectl runs
    // `__complete`.
    command.set_bin_name("kubectl-steelyard");
    clap_complete::generate(shell, &mut command, "kubectl-steelyard", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Prints the candidates for the last word in the format of kubectl: one per line, then a directive
/// (4: no file names).
pub(super) async fn complete(words: &[String]) -> Result<(), PluginError> {
    let names = match expected(words) {
        Expected::Name => {
            // Completion prints no errors: without a cluster there are no candidates.
            let Ok(cluster) = connect(&connection(words)).await else { return super::print(":4\n") };
            let api =
                Api::<PartialObjectMeta<Rollout>>::namespaced(cluster.client.clone(), &cluster.namespace);
            let all = call("list", "Rollouts", "", api.list(&ListParams::default())).await;
            all.map(|all| all.iter().map(ResourceExt::name_any).collect()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    super::print(&candidates(words, names))
}

/// Reads the connection flags from the words.
fn connection(words: &[String]) -> Connection {
    let after = |flags: &[&str]| {
        let at = words.iter().position(|word| flags.contains(&word.as_str()))?;
        words.get(at + 1).cloned()
    };
    Connection {
        namespace: after(&["-n", "--namespace"]),
        context: after(&["--context"]),
        kubeconfig: after(&["--kubeconfig"]).map(Into::into),
        user: after(&["--as"]),
    }
}

enum Expected {
    Command,
    Name,
    Flag,
    Nothing,
}

/// Returns what the last word is expected to be.
fn expected(words: &[String]) -> Expected {
    let last = words.last().map_or("", String::as_str);
    if last.starts_with('-') {
        return Expected::Flag;
    }
    let before = words.len().saturating_sub(1);
    let mut plain = Vec::new();
    let mut value = false;
    for word in &words[..before] {
        if value {
            value = false;
        } else if word.starts_with('-') {
            let known =
                ["-n", "--namespace", "--context", "--kubeconfig", "--as", "-o", "--output", "--timeout"];
            value = known.contains(&word.as_str());
        } else {
            plain.push(word.as_str());
        }
    }
    match plain.as_slice() {
        _ if value => Expected::Nothing,
        [] => Expected::Command,
        ["list" | "completion" | "help"] => Expected::Nothing,
        [_] => Expected::Name,
        _ => Expected::Nothing,
    }
}

fn candidates(words: &[String], names: Vec<String>) -> String {
    let last = words.last().map_or("", String::as_str);
    let mut command = Cli::command();
    command.build();
    let all: Vec<String> = match expected(words) {
        Expected::Command => command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .map(|sub| match sub.get_about() {
                Some(about) => format!("{}\t{about}", sub.get_name()),
                None => sub.get_name().to_owned(),
            })
            .collect(),
        Expected::Name => names,
        Expected::Flag => {
            let sub = words.iter().find_map(|word| command.find_subcommand(word)).unwrap_or(&command);
            sub.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
        }
        Expected::Nothing => Vec::new(),
    };
    let fit = all.into_iter().filter(|text| text.starts_with(last));
    fit.chain([":4".to_owned()]).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        candidates(&words, vec!["web".into(), "api".into()]).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_scripts_contain_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(script.contains("promote") && script.contains("kubectl-steelyard"), "{shell:?}");
        }
    }

    #[test]
    fn commands_names_and_flags_are_completed() {
        let commands = complete(&["pro"]);
        assert!(commands[0].starts_with("promote\t") && commands[1..] == [":4"], "{commands:?}");
        assert_eq!(complete(&["get", ""]), ["web", "api", ":4"]);
        assert_eq!(complete(&["-n", "shop", "get", "w"]), ["web", ":4"]);
        assert_eq!(complete(&["promote", "web", "--fu"]), ["--full", ":4"]);
        assert_eq!(complete(&["get", "web", ""]), [":4"]);
        assert_eq!(complete(&["-n", ""]), [":4"]);
    }
}
