//! Commands that read: get, list, explain, history, and what kubectl prints.

use std::process::Stdio;

use lab::support::{Failure, Space};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{LIMIT, LONG, adopted, at, command, plugin, policy, push, status};

/// A metric without data, measured every second.
const SILENT: &str = r#"apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {name: web}
spec:
  strategy: {canary: {steps: [{weight: 25, duration: 1s}]}}
  traffic: {gatewayAPI: {}}
  deadline: 2m
  analysis:
    settle: 1s
    interval: 1s
    metrics:
    - name: silent
      query: 'sum(no_such_series{namespace="$namespace",pod=~"$canary_pods"})'
      min: 0.99
      maxSampleAge: 2s
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_reports_what_a_step_without_data_waits_for() -> Result<(), Failure> {
    Space::run("explain", async |space| {
        adopted(space, SILENT).await?;
        push(space, "v2").await?;
        let rollout = status(space, "Inconclusive", |r| r.text("/waiting/reason") == "Inconclusive").await?;
        let output = plugin(space, &["explain", "web"]).await?.good()?;
        let pods = format!(r#"pod=~"{}-["#, rollout.text("/canary/replicaSet"));
        let query = format!(r#"sum(no_such_series{{namespace="{}",{pods}"#, space.name());
        for word in [
            "Waiting: Inconclusive",
            "(for ",
            ", until ",
            "Metric silent: no data, min 0.99",
            &query,
            "Accepted",
            "kubectl steelyard promote web",
            "kubectl steelyard abort web",
        ] {
            assert!(output.contains(word), "{word:?} in\n{output}");
        }
        let json: Value =
            serde_json::from_str(&plugin(space, &["explain", "web", "-o", "json"]).await?.good()?)?;
        assert_eq!(json["waiting"]["reason"], "Inconclusive");
        assert!(json["metrics"][0]["query"].as_str().is_some_and(|sent| sent.starts_with(&query)), "{json}");
        assert!(json["next"].as_array().is_some_and(|next| !next.is_empty()), "{json}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_watches_a_rollout_and_prints_a_tree_and_json() -> Result<(), Failure> {
    Space::run("get", async |space| {
        adopted(space, &policy(&[(25, LONG)])).await?;
        let mut child = command(space, &["get", "web", "-w"]).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = tokio::time::timeout(LIMIT, lines.next_line()).await??.unwrap_or_default();
        assert!(first.contains("Stable  stable v1 2/2"), "{first}");
        push(space, "v2").await?;
        at(space, 25).await?;
        let followed = async {
            while let Some(line) = lines.next_line().await? {
                if line.contains("Stepping  1/1  25%  stable v1 2/2  canary v2 1/1") {
                    return Ok(());
                }
            }
            Err(Failure::from("get -w exited"))
        };
        tokio::time::timeout(LIMIT, followed).await??;
        child.kill().await?;

        let tree = plugin(space, &["get", "deployment/web"]).await?.good()?;
        for word in [
            "Stepping, step 1 of 1",
            "25% desired",
            "├── stable  v1",
            "└── canary  v2",
            "1/1 ready",
            "25% of the traffic",
        ] {
            assert!(tree.contains(word), "{word:?} in\n{tree}");
        }
        let yaml: Value =
            serde_saphyr::from_str(&plugin(space, &["get", "web", "-o", "yaml"]).await?.good()?)?;
        assert_eq!((&yaml["phase"], &yaml["weight"]), (&"Stepping".into(), &"25%".into()), "{yaml}");
        assert_eq!(yaml["versions"][1]["pods"].as_array().map(Vec::len), Some(1), "{yaml}");
        let list = plugin(space, &["list"]).await?.good()?;
        assert!(list.lines().any(|line| line.starts_with("web ") && line.contains("1/1")), "{list}");
        let all: Value = serde_json::from_str(&plugin(space, &["list", "-A", "-o", "json"]).await?.good()?)?;
        let ours = |one: &&Value| one["namespace"] == space.name();
        assert_eq!(all.as_array().into_iter().flatten().filter(ours).count(), 1, "{all}");
        let none = plugin(space, &["history", "web"]).await?.good()?;
        assert!(none.contains("no rollout of web has ended yet"), "{none}");
        plugin(space, &["get", "missing"]).await?.refused(3, "no Deployment missing");

        let offered = tokio::process::Command::new("kubectl-steelyard")
            .args(["__complete", "--", "get", "-n", space.name(), "w"])
            .output()
            .await?;
        assert_eq!(
            String::from_utf8_lossy(&offered.stdout),
            "web\n:4\n",
            "kubectl requests names in this form"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_watches_all_rollouts_of_a_namespace() -> Result<(), Failure> {
    Space::run("list-watch", async |space| {
        adopted(space, &policy(&[(25, LONG)])).await?;
        let mut child = command(space, &["list", "-w"]).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut until = async |word: &str| {
            let found = async {
                while let Some(line) = lines.next_line().await? {
                    if line.contains(word) {
                        return Ok(line);
                    }
                }
                Err(Failure::from(format!("list -w exited before {word:?}")))
            };
            tokio::time::timeout(LIMIT, found).await?
        };
        until("web  Stable  stable v1").await?;
        push(space, "v2").await?;
        until("web  Stepping  1/1  25%  stable v1  canary v2").await?;
        space.kubectl(&["annotate", "deployment", "web", "steelyard.io/policy-"]).await?;
        until("web  deleted").await?;
        child.kill().await?;
        plugin(space, &["list", "-w", "-o", "json"]).await?.refused(3, "cannot be used with");
        plugin(space, &["list", "-w", "--as", "mallory"]).await?.refused(3, "list Rollouts");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_prints_a_rollout_in_120_columns_and_more_columns_with_wide() -> Result<(), Failure> {
    Space::run("columns", async |space| {
        adopted(space, &policy(&[(25, LONG), (50, LONG)])).await?;
        push(space, "v2").await?;
        at(space, 25).await?;
        let table = space.kubectl(&["get", "rollouts.steelyard.io"]).await?;
        for line in table.lines() {
            assert!(line.len() <= 120, "{} columns: {line}", line.len());
        }
        let words = |line: Option<&str>| {
            line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let row = words(table.lines().nth(1));
        assert_eq!(row[..6], ["web", "Stepping", "1/2", "25%", "v1", "v2"], "{table}");
        let wide = space.kubectl(&["get", "sro", "-o", "wide"]).await?;
        assert!(words(wide.lines().next()).len() > words(table.lines().next()).len(), "{wide}");
        Ok(())
    })
    .await
}
