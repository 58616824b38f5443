//! Routes and Services that another client edits, empties or deletes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use lab::support::turn::{At, End, SOON, Turn, Way};
use lab::support::{Failure, HttpRoute, Seen, Space};

/// The longest time that another client's weight stays.
const REVERTED: Duration = Duration::from_secs(10);

async fn patch_route(space: &Space, ops: &str) -> Result<(), Failure> {
    space.kubectl(&["patch", "httproute", "web", "--type=json", "-p", ops]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_edited_by_hand_are_restored() -> Result<(), Failure> {
    Space::run("hand-edit", async |space| {
        let turn = Turn::begin(space, "the route's weights edited by hand", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        let edited = Timestamp::now();
        patch_route(
            space,
            r#"[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 0},
            {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 100}]"#,
        )
        .await?;
        let route = &turn.trails.route;
        let at = |percent| {
            move |seen: &Seen<HttpRoute>| (seen.object.percent("web-canary") == percent).then_some(seen.at)
        };
        let by_hand = route.first(edited, "100 % by hand", REVERTED, at(100)).await?;
        route.first(by_hand, "25 % again", REVERTED, at(25)).await?;
        let weights: Vec<u64> =
            turn.trails.weights().into_iter().filter(|(at, _)| *at > edited).map(|(_, w)| w).collect();
        assert!(weights.starts_with(&[100, 25]), "{weights:?}");
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_route_during_a_rollout_is_kept() -> Result<(), Failure> {
    Space::run("own-edit", async |space| {
        let mut turn = Turn::begin(space, "another part of the route edited", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        let host = "also.example";
        patch_route(space, &format!(r#"[{{"op": "add", "path": "/spec/hostnames/-", "value": "{host}"}}]"#))
            .await?;
        let route = turn.world.routes.get_mut("web").expect("the route");
        route["hostnames"].as_array_mut().expect("host names").push(host.into());
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_edited_before_a_rollout_is_restored_with_that_edit() -> Result<(), Failure> {
    Space::run("idle-edit", async |space| {
        let mut turn = Turn::begin(space, "the route edited before the rollout", None).await?;
        let weight = r#"[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 7}]"#;
        patch_route(space, weight).await?;
        turn.world.routes.get_mut("web").expect("the route")["rules"][0]["backendRefs"][0]["weight"] =
            7.into();
        turn.push("v2").await?;
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_waits_while_its_rule_is_removed() -> Result<(), Failure> {
    Space::run("no-rule", async |space| {
        let turn = Turn::begin(space, "the route's rule removed and restored", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        let rules = turn.world.routes["web"]["rules"].clone();
        let since = Timestamp::now();
        patch_route(space, r#"[{"op": "replace", "path": "/spec/rules", "value": [
            {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
             "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302, "hostname": "away.example"}}]}]}]"#)
            .await?;
        turn.first(since, "a wait with a reason", |r| r.text("/waiting/reason").starts_with("Route")).await?;
        patch_route(space, &format!(r#"[{{"op": "replace", "path": "/spec/rules", "value": {rules}}}]"#)).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_waits_for_its_deleted_route_and_never_creates_it() -> Result<(), Failure> {
    Space::run("no-route", async |space| {
        let turn = Turn::begin(space, "the route deleted and restored", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        let since = Timestamp::now();
        space.kubectl(&["delete", "httproute", "web"]).await?;
        turn.first(since, "a wait with a reason", |r| r.text("/waiting/reason").starts_with("Route")).await?;
        assert!(space.api::<HttpRoute>().get_opt("web").await?.is_none(), "the controller did not create it");
        space.apply(&turn.demo.manifest_of_route(space.name())).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_route_does_not_block_a_withdrawal() -> Result<(), Failure> {
    Space::run("no-route", async |space| {
        let mut turn =
            Turn::begin(space, "the route deleted, then stable pushed again", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        space.kubectl(&["delete", "httproute", "web"]).await?;
        let since = Timestamp::now();
        turn.push("v1").await?;
        turn.first(since, "v1 Complete", |rollout| rollout.complete("v1")).await?;
        turn.unload().await;
        space.apply(&turn.demo.manifest_of_route(space.name())).await?;
        turn.routed().await?;
        turn.load();
        turn.ends(End::complete("v1").since(since).started("v2", 1..=2).may_fail(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_removed_during_a_rollout_is_restored() -> Result<(), Failure> {
    Space::run("unpinned", async |space| {
        let turn =
            Turn::begin(space, "the Service's selector applied without the pin", At::FirstStep).await?;
        turn.bring(At::FirstStep).await?;
        let off = r#"[{"op": "replace", "path": "/spec/selector", "value": {"app": "web"}}]"#;
        space.kubectl(&["patch", "service", "web", "--type=json", "-p", off]).await?;
        let pinned = |service: &Service| {
            service.spec.as_ref()?.selector.as_ref()?.get("pod-template-hash").map(|_| ())
        };
        space.until("web", "the Service pinned again", SOON, pinned).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).unchecked(Way::Service)).await
    })
    .await
}

mod the_canary_service_is_deleted {
    use super::*;

    async fn run(at: At) -> Result<(), Failure> {
        Space::run("no-canary-svc", async |space| {
            let turn = Turn::begin(space, "the canary Service deleted", at).await?;
            turn.bring(at).await?;
            space.kubectl(&["delete", "service", "web-canary", "--wait=false"]).await?;
            // Requests that the router sends to a deleted Service fail until its weight is 0.
            turn.ends(End::complete("v2").started("v2", 4..=4).may_fail(Way::Gateway)).await
        })
        .await
    }

    crate::turns::at_each_moment!(run;
        also_before_the_first_pod_is_ready: Starting,
        at_the_first_step: FirstStep,
        also_at_the_last_step: LastStep,
        also_while_the_canary_service_drains: Draining,
    );
}
