//! More than one: a tool that applies everything again and again, two versions at a push, two Deployments.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use lab::support::turn::{At, End, SOON, Turn, Way};
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space};
use serde_json::json;

/// The pace of a deployment tool that is in a hurry.
const AGAIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_applies_deployment_and_service_every_two_seconds_is_no_hindrance() -> Result<(), Failure>
{
    Space::run("gitops", async |space| {
        let turn = Turn::begin(space, "everything but the route applied every 2 s", None).await?;
        let pushed = turn.demo.clone().tag("v2");
        let policy = Policy::new("web").step(25, 2).to_string();
        let all = format!("{policy}---\n{pushed}---\n{}", pushed.manifest_of_service());
        let again = space.apply_again(all, AGAIN);
        turn.first(Timestamp::MIN, "v2 Complete", |rollout| rollout.complete("v2")).await?;
        again.abort();
        // A selector is applied as a whole: each time the pin is off until Steelyard hears of it.
        turn.ends(End::complete("v2").started("v2", 4..=4).unchecked(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_fights_for_the_route_s_weights_is_told_and_the_rollout_ends_with_the_fight()
-> Result<(), Failure> {
    Space::run("fight", async |space| {
        let turn = Turn::begin(space, "everything applied every 2 s, the route too", None).await?;
        let pushed = turn.demo.clone().tag("v2");
        let again = space.apply_again(pushed.manifest(space.name()), AGAIN);
        turn.first(Timestamp::MIN, "v2 Promoting", |rollout| rollout.phase() == "Promoting").await?;
        again.abort();
        let told =
            space.kubectl(&["get", "events", "--field-selector=reason=RouteRestored", "-o=name"]).await?;
        assert!(told.lines().count() > 0, "an Event tells of the fight");
        turn.ends(End::complete("v2").started("v2", 4..=4).unchecked(Way::Service)).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_in_the_middle_of_a_native_rollout_lets_that_end_first() -> Result<(), Failure> {
    Space::run("two-active", async |space| {
        let turn = Turn::plain(space, "two active ReplicaSets at a push", None).await?;
        space.apply(&Policy::new("web").step(25, 2).to_string()).await?;
        // Each of v2's pods takes three seconds to become ready: time to step in.
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
        turn.first(since, "v3's first step, from v2", |rollout| {
            At::FirstStep.is(rollout)
                && rollout.text("/canary/tag") == "v3"
                && rollout.text("/stable/tag") == "v2"
        })
        .await?;
        let end = End::complete("v3").since(since).started("v2", 4..=4).started("v3", 4..=4);
        // Paused between two versions, the Deployment controller shares the surge (25 %) out to both of them.
        let end = end.started("v1", 0..=1);
        // Of the native part only v3's absence is told.
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

/// Writes a wish into a Rollout's spec, or takes it out by null.
async fn wish(space: &Space, name: &str, wish: serde_json::Value) -> Result<(), Failure> {
    let patch = Patch::Merge(json!({"spec": wish}));
    space.api::<Rollout>().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_deployment_behind_the_service_says_conflict_and_the_first_goes_on() -> Result<(), Failure> {
    Space::run("one-service", async |space| {
        let turn = Turn::begin(space, "another Deployment joins the Service", None).await?;
        let revision = turn.bring(At::FirstStep).await?.text("/canary/revision").to_owned();
        wish(space, "web", json!({"pause": {"revision": revision}})).await?;
        let other = Demo::new("other", "v5").replicas(2).to_string();
        let joined = other.replace("{app: other}", "{app: web, part: other}");
        assert_ne!(joined, other);
        space.apply(&joined).await?;
        space.kubectl(&["annotate", "deployment", "other", "steelyard.io/policy=web"]).await?;
        let words = ["Service web", "Deployment web already", "Deployment other", "app=web"];
        let told = |rollout: &Rollout| {
            let conditions = rollout.status["conditions"].as_array()?;
            let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
            let message = accepted["message"].as_str()?;
            (accepted["reason"] == "Conflict" && words.iter().all(|word| message.contains(word)))
                .then_some(())
        };
        space.until("other", "Accepted=False, Conflict", SOON, told).await?;
        space.rolled_out("other", SOON).await?;
        // Its push is held, and starts nothing.
        space.kubectl(&["set", "image", "deployment/other", "app=demo:v6"]).await?;
        let held = |rollout: &Rollout| (rollout.text("/waiting/reason") == "NotAccepted").then_some(());
        space.until("other", "its template held", SOON, held).await?;
        // They would serve as soon as the Service is as it was.
        space.kubectl(&["scale", "deployment", "other", "--replicas=0"]).await?;
        let none = |pods: &std::collections::BTreeMap<String, Pod>| pods.is_empty().then_some(());
        space.until_all(watcher::Config::default().labels("part=other"), "no pod of it", SOON, none).await?;
        wish(space, "web", json!({"pause": null})).await?;
        turn.ends(End::complete("v2").started("v2", 4..=4).started("v5", 2..=2).never("v5")).await?;
        // The claim ends with the one that had it, and that is all it takes.
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
        assert!(turn.trails.route.all().iter().any(|seen| both(&seen.object)), "both were on trial at once");
        // On the Gateway's way shop's versions answer as well, before and after.
        turn.ends(End::complete("v2").started("v2", 4..=4).beside("v5").beside("v6")).await
    })
    .await
}
