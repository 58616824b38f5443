//! The commands of docs/plugin.md for kubectl alone, each run on a real rollout.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use lab::support::{Failure, Rollout, Space};
use tokio::process::Command;

use super::{LIMIT, LONG, adopted, at, policy, push, status};

const PAGE: &str = include_str!("../../../../../docs/plugin.md");

/// The commands that set the variables, and each command by the plugin's command beside it.
fn lines() -> (String, BTreeMap<&'static str, &'static str>) {
    let part = PAGE.split("## The same with kubectl alone").nth(1).unwrap_or_default();
    let variables = part.split("```").nth(1).unwrap_or_default().trim_start_matches("sh").to_owned();
    let code = |cell: &'static str| cell.trim().strip_prefix('`')?.strip_suffix('`');
    let rows = part.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.splitn(2, " | ");
        Some((code(cells.next()?)?, code(cells.next()?)?))
    });
    (variables, rows.collect())
}

/// Runs shell commands in the namespace. Returns their output.
async fn shell(space: &Space, kubeconfig: &str, lines: &str) -> Result<String, Failure> {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", lines]).env("KUBECONFIG", kubeconfig);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, output).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{}: {lines}: {error}", space.name()).into()) }
}

/// Installs the page's completion program and requests completions from kubectl, as a shell does.
async fn completes(space: &Space, folder: &Path, kubeconfig: &str) -> Result<(), Failure> {
    let part = PAGE.split("## Completion").nth(1).unwrap_or_default();
    let program = part.split("```sh\n").nth(1).and_then(|text| text.split("```").next()).unwrap_or_default();
    let path = folder.join("kubectl_complete-steelyard");
    std::fs::write(&path, program)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let complete =
        format!("PATH={}:$PATH kubectl __complete steelyard explain '' 2>/dev/null", folder.display());
    let offered = shell(space, kubeconfig, &complete).await?;
    assert_eq!(offered, "web\n:4\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_page_works() -> Result<(), Failure> {
    let (variables, lines) = lines();
    assert_eq!(lines.len(), 12, "{lines:?}");
    Space::run("plain-kubectl", async |space| {
        // The page's commands name no namespace, so a kubeconfig sets it.
        let folder = std::env::temp_dir().join(space.name());
        std::fs::create_dir_all(&folder)?;
        let kubeconfig = folder.join("config").display().to_string();
        std::fs::write(&kubeconfig, space.kubectl(&["config", "view", "--raw", "--flatten"]).await?)?;
        let current = format!("kubectl config set-context --current --namespace={}", space.name());
        shell(space, &kubeconfig, &current).await?;
        let run = async |command: &str| {
            let line = lines.get(command).ok_or_else(|| format!("no line for {command}"))?;
            shell(space, &kubeconfig, &format!("{variables}\n{line}")).await
        };

        adopted(space, &policy(&[(25, LONG), (50, LONG)])).await?;
        push(space, "v2").await?;
        at(space, 25).await?;
        assert!(run("get web").await?.contains("Stepping"));
        completes(space, &folder, &kubeconfig).await?;
        assert!(run("list -A").await?.contains(space.name()));
        assert!(run("explain web").await?.contains("weight is 25%; waiting"));
        run("pause web").await?;
        run("promote web").await?;
        status(space, "paused", |rollout| rollout.text("/waiting/reason") == "Paused").await?;
        run("resume web").await?;
        at(space, 50).await?;
        run("promote --full web").await?;
        run("wait web").await?;
        let rollout = space.api::<Rollout>().get("web").await?;
        assert!(rollout.complete("v2"), "{}", rollout.status);

        push(space, "v3").await?;
        at(space, 25).await?;
        run("abort web").await?;
        status(space, "rolled back", |rollout| rollout.phase() == "RolledBack").await?;
        assert_eq!(run("history web").await?, "v2 Complete \nv3 RolledBack Aborted\n");
        run("retry web").await?;
        at(space, 25).await?;
        run("skip web --yes").await?;
        status(space, "v3 complete", |rollout| rollout.complete("v3")).await?;
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    })
    .await
}
