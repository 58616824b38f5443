//! The commands of docs/: without a rollout, during a rollout, and after the annotation is removed.
//! Also checks what other tools report about a rollout.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use lab::paths::repository;
use lab::support::{Demo, Failure, Policy, Rollout, Space, asked};
use serde_json::Value;

use super::By;
use super::health::{Checks, Health};
use super::page::blocks_of;
use super::run::{Lines, run};
use crate::canary::ROLLOUT;

const HELP: &str = "docs/troubleshooting.md";
const CI: &str = "docs/recipes/ci.md";
const PLUGIN: &str = "docs/plugin.md";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_documentation_run_as_written() -> Result<(), Failure> {
    Space::run("docs", async |space| {
        let mut lines = Lines::of(By::Tour, space, &repository()).await?;
        adopted(space, Policy::new("web").step(50, 1)).await?;
        without_rollout(&mut lines, space).await?;
        lines.run(CI, "kubectl set image").await?;
        assert!(space.api::<Rollout>().get("web").await?.complete("v2"), "the wait lasted to the end");
        lines.run(CI, "kubectl rollout status").await?;
        lines.run(CI, "steelyard policy check").await?;
        // The same push again changes nothing, so there is nothing to wait for.
        lines.run(PLUGIN, "kubectl set image").await?;
        ci_may_push_and_wait(space, &lines).await?;
        lines.done();
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_tools_report_the_health_of_a_rollout_and_an_abandoned_deployment_is_resumed()
-> Result<(), Failure> {
    Space::run("docs-left", async |space| {
        let mut lines = Lines::of(By::Left, space, &repository()).await?;
        let checks = Checks::read()?;
        adopted(space, Policy::new("web").step(25, 200)).await?;
        assert_eq!(checks.of(space).await?, Health::new("Healthy", "Healthy", "Current"));
        space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
        let held = checks.of(space).await?;
        assert_eq!(held.deployment, "Progressing", "right after the push: {held:?}");
        waits(space, "StepDuration").await?;
        assert_eq!(checks.of(space).await?, Health::new("Progressing", "Progressing", "InProgress"));
        kubectl_refuses_as_the_page_says(&lines).await?;
        run("kubectl steelyard abort web", &lines.config.0, &lines.folder).await?;
        let back = |rollout: &Rollout| (rollout.phase() == "RolledBack").then_some(());
        space.until("web", "rolled back", ROLLOUT, back).await?;
        assert_eq!(checks.of(space).await?, Health::new("Degraded", "Progressing", "Failed"));

        space.kubectl(&["annotate", "deployment", "web", "steelyard.io/policy-"]).await?;
        let left = |deployment: &Deployment| {
            let paused = deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
            (paused && !deployment.labels().contains_key("steelyard.io/held")).then_some(())
        };
        space.until("web", "no longer managed, and paused", ROLLOUT, left).await?;
        lines.run(HELP, "kubectl rollout resume").await?;
        space.rolled_out("web", ROLLOUT).await?;
        let serves = space.api::<Deployment>().get("web").await?.spec.and_then(|spec| spec.template.spec);
        assert_eq!(serves.and_then(|pods| pods.containers[0].image.clone()).as_deref(), Some("demo:v2"));
        lines.done();
        Ok(())
    })
    .await
}

/// The page for troubleshooting quotes kubectl's messages about a held Deployment, so that a search
/// finds them.
async fn kubectl_refuses_as_the_page_says(lines: &Lines) -> Result<(), Failure> {
    let page = std::fs::read_to_string(repository().join(HELP))?;
    for (line, words) in [
        (
            "kubectl rollout resume deployment/web",
            "held by Steelyard during its rollout: spec.paused must stay true",
        ),
        ("kubectl rollout undo deployment/web --to-revision=1", "cannot rollback a paused deployment"),
        ("kubectl rollout restart deployment/web", "can't restart paused deployment"),
    ] {
        let refused = run(line, &lines.config.0, &lines.folder).await.expect_err(line).to_string();
        assert!(refused.contains(words), "{words:?} in {refused}");
        assert!(page.contains(words), "{words:?} in {HELP}");
    }
    Ok(())
}

/// Deployment `web`, two pods of v1, adopted.
async fn adopted(space: &Space, policy: Policy) -> Result<(), Failure> {
    space.apply(&Demo::new("web", "v1").replicas(2).manifest(space.name())).await?;
    space.rolled_out("web", ROLLOUT).await?;
    space.apply(&policy.to_string()).await?;
    space.adopt("web", "web").await?;
    Ok(())
}

/// Waits until the rollout waits for this reason.
async fn waits(space: &Space, reason: &str) -> Result<(), Failure> {
    let found = |rollout: &Rollout| (rollout.text("/waiting/reason") == reason).then_some(());
    Ok(space.until("web", reason, ROLLOUT, found).await?)
}

/// Commands that only read, and commands that are allowed at any time. Each prints what the page
/// shows.
async fn without_rollout(lines: &mut Lines, space: &Space) -> Result<(), Failure> {
    for (begin, word) in [
        ("kubectl get rollouts", space.name()),
        ("kubectl describe rollouts", "Accepted"),
        ("kubectl steelyard explain", "no rollout is in progress"),
        ("kubectl get mutatingadmissionpolicies", "steelyard-no-unpause"),
        ("kubectl get pods,leases", "lease.coordination.k8s.io/steelyard"),
        ("kubectl logs", "\"level\""),
        ("kubectl get configmap", "name: default"),
        ("helm upgrade steelyard", "STATUS: deployed"),
        ("kubectl delete crd", "rollouts.steelyard.io"),
    ] {
        let printed = lines.run(HELP, begin).await?;
        assert!(printed.contains(word), "{begin}: no {word:?} in {printed}");
    }
    Ok(())
}

/// The permissions of docs/recipes/ci.md allow to push and to wait, and nothing more.
async fn ci_may_push_and_wait(space: &Space, lines: &Lines) -> Result<(), Failure> {
    for block in blocks_of(CI)?.into_iter().filter(|block| block.language == "yaml") {
        space.apply(&block.text.replace("namespace: shop", &format!("namespace: {}", space.name()))).await?;
    }
    let user = format!("--as=system:serviceaccount:{}:ci", space.name());
    let try_as = async |line: &str| run(&format!("{line} {user}"), &lines.config.0, &lines.folder).await;
    // A new permission can take a moment to become effective.
    asked("the permissions of CI effective", crate::SOON, async || {
        Ok(try_as("kubectl get deployment web").await.ok().map(drop))
    })
    .await?;
    try_as("kubectl set image deployment/web app=demo:v9 --dry-run=server").await?;
    try_as("kubectl steelyard wait web").await?;
    let may = try_as("kubectl auth can-i patch rollouts.steelyard.io").await;
    assert!(may.is_err(), "no permission to set intents: {may:?}");
    let list: Value = serde_json::from_str(&try_as("kubectl steelyard list -o json").await?)?;
    assert_eq!(list[0]["name"], "web");
    Ok(())
}
