//! The commands of README.md and CONTRIBUTING.md, run as written. `.ci/run` runs the `cargo lab`
//! commands of README.md.

use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use lab::paths::repository;
use lab::support::{Demo, Failure, Rollout, Space};

use super::page::{blocks_of, typed};
use super::run::{Config, run};
use super::{By, commands};
use crate::canary::{ROLLOUT, held};
use crate::kills::controller::{Controller, helm};
use crate::pods_of;

/// The blocks of a page in this language, in order.
fn texts(page: &str, language: &str) -> Result<Vec<String>, Failure> {
    let ours = blocks_of(page)?.into_iter().filter(|block| block.language == language);
    Ok(ours.map(|block| block.text).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_first_commands_release_a_deployment() -> Result<(), Failure> {
    Space::run("readme", async |space| {
        let lines: Vec<Vec<String>> = texts("README.md", "console")?.iter().map(|b| typed(b)).collect();
        let [kubectl, cargo, install] = lines.as_slice() else {
            return Err(format!("a block of commands that no test runs: {lines:?}").into());
        };
        assert!(cargo.iter().all(|line| line.starts_with("cargo lab ")), "run by .ci/run: {cargo:?}");
        assert!(install.iter().all(|line| line.starts_with("helm ")), "run alone: {install:?}");
        let [annotate, push, look] = kubectl.as_slice() else {
            return Err(format!("expected three commands: {kubectl:?}").into());
        };
        space.serve("web", &Demo::new("web", "v1"), 10.0).await?;
        for policy in texts("README.md", "yaml")? {
            space.apply(&policy).await?;
        }
        let config = Config::of(space).await?;
        run(annotate, &config.0, &repository()).await?;
        space
            .until("web", "adopted", ROLLOUT, |rollout: &Rollout| {
                let taken_on = rollout.holds("Accepted") && rollout.holds("HoldEnforced");
                (rollout.phase() == "Stable" && taken_on).then_some(())
            })
            .await?;
        run(push, &config.0, &repository()).await?;
        assert_eq!(
            held(&space.api::<Deployment>().get("web").await?),
            Some(true),
            "held by the write that changed the template"
        );
        space.weight("web", 5, ROLLOUT).await?;
        let stepping =
            |rollout: &Rollout| (rollout.phase() == "Stepping" && rollout.weight() == Some(5)).then_some(());
        space.until("web", "5 % in status", ROLLOUT, stepping).await?;
        let table = run(look, &config.0, &repository()).await?;
        let row = table.lines().find(|line| line.starts_with("web ")).expect("a row for web");
        assert!(row.contains("Stepping") && row.contains("v1") && row.contains("v2"), "{table}");
        assert!(table.lines().all(|line| line.trim_end().len() <= 120), "fits a terminal: {table}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_the_helm_command_of_the_readme_installs_a_controller_that_adopts_a_deployment()
-> Result<(), Failure> {
    Space::run("readme-helm", async |space| {
        let controller = Controller::of(space);
        let values = controller.values().await?;
        let tag = values["image"]["tag"].as_str().expect("the lab sets a tag");
        helm(&["uninstall", "steelyard", "-n", lab::steelyard::NAMESPACE, "--wait"]).await?;
        let tried = async {
            let config = Config::of(space).await?;
            for block in texts("README.md", "console")? {
                for line in typed(&block).iter().filter(|line| line.starts_with("helm ")) {
                    // The placeholder that the reader replaces.
                    assert!(line.contains("image.tag=YOURS"), "{line}");
                    run(&line.replace("YOURS", tag), &config.0, &repository()).await?;
                }
            }
            controller.pods(1).await?;
            space.serve("web", &Demo::new("web", "v1"), 10.0).await?;
            let before = pods_of(space, "web", 4).await?;
            for policy in texts("README.md", "yaml")? {
                space.apply(&policy).await?;
            }
            space.adopt("web", "web-canary").await?;
            assert_eq!(pods_of(space, "web", 4).await?, before, "adopting starts no pod");
            Ok::<_, Failure>(())
        }
        .await;
        // Other tests need the lab's settings.
        controller.reset(&values).await?;
        tried
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_for_cargo_lab_shell_run_in_the_lab() -> Result<(), Failure> {
    let kubeconfig = std::env::var("KUBECONFIG")?;
    let all = commands(By::Readme)?;
    let inside: Vec<&str> =
        all.iter().filter_map(|(_, line)| line.strip_prefix("cargo lab shell -- ")).collect();
    assert!(inside.len() > 3, "{all:?}");
    for line in inside {
        run(line, Path::new(&kubeconfig), &repository()).await?;
    }
    // The remaining ones are in README.md, and the tests above run them.
    let others =
        all.iter().filter(|(page, line)| page != "README.md" && !line.starts_with("cargo lab shell -- "));
    assert_eq!(others.count(), 0, "{all:?}");
    Ok(())
}
