//! The command lines of README.md and CONTRIBUTING.md, run as they stand there. Those with `cargo lab` in README.md are
//! run by `.ci/run`.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use lab::paths::repository;
use lab::support::{Demo, Failure, Rollout, Space, tell};
use tokio::process::Command;

use crate::canary::{ROLLOUT, held};
use crate::kills::controller::{Controller, helm};
use crate::pods_of;

/// A line for a cluster is not worth reading if it runs longer.
const LINE: Duration = Duration::from_mins(2);
/// How many lines of what a command printed are shown.
const SHOWN: usize = 12;

/// The fenced blocks of a file in this language, in order.
fn blocks(file: &str, language: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(repository().join(file))?;
    let (mut blocks, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(named)) => open = Some((named == language, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|(ours, _)| *ours).map(|(_, text)| text)),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    Ok(blocks)
}

/// The commands of a console block: what follows `$ `, with its continued lines.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
        } else if let Some(last) = commands.last_mut().filter(|last| last.ends_with('\\')) {
            last.push('\n');
            last.push_str(line);
        }
    }
    commands
}

/// Runs a command line in a shell, in the repository's folder; gives what it printed.
async fn run(line: &str, kubeconfig: &Path) -> Result<String, Failure> {
    let mut shell = Command::new("bash");
    shell.args(["-euc", line]).current_dir(repository()).env("KUBECONFIG", kubeconfig).kill_on_drop(true);
    let output = tokio::time::timeout(LINE, shell.output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let begin: Vec<&str> = out.lines().take(SHOWN).collect();
    tell(format_args!("$ {line}\n{}\n{err}", begin.join("\n")));
    if output.status.success() { Ok(out) } else { Err(format!("`{line}` failed: {out}{err}").into()) }
}

/// A kubeconfig that leads to this namespace where a command names none. Gone when it is dropped.
struct Config(std::path::PathBuf);

impl Config {
    async fn of(space: &Space) -> Result<Self, Failure> {
        let file = std::env::temp_dir().join(format!("kubeconfig-{}", space.name()));
        std::fs::copy(std::env::var("KUBECONFIG")?, &file)?;
        let config = Self(file);
        let set = format!("kubectl config set-context --current --namespace={}", space.name());
        run(&set, &config.0).await?;
        Ok(config)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_first_commands_release_a_deployment() -> Result<(), Failure> {
    Space::run("readme", async |space| {
        let lines: Vec<Vec<String>> = blocks("README.md", "console")?.iter().map(|b| commands(b)).collect();
        let [kubectl, cargo, install] = lines.as_slice() else {
            return Err(format!("a block of commands that nothing runs: {lines:?}").into());
        };
        assert!(cargo.iter().all(|line| line.starts_with("cargo lab ")), "run by .ci/run: {cargo:?}");
        assert!(install.iter().all(|line| line.starts_with("helm ")), "run alone: {install:?}");
        let [annotate, push, look] = kubectl.as_slice() else {
            return Err(format!("three commands: {kubectl:?}").into());
        };
        space.serve("web", &Demo::new("web", "v1"), 10.0).await?;
        for policy in blocks("README.md", "yaml")? {
            space.apply(&policy).await?;
        }
        let config = Config::of(space).await?;
        run(annotate, &config.0).await?;
        space
            .until("web", "adopted", ROLLOUT, |rollout: &Rollout| {
                let taken_on = rollout.holds("Accepted") && rollout.holds("Gated");
                (rollout.phase() == "Stable" && taken_on).then_some(())
            })
            .await?;
        run(push, &config.0).await?;
        assert_eq!(held(&space.api::<Deployment>().get("web").await?), Some(true), "held by the push itself");
        space.weight("web", 5, ROLLOUT).await?;
        let stepping = |rollout: &Rollout| {
            (rollout.phase() == "Stepping" && rollout.status["weight"] == 5).then_some(())
        };
        space.until("web", "5 % in status", ROLLOUT, stepping).await?;
        let table = run(look, &config.0).await?;
        let row = table.lines().find(|line| line.starts_with("web ")).expect("a row for web");
        assert!(row.contains("Stepping") && row.contains("v1") && row.contains("v2"), "{table}");
        assert!(table.lines().all(|line| line.trim_end().len() <= 120), "fits a terminal: {table}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_helm_line_installs_what_adopts_a_deployment_alone() -> Result<(), Failure> {
    Space::run("readme-helm", async |space| {
        let controller = Controller::of(space);
        let values = controller.values().await?;
        let tag = values["image"]["tag"].as_str().expect("the lab sets a tag");
        helm(&["uninstall", "steelyard", "-n", lab::steelyard::NAMESPACE, "--wait"]).await?;
        let tried = async {
            let config = Config::of(space).await?;
            for block in blocks("README.md", "console")? {
                for line in commands(&block).iter().filter(|line| line.starts_with("helm ")) {
                    // What the text tells the reader to fill in.
                    assert!(line.contains("image.tag=YOURS"), "{line}");
                    run(&line.replace("YOURS", tag), &config.0).await?;
                }
            }
            controller.pods(1).await?;
            space.serve("web", &Demo::new("web", "v1"), 10.0).await?;
            let before = pods_of(space, "web", 4).await?;
            for policy in blocks("README.md", "yaml")? {
                space.apply(&policy).await?;
            }
            space.adopt("web", "web-canary").await?;
            assert_eq!(pods_of(space, "web", 4).await?, before, "adopting starts no pod");
            Ok::<_, Failure>(())
        }
        .await;
        // Others need the lab's own settings.
        controller.reset(&values).await?;
        tried
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_helm_lines_for_contributors_run() -> Result<(), Failure> {
    let kubeconfig = std::env::var("KUBECONFIG")?;
    let all: Vec<String> =
        blocks("CONTRIBUTING.md", "console")?.iter().flat_map(|block| commands(block)).collect();
    let inside: Vec<&str> = all.iter().filter_map(|line| line.strip_prefix("cargo lab shell -- ")).collect();
    assert!(!inside.is_empty(), "{all:?}");
    for line in inside {
        let printed = run(line, Path::new(&kubeconfig)).await?;
        assert!(!printed.is_empty(), "{line}");
    }
    Ok(())
}
