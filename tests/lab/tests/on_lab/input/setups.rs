//! Deployments, Services and routes that are refused.

use lab::support::{Demo, Failure, Space};

use super::{Case, run, served};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_strategy_recreate_is_refused() -> Result<(), Failure> {
    Space::run("recreate", async |space| {
        let ways = served(space).await?;
        let set = |patch| ["patch", "deployment", "web", "--type=merge", "-p", patch];
        let case = Case {
            break_with: &[&set(r#"{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}"#)],
            reason: "StrategyRecreate",
            words: &["Deployment web", "spec.strategy.type", "use RollingUpdate"],
            fix_with: &[&set(r#"{"spec":{"strategy":{"type":"RollingUpdate"}}}"#)],
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
            break_with: &[&set(r#"{"spec":{"revisionHistoryLimit":0}}"#)],
            reason: "RevisionHistoryLimit",
            words: &["Deployment web", "spec.revisionHistoryLimit", "set 1 or more"],
            fix_with: &[&set(r#"{"spec":{"revisionHistoryLimit":2}}"#)],
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
            break_with: &[&["delete", "service", "web"]],
            reason: "NoService",
            words: &["no Service", "Deployment web", "create one"],
            fix_with: &[
                &["create", "service", "clusterip", "web", "--tcp=80:8080"],
                &["label", "service", "web", "made=again"],
            ],
        };
        // Without a Service no requests can be sent.
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
            break_with: &[&["patch", "httproute", "web", "--type=json", "-p", &away]],
            reason: "NoRoute",
            words: &["no HTTPRoute or GRPCRoute refers to", "Deployment web (web)", "backendRefs"],
            fix_with: &[&["patch", "httproute", "web", "--type=json", "-p", &back]],
        };
        // The Gateway has no route meanwhile; the Service's address works.
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
            break_with: &[],
            reason: "ServiceShared",
            words: &[
                "Service web",
                "pods of another workload",
                "(other-",
                "selector app=web",
                "Deployment web",
            ],
            fix_with: &[&["patch", "service", "web", "--type=merge", "-p", select]],
        };
        run(space, vec![way], case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_whole_numbers_cannot_express_is_refused() -> Result<(), Failure> {
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
            break_with: &[&["patch", "httproute", "web", "--type=json", "-p", &odd]],
            reason: "WeightNotExpressible",
            words: &["HTTPRoute web", "5% of weight 1 ", "multiply each weight of the rule's backendRefs by 20"],
            fix_with: &[&["patch", "httproute", "web", "--type=json", "-p", &even]],
        };
        run(space, ways, case).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unrelated_service_with_the_name_of_the_canary_service_is_refused() -> Result<(), Failure> {
    Space::run("unrelated", async |space| {
        let ways = served(space).await?;
        let case = Case {
            // Its selector selects no pods of the Deployment.
            break_with: &[&["create", "service", "clusterip", "web-canary", "--tcp=80:8080"]],
            reason: "Conflict",
            words: &["Service web-canary", "rename it", "steelyard.io/canary-of=web"],
            fix_with: &[&["delete", "service", "web-canary"]],
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
        // The template with the gates is held, and it is the one that is refused.
        let add =
            r#"{"spec":{"template":{"spec":{"readinessGates":[{"conditionType":"example.com/ready"}]}}}}"#;
        space.kubectl(&["patch", "deployment", "web", "--type=merge", "-p", add]).await?;
        let words = ["Deployment web", "spec.template.spec.readinessGates", "remove it"];
        super::refused(space, "web", "ReadinessGates", &words).await?;
        super::push_without_start(space, &trails).await?;
        let fixed = jiff::Timestamp::now();
        let remove = r#"{"spec":{"template":{"spec":{"readinessGates":null}}}}"#;
        space.kubectl(&["patch", "deployment", "web", "--type=merge", "-p", remove]).await?;
        super::rolls_out(space, fixed).await?;
        super::all_answered(loads).await;
        Ok(())
    })
    .await
}
