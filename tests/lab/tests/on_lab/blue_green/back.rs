//! Returns without a rollout: to a version within the rollback window, and to stable's template.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use lab::support::turn::{End, Turn};
use lab::support::{Failure, Policy, Rollout, Space};

use super::push_bad;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_complete_within_the_rollback_window_returns_in_one_switch() -> Result<(), Failure> {
    Space::run("bg-window", async |space| {
        let policy = Policy::new("web").step(25, 1).window(1);
        let turn =
            Turn::switching(space, "back to the previous version, within the rollback window", &policy)
                .await?;
        turn.push("v2").await?;
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        let since = Timestamp::now();
        turn.push("v1").await?;
        turn.first(since, "v1 Complete", |rollout| rollout.complete("v1")).await?;
        let weights: Vec<u64> = turn.trails.weights().into_iter().map(|(_, weight)| weight).collect();
        assert_eq!(
            weights,
            [0, 25, 100, 0, 100, 0],
            "steps for the first rollout, one switch for the return"
        );
        let end = End::complete("v1").since(since);
        turn.ends(end.started("v2", 4..=4).started("v1", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_failure_revert_restores_stables_template_and_a_second_push_of_the_bad_one_is_not_tried()
-> Result<(), Failure> {
    Space::run("bg-revert", async |space| {
        let policy = Policy::blue_green("web").after(20).measured().reverts();
        let turn =
            Turn::switching(space, "onFailure: Revert, and the bad template pushed again", &policy).await?;
        let since = push_bad(&turn, "v2", 2).await?;
        let reverted = |rollout: &Rollout| {
            rollout.phase() == "Stable"
                && rollout.status["failure"]["reverted"] == true
                && rollout.holds("Complete")
        };
        let rollout = turn.first(since, "stable's template is back", reverted).await?;
        assert_eq!(rollout.text("/failure/reason"), "MetricFailed");
        let deployment = space.api::<Deployment>().get("web").await?;
        let image = deployment.spec.and_then(|spec| spec.template.spec?.containers.into_iter().next()?.image);
        assert_eq!(image.as_deref(), Some("demo:v1"));
        let since = push_bad(&turn, "v2", 2).await?;
        turn.ends(End::rolled_back("v1").since(since).bad("v2").started("v2", 4..=4)).await
    })
    .await
}
