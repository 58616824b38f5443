//! docs/recipes/helm.md, with a chart of an application: what Helm waits for, what it overwrites,
//! and how to roll back.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use lab::support::{Demo, Failure, Policy, Rollout, Space};

use super::By;
use super::run::{Config, Lines, run};
use crate::canary::{ROLLOUT, held};

const PAGE: &str = "docs/recipes/helm.md";

/// A folder with a chart of the demo app. Removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn with_chart(space: &Space) -> Result<Self, Failure> {
        let folder = Self(std::env::temp_dir().join(format!("chart-{}", space.name())));
        let chart = folder.0.join("chart");
        std::fs::create_dir_all(chart.join("templates"))?;
        std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 0.1.0\n")?;
        std::fs::write(chart.join("values.yaml"), "image: {tag: v1}\n")?;
        let tag = "{{ .Values.image.tag }}";
        let all = Demo::new("web", tag).replicas(2).manifest(space.name());
        let annotated = all.replacen(
            "metadata: {name: web,",
            "metadata: {annotations: {steelyard.io/policy: web}, name: web,",
            1,
        );
        std::fs::write(chart.join("templates/all.yaml"), annotated)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn helm(line: &str, config: &Config, folder: &Path) -> Result<String, Failure> {
    run(&format!("helm {line}"), &config.0, folder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_does_not_wait_reports_conflicts_and_rolls_back() -> Result<(), Failure> {
    Space::run("docs-helm", async |space| {
        let folder = Folder::with_chart(space)?;
        let mut lines = Lines::of(By::Helm, space, &folder.0).await?;
        let config = Config::of(space).await?;
        space.apply(&Policy::new("web").step(25, 200).to_string()).await?;
        helm("install web ./chart --wait", &config, &folder.0).await?;
        space.adopt("web", "web").await?;

        let began = Timestamp::now();
        lines.run(PAGE, "helm upgrade").await?;
        assert!(Timestamp::now().duration_since(began).as_secs() < 15, "a step lasts 200 s");
        assert_eq!(held(&space.api::<Deployment>().get("web").await?), Some(true), "deployed, and held");
        space.weight("web", 25, ROLLOUT).await?;

        let upgrade = "upgrade web ./chart --set image.tag=v2";
        let refused = helm(upgrade, &config, &folder.0)
            .await
            .expect_err("Steelyard manages the route during the rollout");
        assert!(refused.to_string().contains("conflict with \"steelyard\""), "{refused}");
        helm(&format!("{upgrade} --force-conflicts"), &config, &folder.0).await?;
        space.weight("web", 25, ROLLOUT).await?;
        let route = space.api::<lab::support::HttpRoute>().get("web").await?;
        assert_eq!(route.labels()["app.kubernetes.io/managed-by"], "Helm");

        lines.run(PAGE, "helm rollback").await?;
        let back = |rollout: &Rollout| rollout.complete("v1").then_some(());
        space.until("web", "v1 serves, released", ROLLOUT, back).await?;

        space.apply(&Policy::new("web").step(50, 1).to_string()).await?;
        helm(&format!("{upgrade} --force-conflicts"), &config, &folder.0).await?;
        let output = lines.run(PAGE, "kubectl steelyard wait").await?;
        assert!(output.contains("complete: v2"), "{output}");
        lines.done();
        Ok(())
    })
    .await
}
