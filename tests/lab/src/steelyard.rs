//! Installs this project's chart into the lab, as a user does.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client, api::ListParams};

use crate::{
    cluster::Cluster,
    digest,
    errors::{Error as LabError, on_file},
    own::Installed,
    paths::{Layout, repository},
    say,
};

/// The namespace of Steelyard.
pub const NAMESPACE: &str = "steelyard-system";
const RELEASE: &str = "steelyard";
/// How long its pods have to become available.
const LIMIT: Duration = Duration::from_mins(1);

/// The reason why Steelyard is not installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The chart can't be read.
    #[error("cannot read the chart {}", path.display())]
    Chart {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("steelyard is not available after {} s: {why}; see `cargo lab shell -- kubectl -n {NAMESPACE} describe pods`", LIMIT.as_secs())]
    Late {
        /// What is missing.
        why: String,
    },
}

/// Installs or upgrades the chart, unless exactly this chart, these values and this program are
/// installed; then waits for its pods. A new program has a new tag, so that its pod is replaced by
/// an ordinary rolling update. Must be called inside the namespace.
pub async fn ensure(layout: &Layout, client: Client, program: &Installed) -> Result<(), LabError> {
    let chart = repository().join("charts/steelyard");
    if !chart.join("Chart.yaml").exists() {
        say("steelyard is not installed: the repository has no charts/steelyard");
        return Ok(());
    }
    let values = repository().join("tests/lab/values.yaml");
    let tag = &program.digest[..12];
    let wanted = state_of(&chart, &values, tag)?;
    let stamp = layout.run().join("applied").join(RELEASE);
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        say(format_args!("installing the chart with steelyard:{tag}"));
        let set = format!("image.tag={tag}");
        let (chart, values) = (chart.display().to_string(), values.display().to_string());
        let args =
            ["upgrade", "--install", RELEASE, &chart, "-n", NAMESPACE, "--create-namespace", "-f", &values];
        Cluster::of(layout).tool("helm", &[&args[..], &["--set-string", &set]].concat())?;
        fs::write(&stamp, wanted).map_err(on_file(stamp))?;
    }
    Ok(available(client).await?)
}

async fn available(client: Client) -> Result<(), Error> {
    let api = Api::<Deployment>::namespaced(client, NAMESPACE);
    let until = Instant::now() + LIMIT;
    loop {
        let why = match api.list(&ListParams::default()).await {
            Ok(list) if list.items.is_empty() => "the chart created no Deployment".to_owned(),
            Ok(list) => match list.iter().find_map(lacks) {
                None => return Ok(()),
                Some(why) => why,
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() >= until {
            return Err(Error::Late { why });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns what a Deployment's rollout lacks to be complete.
fn lacks(deployment: &Deployment) -> Option<String> {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let (updated, available) = (status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
    if status.observed_generation != deployment.metadata.generation {
        return Some(format!("the controller has not observed Deployment {name} yet"));
    }
    let all = status.replicas.unwrap_or(0);
    let done = updated == wanted && available == wanted && all == wanted;
    (!done).then(|| {
        format!("Deployment {name} has {available} of {wanted} pods available, {updated} new of {all}")
    })
}

/// Returns a digest of everything that determines what is installed.
fn state_of(chart: &Path, values: &Path, tag: &str) -> Result<String, Error> {
    let mut files = Vec::new();
    walk(chart, &mut files).map_err(|source| Error::Chart { path: chart.to_owned(), source })?;
    files.push(values.to_owned());
    files.sort();
    let mut pieces = vec![tag.as_bytes().to_vec()];
    for path in files {
        let content = fs::read(&path).map_err(|source| Error::Chart { path: path.clone(), source })?;
        pieces.extend([path.display().to_string().into_bytes(), content]);
    }
    Ok(digest::of(pieces))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentSpec, DeploymentStatus};

    use super::*;

    fn deployment(observed: i64, updated: i32, available: i32, all: i32) -> Deployment {
        let mut deployment = Deployment::default();
        deployment.metadata.generation = Some(2);
        deployment.spec = Some(DeploymentSpec { replicas: Some(1), ..DeploymentSpec::default() });
        deployment.status = Some(DeploymentStatus {
            observed_generation: Some(observed),
            updated_replicas: Some(updated),
            available_replicas: Some(available),
            replicas: Some(all),
            ..DeploymentStatus::default()
        });
        deployment
    }

    #[test]
    fn an_upgrade_is_complete_only_when_the_old_pod_is_gone() {
        assert_eq!(lacks(&deployment(2, 1, 1, 1)), None);
        assert!(lacks(&deployment(1, 1, 1, 1)).is_some());
        assert!(lacks(&deployment(2, 1, 1, 2)).is_some());
        assert!(lacks(&deployment(2, 0, 1, 1)).is_some());
    }

    #[test]
    fn a_changed_chart_file_or_program_changes_the_digest() {
        let dir = std::env::temp_dir().join(format!("lab-chart-{}", std::process::id()));
        fs::create_dir_all(dir.join("templates")).expect("folders");
        let (values, template) = (dir.join("values"), dir.join("templates/a.yaml"));
        fs::write(&values, "v").and_then(|()| fs::write(&template, "one")).expect("written");
        let first = state_of(&dir, &values, "tag").expect("read");
        assert_ne!(first, state_of(&dir, &values, "gat").expect("read"));
        fs::write(&template, "two").expect("written");
        assert_ne!(first, state_of(&dir, &values, "tag").expect("read"));
        fs::remove_dir_all(dir).expect("removed");
    }
}
