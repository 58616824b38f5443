//! Admission alters the canary's template: the canary is measured, but in the end the Deployment
//! controller starts the pods that serve.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::ListParams;
use lab::load::Load;
use lab::support::{Demo, Failure, HttpRoute, Policy, Rollout, Space, Trails, asked, tell};

use crate::canary::held;
use crate::pods_of;

/// Requests per second on each of the two paths (Gateway and `ClusterIP`).
const RATE: f64 = 50.0;
/// The longest time of a whole rollout, including its native end.
const LIMIT: Duration = Duration::from_mins(2);

/// An admission policy that annotates the template of each canary `ReplicaSet` in one namespace.
fn altering(namespace: &str) -> String {
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: alter-{namespace}}}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [replicasets]}}
  matchConditions:
  - {{name: canary, expression: "'steelyard.io/rollout' in object.metadata.?labels.orValue({{}})"}}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{{spec: Object.spec{{template: Object.spec.template{{metadata: Object.spec.template.metadata{{
        annotations: {{"example.com/altered": "yes"}}}}}}}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: alter-{namespace}}}
spec: {{policyName: alter-{namespace}}}
"#
    )
}

/// Retries the creation of a canary `ReplicaSet` by dry run until admission alters it, because an
/// admission policy takes a moment to become effective.
async fn in_force(space: &Space) -> Result<(), Failure> {
    let probe = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"probe","labels":{"steelyard.io/rollout":"probe"}},
        "spec":{"replicas":0,"selector":{"matchLabels":{"app":"probe"}},"template":{"metadata":{"labels":{"app":"probe"}},
        "spec":{"containers":[{"name":"app","image":"demo:v1"}]}}}}"#;
    let probe: ReplicaSet = serde_json::from_str(probe)?;
    let dry = kube::api::PostParams { dry_run: true, ..Default::default() };
    asked("admission that alters templates", LIMIT, async || {
        let made = space.api::<ReplicaSet>().create(&dry, &probe).await?;
        let template = made.spec.and_then(|spec| spec.template?.metadata?.annotations);
        Ok(template.filter(|annotations| annotations.contains_key("example.com/altered")).map(drop))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_admission_alters_is_measured_and_then_rolled_out_natively() -> Result<(), Failure> {
    Space::run("altered", async |space| {
        // The Deployment controller deletes pods at once, so they keep serving until the routers
        // have removed them.
        let demo = Demo::new("web", "v1").linger(4);
        let (gateway, service) = space.serve("web", &demo, RATE).await?;
        let before = pods_of(space, "web", 4).await?;
        space.apply(&Policy::new("web").step(25, 1).step(50, 1).measured().to_string()).await?;
        space.adopt("web", "web").await?;
        let route = space.api::<HttpRoute>().get("web").await?.spec;
        let policy = format!("alter-{}", space.name());
        space.apply(&altering(space.name())).await?;
        in_force(space).await?;

        let trails = Trails::follow(space, "web");
        let (gateway, service) = (Load::start(gateway), Load::start(service));
        space.kubectl(&["set", "image", "deployment/web", "app=demo:v2"]).await?;
        let ended = space
            .until("web", "v2 Complete", LIMIT, |rollout: &Rollout| {
                rollout.complete("v2").then(|| rollout.clone())
            })
            .await;
        for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
            space.kubectl(&["delete", kind, &policy]).await?;
        }
        let ended = ended?;
        let after = pods_of(space, "web", 4).await?;
        let (gateway, service) = (gateway.stop().await, service.stop().await);
        for (way, record) in [("Gateway", &gateway), ("ClusterIP", &service)] {
            tell(format_args!("through the {way}: {record}"));
            assert_eq!(record.failed(), 0, "through the {way}: {record}");
        }
        let weights: Vec<u64> = trails.weights().into_iter().map(|(_, weight)| weight).collect();
        assert_eq!(
            weights.iter().filter(|weight| **weight > 0).collect::<Vec<_>>(),
            [&25, &50, &100],
            "{weights:?}"
        );
        let started = trails.pods("demo:v2");
        assert_eq!(started.len(), 8, "four of the canary, four of the Deployment controller: {started:?}");
        assert!(before.iter().all(|pod| !after.contains(pod)));
        assert!(!ended.text("/stable/revision").starts_with('0'), "{}", ended.status);

        let sets = space.api::<ReplicaSet>().list(&ListParams::default()).await?.items;
        let owners: BTreeSet<String> = sets
            .iter()
            .flat_map(|set| set.owner_references().iter().map(|owner| owner.kind.clone()))
            .collect();
        assert_eq!(owners, BTreeSet::from(["Deployment".to_owned()]), "no canary is left");
        let deployment = space.api::<Deployment>().get("web").await?;
        assert_eq!(held(&deployment), Some(false), "released");
        assert_eq!(space.api::<HttpRoute>().get("web").await?.spec, route, "the route is restored");
        assert!(space.api::<Service>().get_opt("web-canary").await?.is_none());
        Ok(())
    })
    .await
}
