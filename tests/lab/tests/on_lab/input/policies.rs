//! Policies: those that the API server refuses, those that the controller refuses, and those of the
//! repository.

use jiff::Timestamp;
use lab::load::{Load, Running};
use lab::support::{Failure, Rollout, Space, SupportError, Trails, tell};
use tokio::process::Command;

use super::{
    POLICY, all_answered, annotate, documents, push_without_start, refused, repository, rolls_out, served,
};
use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_refuses_each_invalid_policy_with_its_message() -> Result<(), Failure> {
    Space::run("refused-policies", async |space| {
        let file = repository("tests/policies/refused.yaml");
        let text = std::fs::read_to_string(&file)?;
        let expected: Vec<(String, String)> = documents(&text)?
            .into_iter()
            .map(|policy| {
                let word = |pointer: &str| {
                    policy.pointer(pointer).and_then(|w| w.as_str()).unwrap_or_default().to_owned()
                };
                (word("/metadata/name"), word("/metadata/annotations/expected"))
            })
            .collect();
        let cluster = std::env::temp_dir().join(format!("{}.yaml", space.name()));
        std::fs::write(&cluster, text.replace("kind: RolloutPolicy", "kind: ClusterRolloutPolicy"))?;
        for file in [file, cluster.clone()] {
            let file = file.display().to_string();
            let output = match space.kubectl(&["create", "--dry-run=server", "-f", &file]).await {
                Err(SupportError::Command { output, .. }) => output,
                other => return Err(format!("not refused: {other:?}").into()),
            };
            let lines: Vec<&str> =
                output.lines().filter(|line| line.starts_with("Error from server")).collect();
            assert_eq!(lines.len(), expected.len(), "{output}");
            for (line, (name, words)) in lines.iter().zip(&expected) {
                assert!(line.contains(words), "{name}: {words:?} / {line}");
            }
        }
        std::fs::remove_file(cluster)?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_policies_are_refused_until_a_valid_one_is_applied() -> Result<(), Failure> {
    Space::run("bad-policies", async |space| {
        let loads: Vec<Running> = served(space).await?.into_iter().map(Load::start).collect();
        let trails = Trails::follow(space, "web");
        annotate(space, "web", "web").await?;
        let words = ["policy web", "no RolloutPolicy of this name", "create it", "steelyard.io/policy"];
        refused(space, "web", "PolicyNotFound", &words).await?;
        push_without_start(space, &trails).await?;
        let steps = "{canary: {steps: [{weight: 5, duration: 1s}, {weight: 50, duration: 1s}]}}";
        let policy = |strategy: &str, metric: &str| {
            format!(
                "apiVersion: steelyard.io/v1alpha1\nkind: RolloutPolicy\nmetadata: {{name: web}}\nspec:\n  strategy: {strategy}\n  traffic: {{gatewayAPI: {{}}}}\n  analysis: {{metrics: [{metric}]}}\n"
            )
        };
        let metric = |query: &str| format!("{{name: a, min: 1, query: {query:?}}}");
        let wrong: [(String, &[&str]); 6] = [
            (
                policy(
                    "{blueGreen: {gate: {window: {days: [Mon], from: '09:00', to: '10:00', timeZone: Nowhere/Land}}}}",
                    "",
                ),
                &["spec.strategy.blueGreen.gate.window.timeZone", "IANA time zone"],
            ),
            (
                policy("{canary: {steps: [{weight: 5}, {weight: 5}, {weight: 1}]}}", ""),
                &["spec.strategy.canary.steps[1].weight", "spec.strategy.canary.steps[2].weight"],
            ),
            (
                policy(steps, &metric("up{pod=~\"$canary_pod\"}")),
                &["spec.analysis.metrics[0].query", "unknown variable canary_pod", "$canary_pods"],
            ),
            (
                policy(steps, &metric("sum(up{pod=~\"$canary_pods\"}")),
                &["spec.analysis.metrics[0].query", "not a valid query"],
            ),
            (
                policy(steps, &metric("sum(up)")),
                &["spec.analysis.metrics[0].query", "it measures both versions", "scope: Deployment"],
            ),
            (
                policy(steps, &metric("up{pod=~\"$canary_pods\"}[5m]")),
                &["spec.analysis.metrics[0].query", "not a scalar or an instant vector"],
            ),
        ];
        for (text, words) in wrong {
            // `steelyard policy check` reports the same offline.
            let (code, output) = check(&text).await?;
            assert_eq!(code, Some(1), "{output}");
            assert!(words.iter().all(|word| output.contains(word)), "{output} / {words:?}");
            space.apply(&text).await?;
            refused(space, "web", "PolicyInvalid", words).await?;
            let path = r#"jsonpath={.status.conditions[?(@.type=="Accepted")].message}"#;
            space
                .kubectl(&["wait", "rolloutpolicy/web", "--for=condition=Accepted=false", "--timeout=10s"])
                .await?;
            let message = space.kubectl(&["get", "srp", "web", "-o", path]).await?;
            assert!(words.iter().all(|word| message.contains(word)), "{message} / {words:?}");
        }
        assert_eq!(trails.pods("demo:v2"), Vec::<String>::new(), "no pod was started meanwhile");
        let fixed = Timestamp::now();
        space.apply(POLICY).await?;
        rolls_out(space, fixed).await?;
        all_answered(loads).await;
        Ok(())
    })
    .await
}

/// Runs `steelyard policy check` on a text. Returns its exit code and its output.
async fn check(text: &str) -> Result<(Option<i32>, String), Failure> {
    let file = std::env::temp_dir().join(format!("policy-{:x}.yaml", Timestamp::now().as_nanosecond()));
    std::fs::write(&file, text)?;
    let output = Command::new("steelyard").args(["policy", "check"]).arg(&file).output().await?;
    std::fs::remove_file(file)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_policy_of_the_repository_is_accepted_and_its_queries_return_results() -> Result<(), Failure> {
    Space::run("own-policies", async |space| {
        let loads: Vec<Running> = served(space).await?.into_iter().map(Load::start).collect();
        let folder = repository("policies").display().to_string();
        let mut files: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        files.sort_by_key(std::fs::DirEntry::path);
        assert!(files.len() >= 6, "{files:?}");
        for file in files {
            let path = file.path().display().to_string();
            let text = std::fs::read_to_string(&path)?;
            let policy = documents(&text)?.remove(0);
            let (kind, name) = (
                policy["kind"].as_str().unwrap_or_default(),
                policy["metadata"]["name"].as_str().unwrap_or_default(),
            );
            let named =
                if kind == "ClusterRolloutPolicy" { format!("cluster/{name}") } else { name.to_owned() };
            annotate(space, "web", &named).await?;
            refused(space, "web", "PolicyNotFound", &[&format!("policy {named}:")]).await?;
            space.kubectl(&["apply", "-f", &path]).await?;
            let accepted = space
                .until("web", &format!("{named} accepted"), SOON, |rollout: &Rollout| {
                    rollout.holds("Accepted").then_some(())
                })
                .await;
            let object = format!("{}/{name}", kind.to_lowercase());
            space.kubectl(&["wait", &object, "--for=condition=Accepted", "--timeout=10s"]).await?;
            if kind == "ClusterRolloutPolicy" {
                space.kubectl(&["delete", "-f", &path]).await?;
            }
            accepted?;
        }
        let prometheus = std::env::var("LAB_PROMETHEUS")?;
        let args = [
            "policy",
            "check",
            &folder,
            "--prometheus",
            &prometheus,
            "--deployment",
            "web",
            "-n",
            space.name(),
        ];
        let output = Command::new("steelyard").args(args).output().await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        tell(&printed);
        assert_eq!(output.status.code(), Some(0), "{printed}");
        // The load has run long enough for the shortest window.
        assert!(printed.contains("quick-canary: success-rate: 1: pass"), "{printed}");
        assert!(!printed.contains('$'), "queries as they were sent: {printed}");
        all_answered(loads).await;
        Ok(())
    })
    .await
}
