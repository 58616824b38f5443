//! Deployments, Services and routes that don't fit.

use lab::support::{Demo, Failure, Space};

use super::{Case, run, served};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_strategy_recreate_is_refused() -> Result<(), Failure> {
    Space::run("recreate", async |space| {
        let ways = served(space).await?;
        let set = |patch| ["patch", "deployment", "web", "--type=merge", "-p", patch];
        let case = Case {
            spoil: &[&set(r#"{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}"#)],
            reason: "StrategyRecreate",
            words: &["Deployment web", "spec.strategy.type", "use RollingUpdate"],
            cure: &[&set(r#"{"spec":{"strategy":{"type":"RollingUpdate"}}}"#)],
        };
        run(space, ways, case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_limit_of_zero_is_refused() -> Result<(), Failure> {
    Space::run("no-history", async |space| {
        let ways = served(space).await?;
        let set = |patch| ["patch", "deployment", "web", "--type=merge", "-p", patch];
        let case = Case {
            spoil: &[&set(r#"{"spec":{"revisionHistoryLimit":0}}"#)],
            reason: "RevisionHistoryLimit",
            words: &["Deployment web", "spec.revisionHistoryLimit", "set 1 or more"],
            cure: &[&set(r#"{"spec":{"revisionHistoryLimit":2}}"#)],
        };
        run(space, ways, case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_without_a_service_is_refused() -> Result<(), Failure> {
    Space::run("no-service", async |space| {
        served(space).await?;
        let case = Case {
            spoil: &[&["delete", "service", "web"]],
            reason: "NoService",
            words: &["no Service", "Deployment web", "create one"],
            cure: &[
                &["create", "service", "clusterip", "web", "--tcp=80:8080"],
                &["label", "service", "web", "made=again"],
            ],
        };
        // Without a Service there is no way to send it requests.
        run(space, Vec::new(), case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_without_a_route_is_refused() -> Result<(), Failure> {
    Space::run("no-route", async |space| {
        let ways = served(space).await?;
        let rename = |name: &str| {
            format!(r#"[{{"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":"{name}"}}]"#)
        };
        let (away, back) = (rename("elsewhere"), rename("web"));
        let case = Case {
            spoil: &[&["patch", "httproute", "web", "--type=json", "-p", &away]],
            reason: "NoRoute",
            words: &["no HTTPRoute names", "Deployment web (web)", "backendRefs"],
            cure: &[&["patch", "httproute", "web", "--type=json", "-p", &back]],
        };
        // The Gateway leads nowhere meanwhile; the Service's own address does.
        run(space, ways[1..].to_vec(), case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_another_workload_shares_is_refused() -> Result<(), Failure> {
    Space::run("shared-service", async |space| {
        let own = "matchLabels: {app: web, part: own}";
        let demo = Demo::new("web", "v1").replicas(2).manifest(space.name());
        let demo = demo
            .replace("matchLabels: {app: web}", own)
            .replace("metadata: {labels: {app: web}}", "metadata: {labels: {app: web, part: own}}");
        assert!(demo.contains(own) && demo.contains("app: web, part: own}}"), "{demo}");
        space.apply(&demo).await?;
        let other =
            Demo::new("other", "v1").replicas(1).to_string().replace("app: other", "app: web, part: other");
        space.apply(&other).await?;
        space.rolled_out("web", crate::SOON).await?;
        space.rolled_out("other", crate::SOON).await?;
        let gateway = std::env::var("LAB_GATEWAY")?;
        let way =
            lab::load::Plan::new(&gateway, super::RATE)?.host(&Demo::new("web", "v1").host(space.name()));
        lab::support::routed(&way, crate::SOON).await?;
        let select = r#"{"spec":{"selector":{"app":"web","part":"own"}}}"#;
        let case = Case {
            spoil: &[],
            reason: "ServiceShared",
            words: &[
                "Service web",
                "pods of another workload",
                "(other-",
                "selector app=web",
                "Deployment web",
            ],
            cure: &[&["patch", "service", "web", "--type=merge", "-p", select]],
        };
        run(space, vec![way], case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_whole_numbers_can_not_express_is_refused() -> Result<(), Failure> {
    Space::run("odd-share", async |space| {
        let ways = served(space).await?;
        space.apply(&Demo::new("other", "v1").replicas(1).manifest(space.name())).await?;
        space.rolled_out("other", crate::SOON).await?;
        let weights = |weight: u32| {
            format!(
                r#"[{{"op":"replace","path":"/spec/rules/0/backendRefs","value":[{{"name":"web","port":80,"weight":{weight}}},{{"name":"other","port":80,"weight":{weight}}}]}}]"#
            )
        };
        let (odd, even) = (weights(1), weights(20));
        let case = Case {
            spoil: &[&["patch", "httproute", "web", "--type=json", "-p", &odd]],
            reason: "WeightNotExpressible",
            words: &["HTTPRoute web", "5% of weight 1 ", "multiply each weight of the rule's backendRefs by 20"],
            cure: &[&["patch", "httproute", "web", "--type=json", "-p", &even]],
        };
        run(space, ways, case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_of_the_canary_service_s_name_is_told() -> Result<(), Failure> {
    Space::run("stranger", async |space| {
        let ways = served(space).await?;
        let case = Case {
            // Its selector is its own: it selects nothing of the Deployment's.
            spoil: &[&["create", "service", "clusterip", "web-canary", "--tcp=80:8080"]],
            reason: "Conflict",
            words: &["Service web-canary", "rename it", "steelyard.io/canary-of=web"],
            cure: &[&["delete", "service", "web-canary"]],
        };
        run(space, ways, case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_with_readiness_gates_are_refused() -> Result<(), Failure> {
    Space::run("readiness-gates", async |space| {
        let ways = served(space).await?;
        space.apply(super::POLICY).await?;
        let loads: Vec<_> = ways.into_iter().map(lab::load::Load::start).collect();
        let trails = lab::support::Trails::follow(space, "web");
        space.adopt("web", "web").await?;
        // The template that has them is held like any other, and is the one that is refused.
        let add =
            r#"{"spec":{"template":{"spec":{"readinessGates":[{"conditionType":"example.com/ready"}]}}}}"#;
        space.kubectl(&["patch", "deployment", "web", "--type=merge", "-p", add]).await?;
        let words = ["Deployment web", "spec.template.spec.readinessGates", "leave it out"];
        super::refused(space, "web", "ReadinessGates", &words).await?;
        super::push_in_vain(space, &trails).await?;
        let cured = jiff::Timestamp::now();
        let remove = r#"{"spec":{"template":{"spec":{"readinessGates":null}}}}"#;
        space.kubectl(&["patch", "deployment", "web", "--type=merge", "-p", remove]).await?;
        super::goes_out(space, cured).await?;
        super::answered(loads).await;
        Ok(())
    })
    .await
}
