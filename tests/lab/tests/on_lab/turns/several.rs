//! Several actors: a tool that applies everything again and again, two versions at a push, two
//! Deployments.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use lab::support::turn::{At, End, SOON, Turn, Way};
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space};
use serde_json::json;

/// The interval of a fast deployment tool.
const AGAIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_completes_while_a_tool_applies_deployment_and_service_every_two_seconds()
-> Result<(), Failure> {
    Space::run("gitops", async |space| {
        let turn = Turn::begin(space, "everything but the route applied every 2 s", None).await?;
        let pushed = turn.demo.clone().tag("v2");
        let policy = Policy::new("web").step(25, 2).to_string();
        let all = format!("{policy}---\n{pushed}---\n{}", pushed.manifest_of_service());
        let again = space.apply_again(all, AGAIN);
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        again.abort();
        // An apply replaces the whole selector, so the pin is missing until Steelyard restores it.
        turn.ends(End::complete("v2").started("v2", 4..=4).unchecked(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_reverts_the_weights_is_reported_and_the_rollout_completes_once_it_stops()
-> Result<(), Failure> {
    Space::run("fight", async |space| {
        let turn = Turn::begin(space, "everything applied every 2 s, the route too", None).await?;
        let pushed = turn.demo.clone().tag("v2");
        let again = space.apply_again(pushed.manifest(space.name()), AGAIN);
        turn.first(Timestamp::MIN, "v2 Promoting", |rollout| rollout.phase() == "Promoting").await?;
        again.abort();
        let events =
            space.kubectl(&["get", "events", "--field-selector=reason=RouteRestored", "-o=name"]).await?;
        assert!(events.lines().count() > 0, "an Event reports the conflict");
        // The weight changes twice within a second, and on a busy machine the watch shows both changes
        // up to three seconds later: too late to show which answers of v2 were early.
        let end = End::complete("v2").started("v2", 4..=4).unchecked(Way::Service);
        turn.ends(end.unchecked(Way::Gateway)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_during_a_native_rollout_starts_from_the_version_that_serves() -> Result<(), Failure> {
    Space::run("two-active", async |space| {
        let turn = Turn::plain(space, "two active ReplicaSets at a push", None).await?;
        space.apply(&Policy::new("web").step(25, 2).to_string()).await?;
        // Each of v2's pods takes three seconds to become ready, which leaves time for the next
        // push.
        space.apply(&turn.demo.clone().tag("v2").env("START_DELAY", "3s").to_string()).await?;
        let both = |pods: &std::collections::BTreeMap<String, k8s_openapi::api::core::v1::Pod>| {
            let v2 = pods.values().any(|pod| {
                let spec = pod.spec.as_ref();
                spec.is_some_and(|spec| spec.containers[0].image.as_deref() == Some("demo:v2"))
            });
            v2.then_some(())
        };
        let which = kube::runtime::watcher::Config::default().labels("app=web");
        space.until_all(which, "pods of two versions", SOON, both).await?;
        space.kubectl(&["annotate", "deployment", "web", "steelyard.io/policy=web"]).await?;
        let since = Timestamp::now();
        space.apply(&turn.demo.clone().tag("v3").to_string()).await?;
        turn.first(since, "v3's first step, from v1", |rollout| {
            At::FirstStep.is(rollout)
                && rollout.text("/canary/tag") == "v3"
                && rollout.text("/stable/tag") == "v1"
        })
        .await?;
        // v1 has most of the available pods. It gets those of v2, and the surge (25 %).
        let end = End::complete("v3").since(since).started("v2", 0..=2).started("v3", 4..=4);
        let end = end.started("v1", 0..=2);
        // During the native rollout only v3's absence is checked.
        turn.ends(end.unchecked(Way::Gateway).unchecked(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deployments_of_a_namespace_roll_out_at_once() -> Result<(), Failure> {
    Space::run("two-at-once", async |space| {
        let turn = Turn::begin(space, "two Deployments at once", None).await?;
        let shop = Demo::new("shop", "v1").replicas(2);
        space.apply(&shop.manifest(space.name())).await?;
        space.rolled_out("shop", SOON).await?;
        space.adopt("shop", "web").await?;
        turn.push("v2").await?;
        space.kubectl(&["set", "image", "deployment/shop", "app=demo:v5"]).await?;
        let done = |rollout: &Rollout| rollout.complete("v5").then_some(());
        space.until("shop", "shop v5 Complete", lab::support::turn::LONG, done).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4)).await
    })
    .await
}

/// Writes an intent into a Rollout's spec; null removes it.
async fn set_intent(space: &Space, name: &str, intent: serde_json::Value) -> Result<(), Failure> {
    let patch = Patch::Merge(json!({"spec": intent}));
    space.api::<Rollout>().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_deployment_behind_the_service_is_refused_with_conflict_and_the_first_continues()
-> Result<(), Failure> {
    Space::run("one-service", async |space| {
        let turn = Turn::begin(space, "another Deployment joins the Service", None).await?;
        let revision = turn.bring(At::FirstStep).await?.text("/canary/revision").to_owned();
        set_intent(space, "web", json!({"pause": {"revision": revision}})).await?;
        let other = Demo::new("other", "v5").replicas(2).to_string();
        let joined = other.replace("{app: other}", "{app: web, part: other}");
        assert_ne!(joined, other);
        space.apply(&joined).await?;
        space.kubectl(&["annotate", "deployment", "other", "steelyard.io/policy=web"]).await?;
        let words = ["Service web", "belongs to Deployment web", "Deployment other", "app=web"];
        let conflict = |rollout: &Rollout| {
            let conditions = rollout.status["conditions"].as_array()?;
            let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
            let message = accepted["message"].as_str()?;
            (accepted["reason"] == "Conflict" && words.iter().all(|word| message.contains(word)))
                .then_some(())
        };
        space.until("other", "Accepted=False, Conflict", SOON, conflict).await?;
        space.rolled_out("other", SOON).await?;
        // Its push is held and starts nothing.
        space.kubectl(&["set", "image", "deployment/other", "app=demo:v6"]).await?;
        let held = |rollout: &Rollout| (rollout.text("/waiting/reason") == "NotAccepted").then_some(());
        space.until("other", "its template held", SOON, held).await?;
        // Otherwise its pods would serve as soon as the Service is unpinned.
        space.kubectl(&["scale", "deployment", "other", "--replicas=0"]).await?;
        let none = |pods: &std::collections::BTreeMap<String, Pod>| pods.is_empty().then_some(());
        space.until_all(watcher::Config::default().labels("part=other"), "no pod of it", SOON, none).await?;
        set_intent(space, "web", json!({"pause": null})).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).started("v5", 2..=2).never("v5")).await?;
        // Deleting the Deployment that claims the Service ends the claim, and nothing else is
        // needed.
        space.kubectl(&["delete", "deployment", "web"]).await?;
        let accepted = |rollout: &Rollout| rollout.holds("Accepted").then_some(());
        Ok(space.until("other", "Accepted once the first is gone", SOON, accepted).await?)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deployments_share_a_route_s_rule_and_roll_out_at_once() -> Result<(), Failure> {
    Space::run("one-route", async |space| {
        let mut turn = Turn::begin(space, "two Deployments in one rule of a route", None).await?;
        let shop = Demo::new("shop", "v5").replicas(2).linger(4);
        space.apply(&format!("{shop}---\n{}", shop.manifest_of_service())).await?;
        space.rolled_out("shop", SOON).await?;
        let half =
            |name: &str| json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": 100});
        let refs = json!([half("web"), half("shop")]);
        let ops = json!([{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": refs}]);
        space.kubectl(&["patch", "httproute", "web", "--type=json", "-p", &ops.to_string()]).await?;
        if let Some(spec) = turn.world.routes.get_mut("web") {
            spec["rules"][0]["backendRefs"] = refs;
        }
        space.adopt("shop", "web").await?;
        turn.push("v2").await?;
        space.kubectl(&["set", "image", "deployment/shop", "app=demo:v6"]).await?;
        let done = |rollout: &Rollout| rollout.complete("v6").then_some(());
        space.until("shop", "shop v6 Complete", lab::support::turn::LONG, done).await?;
        let both = |route: &HttpRoute| route.percent("web-canary") > 0 && route.percent("shop-canary") > 0;
        assert!(
            turn.trails.route.all().iter().any(|seen| both(&seen.object)),
            "both were in progress at once"
        );
        // Through the Gateway, shop's versions answer as well, before and after.
        turn.ends(End::complete("v2").started("v2", 4..=4).beside("v5").beside("v6")).await
    })
    .await
}
