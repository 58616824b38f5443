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
    /// Revisions whose traffic was taken back.
    pub(super) latched: BTreeSet<String>,
    /// What the router answers.
    pub(super) share: f64,
    /// What webhooks say; none says anything without it.
    pub(super) word: Option<(api::Word, &'static str)>,
    /// Each call of a webhook that was ever made.
    pub(super) calls: Vec<Call>,
    /// Whether the Deployment controller runs.
    pub(super) controller: bool,
    /// Whether admission changes the templates of `ReplicaSets`.
    pub(super) altering: bool,
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
            failure: None,
            observed_generation: 1,
        };
        let service = Service {
            meta: meta("web"),
            selector: [("app".into(), "web".into())].into(),
            ports: json!([{"port": 80}]),
            exposure: Exposure::Cluster,
            ready: BTreeSet::new(),
            strangers: BTreeSet::new(),
            rivals: Vec::new(),
        };
        let route = Route {
            meta: meta("web"),
            spec: json!({"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}),
            acceptance: Acceptance::Accepted,
        };
        let rollout = Rollout {
            meta: Meta { uid: "uid-web-rollout".into(), ..meta("web") },
            finalizers: Vec::new(),
            owner: "uid-web".into(),
            spec: api::RolloutSpec::default(),
            status: RolloutStatus::default(),
        };
        let s = Snapshot {
            now: Timestamp::UNIX_EPOCH,
            epoch: 1,
            drain: SignedDuration::from_secs(2),
            router: None,
            turn: Turn::Free,
            gated: true,
            namespace: "ns".into(),
            name: "web".into(),
            deployment: Some(deployment),
            rollout: Some(rollout),
            policy: Policy::Found(policy),
            replica_sets: vec![stable],
            services: vec![service],
            taken: BTreeSet::new(),
            pods: Vec::new(),
            routes: vec![route],
            readings: Vec::new(),
            answers: Vec::new(),
            refused: Vec::new(),
            asking: BTreeSet::new(),
        };
        let mut world = Self {
            s,
            weights: Vec::new(),
            started: 0,
            answer: Outcome::Value(1.0),
            latched: BTreeSet::new(),
            share: 0.0,
            word: None,
            calls: Vec::new(),
            controller: true,
            altering: false,
            version: 1,
        };
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

    /// Passes until `there`, or nothing is left to do.
    pub(super) fn until(&mut self, there: impl Fn(&Self) -> bool) {
        for _ in 0..2000 {
            if there(self) {
                return;
            }
            assert!(self.pass(), "no way there: {:?}", self.status());
        }
        panic!("never there: {:?}", self.status());
    }

    /// Scales the Deployment.
    pub(super) fn scale(&mut self, replicas: i32) {
        let d = self.s.deployment.as_mut().unwrap();
        d.replicas = replicas;
        d.meta.generation += 1;
        self.controllers();
    }

    /// What somebody wants.
    pub(super) fn want(&mut self, change: impl FnOnce(&mut api::RolloutSpec, &str)) {
        let r = self.s.rollout.as_mut().unwrap();
        let revision = r.status.canary.as_ref().map(|canary| canary.revision.clone()).unwrap_or_default();
        change(&mut r.spec, &revision);
    }

    /// The `ReplicaSet` of the canary.
    pub(super) fn canary(&mut self) -> &mut ReplicaSet {
        let name = self.status().canary.as_ref().unwrap().replica_set.clone();
        self.s.replica_sets.iter_mut().find(|set| set.meta.name == name).unwrap()
    }

    /// The only route.
    pub(super) fn weight(&self) -> u8 {
        seen(&self.s.routes[0].spec, &Pair { namespace: "ns", stable: "web", canary: "web-canary" }).unwrap()
    }

    /// One pass, and what follows of it.
    pub(super) fn pass(&mut self) -> bool {
        let decision = decide(&self.s);
        assert_eq!(decision, decide(&self.s), "deciding twice on one world decides alike");
        self.s.readings.clear();
        self.s.answers.clear();
        for write in &decision.writes {
            // Every prefix of a plan is a world that a crash may leave behind.
            self.write(write);
            self.controllers();
            self.invariants();
        }
        self.controllers();
        // One write can't move a route and Services, but one pass does.
        let pin = self.s.services.iter().find(|service| service.meta.name == "web");
        let pin = pin.and_then(|service| service.selector.get(api::HASH));
        assert!(pin.is_none_or(|hash| !self.latched.contains(hash)), "the Service leads to what failed");
        for ask in &decision.asks {
            let (revision, metric, query) = (ask.revision.clone(), ask.metric.clone(), ask.query.clone());
            self.s.readings.push(Reading {
                revision,
                step: ask.step,
                metric,
                query,
                at: ask.at,
                outcome: if ask.metric.contains('/') {
                    Outcome::Value(self.share)
                } else {
                    self.answer.clone()
                },
            });
        }
        for call in decision.calls {
            let (revision, step, attempt, at) = (call.revision.clone(), call.step, call.attempt, self.s.now);
            match self.word {
                Some((word, said)) => {
                    let said = said.to_owned();
                    self.s.answers.push(Answer { revision, step, attempt, at, word, said });
                }
                None => drop(self.s.asking.insert(call_name(step, attempt))),
            }
            self.calls.push(call);
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

    /// A pass that dies after its first writes, and another leader that takes over.
    pub(super) fn die_after(&mut self, writes: usize) {
        let decision = decide(&self.s);
        self.s.readings.clear();
        self.s.answers.clear();
        self.s.asking.clear();
        for write in decision.writes.iter().take(writes) {
            self.write(write);
            self.controllers();
            self.invariants();
        }
        self.s.epoch += 1;
    }

    /// Passes until one turns back, which dies after its first write; another leader takes over. Gives that write.
    pub(super) fn die_on_the_way_back(&mut self) -> Write {
        loop {
            let decision = decide(&self.s);
            let back = |write: &Write| matches!(write, Write::Status { status, .. } if status.phase == api::Phase::RollingBack);
            if decision.writes.iter().any(back) {
                self.die_after(1);
                return decision.writes[0].clone();
            }
            self.pass();
        }
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
                template: self.altered(without_hash(&object["spec"]["template"])),
                replicas: 0,
                min_ready_seconds: 0,
                available: 0,
                existing: 0,
                failure: None,
                observed_generation: 1,
            }),
            Write::Create { object, .. } => self.s.services.push(Service {
                meta: Meta { version, ..named(object) },
                selector: strings(&object["spec"]["selector"]),
                ports: object["spec"]["ports"].clone(),
                exposure: Exposure::Cluster,
                ready: BTreeSet::new(),
                strangers: BTreeSet::new(),
                rivals: Vec::new(),
            }),
            Write::Delete { kind: Kind::ReplicaSet, name, .. } => {
                self.s.replica_sets.retain(|set| set.meta.name != *name);
            }
            Write::Delete { name, .. } => self.s.services.retain(|service| service.meta.name != *name),
            Write::Status { status, .. } => self.s.rollout.as_mut().unwrap().status = (**status).clone(),
            Write::Patch { kind, name, ops, .. } => self.patch(*kind, name, ops, version),
        }
    }

    fn patch(&mut self, kind: Kind, name: &str, ops: &[json_patch::PatchOperation], version: String) {
        let apply = |meta: &mut Meta, spec: Value| {
            let mut object = json!({"spec": &spec, "metadata": {"annotations": meta.annotations, "labels": meta.labels, "ownerReferences": [], "finalizers": []}});
            let ours = (0..meta.managed.len()).map(|_| "steelyard");
            object["metadata"]["managedFields"] = ["somebody"].into_iter().chain(ours).collect();
            json_patch::patch(&mut object, ops).unwrap();
            let left = object["metadata"]["managedFields"].as_array().unwrap().len();
            meta.managed = if object["spec"] == spec { (1..left).collect() } else { vec![1] };
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
                let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
                if let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) {
                    set.controller = owner["uid"].as_str().map(Into::into);
                }
            }
            Kind::Service => {
                let service = self.s.services.iter_mut().find(|service| service.meta.name == name).unwrap();
                let object = apply(&mut service.meta, json!({"selector": service.selector}));
                service.selector = strings(&object["spec"]["selector"]);
                self.latched.extend(service.meta.annotations.get(api::FAILED).cloned());
            }
            Kind::HttpRoute => {
                let route = self.s.routes.iter_mut().find(|route| route.meta.name == name).unwrap();
                let spec = route.spec.clone();
                route.spec = apply(&mut route.meta, spec)["spec"].clone();
                self.latched.extend(route.meta.annotations.get(api::FAILED).cloned());
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
                if object["spec"]["template"] != d.template {
                    // Admission holds it.
                    d.template = object["spec"]["template"].clone();
                    d.meta.generation += 1;
                    d.paused = true;
                    d.meta.labels.insert(api::HELD.into(), "true".into());
                }
            }
            Kind::Rollout => {
                let r = self.s.rollout.as_mut().unwrap();
                let object = apply(&mut r.meta, json!({}));
                r.finalizers = serde_json::from_value(object["metadata"]["finalizers"].clone()).unwrap();
            }
        }
    }

    fn altered(&self, mut template: Value) -> Value {
        if self.altering {
            template["spec"]["dnsPolicy"] = json!("Default");
        }
        template
    }

    /// What the cluster's own controllers make of it.
    fn controllers(&mut self) {
        if self.controller {
            self.deployment_controller();
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
                    unready: None,
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

    /// As far as it matters here (pkg/controller/deployment): a saturated new `ReplicaSet` replaces the others; a single one
    /// has the Deployment's size; a Deployment that isn't paused gets a `ReplicaSet` of its template.
    fn deployment_controller(&mut self) {
        const REVISION: &str = "deployment.kubernetes.io/revision";
        let Some(d) = &self.s.deployment else { return };
        let (n, template, uid) = (d.replicas, d.template.clone(), d.meta.uid.clone());
        let own = |set: &ReplicaSet| set.controller.as_deref() == Some(&*uid);
        let sets_before = self.s.replica_sets.len();
        let mut sets: Vec<&mut ReplicaSet> = self.s.replica_sets.iter_mut().filter(|set| own(set)).collect();
        let new = sets.iter().position(|set| set.template == template);
        if let Some(new) = new {
            let number = sets.len().to_string();
            sets[new].meta.annotations.entry(REVISION.into()).or_insert(number);
        }
        let active: Vec<usize> = (0..sets.len()).filter(|at| sets[*at].replicas > 0).collect();
        match (active.as_slice(), new) {
            ([one], _) if d.paused => sets[*one].replicas = n,
            ([], _) if d.paused => {
                let newest = new.or_else(|| (0..sets.len()).max_by_key(|at| sets[*at].meta.created));
                if let Some(at) = newest {
                    sets[at].replicas = n;
                }
            }
            (_, Some(new)) if !d.paused || sets[new].replicas == n => {
                for set in &mut sets {
                    set.replicas = 0;
                }
                sets[new].replicas = n;
            }
            (_, None) if !d.paused => {
                for set in &mut sets {
                    set.replicas = 0;
                }
                let mut made = self.s.replica_sets[0].clone();
                let hash =
                    if sets_before == 2 { "native".to_owned() } else { format!("native{sets_before}") };
                made.meta.name = format!("web-{hash}");
                made.meta.uid = format!("uid-web-{hash}");
                (made.hash, made.template, made.replicas, made.existing) = (hash, template, n, 0);
                made.controller = Some(uid);
                self.s.replica_sets.push(made);
            }
            _ => {}
        }
    }

    fn asleep(&self) -> bool {
        self.s.deployment.as_ref().is_none_or(|d| d.replicas == 0)
    }

    /// What holds in every world that can be reached.
    fn invariants(&self) {
        let pair = Pair { namespace: "ns", stable: "web", canary: "web-canary" };
        let weight = self.s.routes.first().and_then(|route| seen(&route.spec, &pair)).unwrap_or(0);
        if weight > 0 {
            let canary = self.s.services.iter().find(|service| service.meta.name == "web-canary").unwrap();
            // A Deployment of no replicas has none, whoever owns its pods at that moment.
            assert!(self.asleep() || !canary.ready.is_empty(), "traffic without a ready pod");
            let hash = &canary.selector[api::HASH];
            assert!(!self.latched.contains(hash), "traffic for a revision that failed: {:?}", self.status());
        }
        for service in &self.s.services {
            assert!(
                self.asleep() || service.meta.name != "web" || !service.ready.is_empty(),
                "the Service lost all its pods"
            );
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
