//! Sets the fleet up, and changes it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::watcher::Config;

use crate::steelyard::NAMESPACE;
use crate::support::{Demo, Failure, Policy, Rollout, Space, SupportError, available};

/// How long one phase may take.
const LIMIT: Duration = Duration::from_mins(20);
/// The name of the policy.
const POLICY: &str = "fleet";

/// Creates the namespaces.
pub(super) async fn namespaces(count: usize) -> Result<Vec<Space>, SupportError> {
    let names: Vec<String> = (0..count).map(|n| format!("fleet-{n}")).collect();
    try_join_all(names.iter().map(|name| Space::fresh(name))).await
}

/// Divides a number of Deployments evenly.
pub(super) fn shares(deployments: usize, namespaces: usize) -> Vec<usize> {
    (0..namespaces).map(|n| deployments / namespaces + usize::from(n < deployments % namespaces)).collect()
}

fn name(n: usize) -> String {
    format!("app-{n}")
}

/// Creates, in each namespace, its share of Deployments with one pod that runs nothing, their
/// Services, and the policy: by Services, steps 50 and 100. Waits until all pods are available.
pub(super) async fn deployments(spaces: &[Space], shares: &[usize]) -> Result<(), Failure> {
    try_join_all(spaces.iter().zip(shares).map(async |(space, share)| {
        space.apply(&Policy::new(POLICY).step(50, 1).step(100, 1).by_service().to_string()).await?;
        for n in 0..*share {
            let demo = Demo::new(&name(n), "v1").replicas(1).light();
            space.apply(&format!("{demo}---\n{}", demo.manifest_of_service())).await?;
        }
        rolled_out(space, *share, "v1").await?;
        Ok::<_, Failure>(())
    }))
    .await
    .map(drop)
}

/// Waits until all Deployments have this version.
pub(super) async fn rolled_out(space: &Space, share: usize, tag: &str) -> Result<(), SupportError> {
    let image = format!("demo:{tag}");
    let updated = |all: &BTreeMap<String, Deployment>| {
        let done = all.values().filter(|one| available(one) && runs(one, &image));
        (done.count() == share).then_some(())
    };
    space.until_all(Config::default(), &format!("{share} Deployments at {tag}"), LIMIT, updated).await
}

fn runs(deployment: &Deployment, image: &str) -> bool {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.is_some_and(|pod| pod.containers.iter().any(|one| one.image.as_deref() == Some(image)))
}

/// Annotates all Deployments with the policy.
pub(super) async fn annotate(spaces: &[Space]) -> Result<(), SupportError> {
    let annotation = format!("steelyard.io/policy={POLICY}");
    let args = ["annotate", "deployments", "--all", &annotation];
    try_join_all(spaces.iter().map(|space| space.kubectl(&args))).await.map(drop)
}

/// Waits until all Deployments are adopted.
pub(super) async fn adopted(spaces: &[Space], shares: &[usize]) -> Result<(), SupportError> {
    let stable = |rollout: &Rollout| rollout.phase() == "Stable" && rollout.holds("HoldEnforced");
    all(spaces, shares, "adopted", stable).await
}

/// Changes the image of the first Deployments of each namespace.
pub(super) async fn push(spaces: &[Space], shares: &[usize], tag: &str) -> Result<(), SupportError> {
    let image = format!("app=demo:{tag}");
    try_join_all(spaces.iter().zip(shares).filter(|(_, share)| **share > 0).map(async |(space, share)| {
        let deployments: Vec<String> = (0..*share).map(|n| format!("deployment/{}", name(n))).collect();
        let mut args = vec!["set", "image"];
        args.extend(deployments.iter().map(String::as_str));
        args.push(&image);
        space.kubectl(&args).await
    }))
    .await
    .map(drop)
}

/// Waits until the rollouts of the first Deployments of each namespace are complete.
pub(super) async fn complete(spaces: &[Space], shares: &[usize], tag: &str) -> Result<(), SupportError> {
    all(spaces, shares, "complete", |rollout: &Rollout| rollout.complete(tag)).await
}

/// Waits, in each namespace, for its share of Rollouts.
async fn all(
    spaces: &[Space],
    shares: &[usize],
    what: &str,
    done: impl Fn(&Rollout) -> bool,
) -> Result<(), SupportError> {
    let done = &done;
    try_join_all(spaces.iter().zip(shares).map(async |(space, share)| {
        let enough = |rollouts: &BTreeMap<String, Rollout>| {
            (rollouts.values().filter(|rollout| done(rollout)).count() >= *share).then_some(())
        };
        space.until_all(Config::default(), &format!("{share} Rollouts {what}"), LIMIT, enough).await
    }))
    .await
    .map(drop)
}

/// Replaces Steelyard's pod, and waits until the new one is available.
pub(super) async fn restart(space: &Space) -> Result<(), SupportError> {
    let steelyard = space.beside(NAMESPACE);
    steelyard.kubectl(&["rollout", "restart", "deployment", "steelyard"]).await?;
    steelyard.rolled_out("steelyard", LIMIT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_differ_by_one_at_most_and_leave_nothing_out() {
        assert_eq!(shares(10, 4), [3, 3, 2, 2]);
        assert_eq!(shares(2, 3), [1, 1, 0]);
    }
}
