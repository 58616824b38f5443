//! A world of one Deployment: writes are applied to it, its controllers do their part at once, and time is a number.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::*;
use crate::{
    analysis::Outcome,
    api::{self, RolloutStatus},
    traffic::gateway::{Acceptance, Pair, seen},
};

/// The world, and what has been seen of it.
pub(super) struct World {
    pub(super) s: Snapshot,
    /// Each weight the canary ever got, in order.
    pub(super) weights: Vec<u8>,
    /// How many pods were ever started.
    pub(super) started: i32,
    /// What Prometheus answers.
    pub(super) answer: Outcome,
    version: u64,
}

impl World {
    /// Four pods of v1 behind a Service and a route, under a policy of two steps.
    pub(super) fn stable() -> Self {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "demo:v1"}]}});
        let policy = serde_json::from_value(json!({
            "strategy": {"canary": {"steps": [{"weight": 25, "hold": "5s"}, {"weight": 50, "hold": "5s"}]}},
            "traffic": {"gatewayAPI": {}},
            "analysis": {"settle": "1s", "interval": "1s", "metrics": [{"name": "success", "min": 0.9, "failureLimit": 0,
                "query": "sum(rate(ok{pod=~\"$canary_pods\"}[2s]))"}]},
        }))
        .unwrap();
        let meta = |name: &str| Meta {
            name: name.into(),
            uid: format!("uid-{name}"),
            version: "1".into(),
            generation: 1,
            ..Meta::default()
        };
        let deployment = Deployment {
            meta: Meta { annotations: [(api::POLICY.into(), "p".into())].into(), ..meta("web") },
            replicas: 4,
            paused: false,
            template: template.clone(),
            selector: json!({"matchLabels": {"app": "web"}}),
            min_ready_seconds: 0,
            recreate: false,
            max_surge: 1,
            history_limit: 10,
            observed_generation: 1,
        };
        let stable = ReplicaSet {
            meta: Meta { labels: [(api::HASH.into(), "s1".into())].into(), ..meta("web-s1") },
            controller: Some("uid-web".into()),
            hash: "s1".into(),
            template,
            replicas: 4,
            min_ready_seconds: 0,
            available: 4,
            existing: 4,
            observed_generation: 1,
        };
        let service = Service {
            meta: meta("web"),
            selector: [("app".into(), "web".into())].into(),
            ports: json!([{"port": 80}]),
            widen_only: false,
            ready: BTreeSet::new(),
        };
        let route = Route {
            meta: meta("web"),
            spec: json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}),
            acceptance: Acceptance::Accepted,
        };
        let rollout = Rollout {
            meta: Meta { uid: "uid-web-rollout".into(), ..meta("web") },
            finalizer: false,
            spec: api::RolloutSpec::default(),
            status: RolloutStatus::default(),
        };
        let s = Snapshot {
            now: Timestamp::UNIX_EPOCH,
            epoch: 1,
            drain: SignedDuration::from_secs(2),
            gated: true,
            namespace: "ns".into(),
            name: "web".into(),
            deployment: Some(deployment),
            rollout: Some(rollout),
            policy: Policy::Found(policy),
            replica_sets: vec![stable],
            services: vec![service],
            pods: Vec::new(),
            routes: vec![route],
            readings: Vec::new(),
            asking: BTreeSet::new(),
        };
        let mut world = Self { s, weights: Vec::new(), started: 0, answer: Outcome::Value(1.0), version: 1 };
        world.controllers();
        world
    }

    pub(super) fn status(&self) -> &RolloutStatus {
        &self.s.rollout.as_ref().unwrap().status
    }

    /// Pushes an image, as admission lets it through: held.
    pub(super) fn push(&mut self, image: &str) {
        let d = self.s.deployment.as_mut().unwrap();
        d.template["spec"]["containers"][0]["image"] = json!(image);
        d.meta.generation += 1;
        d.paused = true;
        d.meta.labels.insert(api::HELD.into(), "true".into());
    }

    /// One pass, and what follows of it.
    pub(super) fn pass(&mut self) -> bool {
        let decision = decide(&self.s);
        assert_eq!(decision, decide(&self.s), "deciding twice on one world decides alike");
        self.s.readings.clear();
        for write in &decision.writes {
            self.write(write);
        }
        self.controllers();
        for ask in &decision.asks {
            let (revision, metric, query) = (ask.revision.clone(), ask.metric.clone(), ask.query.clone());
            self.s.readings.push(Reading {
                revision,
                step: ask.step,
                metric,
                query,
                at: ask.at,
                outcome: self.answer.clone(),
            });
        }
        self.invariants();
        if !decision.writes.is_empty() || !decision.asks.is_empty() {
            return true;
        }
        if let Some(wake) = decision.wake {
            self.s.now = wake.max(self.s.now);
        }
        decision.wake.is_some()
    }

    /// Passes until nothing is left to do.
    pub(super) fn rest(&mut self) {
        for _ in 0..2000 {
            if !self.pass() {
                return;
            }
        }
        panic!("no rest: {:?}", self.status());
    }

    /// Applies one write.
    pub(super) fn write(&mut self, write: &Write) {
        self.version += 1;
        let version = self.version.to_string();
        match write {
            Write::Create { kind: Kind::ReplicaSet, object } => self.s.replica_sets.push(ReplicaSet {
                meta: Meta { version, created: Some(self.s.now), ..named(object) },
                controller: Some("uid-web-rollout".into()),
                hash: object["spec"]["template"]["metadata"]["labels"][api::HASH].as_str().unwrap().into(),
                template: without_hash(&object["spec"]["template"]),
                replicas: 0,
                min_ready_seconds: 0,
                available: 0,
                existing: 0,
                observed_generation: 1,
            }),
            Write::Create { object, .. } => self.s.services.push(Service {
                meta: Meta { version, ..named(object) },
                selector: strings(&object["spec"]["selector"]),
                ports: object["spec"]["ports"].clone(),
                widen_only: false,
                ready: BTreeSet::new(),
            }),
            Write::Delete { kind: Kind::ReplicaSet, name, .. } => {
                self.s.replica_sets.retain(|set| set.meta.name != *name);
            }
            Write::Delete { name, .. } => self.s.services.retain(|service| service.meta.name != *name),
            Write::Status { status, .. } => self.s.rollout.as_mut().unwrap().status = (**status).clone(),
            Write::Patch { kind, name, ops, .. } => self.patch(*kind, name, ops, version),
        }
    }

    fn patch(&mut self, kind: Kind, name: &str, ops: &[Value], version: String) {
        let patch: json_patch::Patch = serde_json::from_value(json!(ops)).unwrap();
        let apply = |meta: &mut Meta, spec: Value| {
            let mut object = json!({"spec": spec, "metadata": {"annotations": meta.annotations, "labels": meta.labels, "ownerReferences": [], "finalizers": []}});
            json_patch::patch(&mut object, &patch).unwrap();
            meta.annotations = strings(&object["metadata"]["annotations"]);
            meta.labels = strings(&object["metadata"]["labels"]);
            meta.version = version;
            object
        };
        match kind {
            Kind::ReplicaSet => {
                let set = self.s.replica_sets.iter_mut().find(|set| set.meta.name == name).unwrap();
                let object = apply(&mut set.meta, json!({"replicas": set.replicas}));
                set.replicas = object["spec"]["replicas"].as_i64().unwrap().try_into().unwrap();
                if let Some(uid) = object["metadata"]["ownerReferences"][0]["uid"].as_str() {
                    set.controller = Some(uid.into());
                }
            }
            Kind::Service => {
                let service = self.s.services.iter_mut().find(|service| service.meta.name == name).unwrap();
                let object = apply(&mut service.meta, json!({"selector": service.selector}));
                service.selector = strings(&object["spec"]["selector"]);
            }
            Kind::HttpRoute => {
                let route = self.s.routes.iter_mut().find(|route| route.meta.name == name).unwrap();
                let spec = route.spec.clone();
                route.spec = apply(&mut route.meta, spec)["spec"].clone();
                let pair = Pair { namespace: "ns", stable: "web", canary: "web-canary" };
                let weight = seen(&route.spec, &pair).unwrap();
                if self.weights.last().copied().unwrap_or(0) != weight
                    && route.spec.to_string().contains("web-canary")
                {
                    self.weights.push(weight);
                }
            }
            Kind::Deployment => {
                let d = self.s.deployment.as_mut().unwrap();
                let object = apply(&mut d.meta, json!({"paused": d.paused, "template": d.template}));
                d.paused = object["spec"]["paused"].as_bool().unwrap_or(false);
            }
            Kind::Rollout => {
                let r = self.s.rollout.as_mut().unwrap();
                let object = apply(&mut r.meta, json!({}));
                r.finalizer = object["metadata"]["finalizers"] != json!([]);
            }
        }
    }

    /// What the cluster's own controllers make of it.
    fn controllers(&mut self) {
        let template = &self.s.deployment.as_ref().unwrap().template;
        let new = |set: &&mut ReplicaSet| {
            set.hash != "s1" && set.controller.as_deref() == Some("uid-web") && set.template == *template
        };
        if let Some(adopted) = self.s.replica_sets.iter_mut().find(new) {
            adopted.meta.annotations.insert("deployment.kubernetes.io/revision".into(), "2".into());
            let name = adopted.meta.name.clone();
            let old =
                |set: &&mut ReplicaSet| set.controller.as_deref() == Some("uid-web") && set.meta.name != name;
            self.s.replica_sets.iter_mut().filter(old).for_each(|set| set.replicas = 0);
        }
        self.s.pods.clear();
        for set in &mut self.s.replica_sets {
            self.started += if set.hash == "s1" { 0 } else { (set.replicas - set.existing).max(0) };
            (set.existing, set.available) = (set.replicas, set.replicas);
            for number in 0..set.replicas {
                let name = format!("{}-{number}", set.meta.name);
                self.s.pods.push(Pod {
                    name,
                    hash: set.hash.clone(),
                    trouble: None,
                    restarts: 0,
                    deleting: false,
                });
            }
        }
        for service in &mut self.s.services {
            let hash = service.selector.get(api::HASH);
            let behind = self.s.pods.iter().filter(|pod| hash.is_none_or(|hash| *hash == pod.hash));
            service.ready = behind.map(|pod| pod.name.clone()).collect();
        }
    }

    /// What holds in every world that can be reached.
    fn invariants(&self) {
        let pair = Pair { namespace: "ns", stable: "web", canary: "web-canary" };
        let weight = seen(&self.s.routes[0].spec, &pair).unwrap();
        if weight > 0 {
            let canary = self.s.services.iter().find(|service| service.meta.name == "web-canary").unwrap();
            assert!(!canary.ready.is_empty(), "traffic without a ready pod");
        }
        for service in &self.s.services {
            assert!(service.meta.name != "web" || !service.ready.is_empty(), "the Service lost all its pods");
        }
    }
}

fn named(object: &Value) -> Meta {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let labels = strings(&object["metadata"]["labels"]);
    Meta { uid: format!("uid-{name}"), name, labels, generation: 1, ..Meta::default() }
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"].as_object_mut().unwrap().remove(api::HASH);
    template
}
