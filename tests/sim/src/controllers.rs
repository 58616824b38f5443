//! The cluster's controllers. Each runs as a separate step and can be stopped.

use jiff::Timestamp;
use serde_json::{Value, json};
use steelyard_core::{
    api::HASH,
    engine::{Deployment, Meta, Pod, ReplicaSet, Service, Trouble},
};

use crate::{World, objects};

/// The Deployment controller's revision annotation of a `ReplicaSet`.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// More rounds than a rolling update of any Deployment in these tests takes.
const ROUNDS: usize = 50;

/// A controller of the cluster. The order is the one in which [`World::settle`] runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// Sizes and creates the `ReplicaSets` that the Deployment owns.
    DeploymentController,
    /// Creates and deletes pods.
    ReplicaSetController,
    /// Makes pods ready.
    Kubelet,
    /// Lists the ready pods of each Service.
    EndpointsController,
    /// Accepts changed routes.
    Router,
}

impl Actor {
    /// All controllers, in order.
    pub const ALL: [Self; 5] = [
        Self::DeploymentController,
        Self::ReplicaSetController,
        Self::Kubelet,
        Self::EndpointsController,
        Self::Router,
    ];
}

impl World {
    /// Stops a controller: only [`World::step`] runs it.
    pub fn stop(&mut self, actor: Actor) {
        self.stopped.insert(actor);
    }

    /// Starts a stopped controller, which runs after the next write.
    pub fn start(&mut self, actor: Actor) {
        self.stopped.remove(&actor);
    }

    /// Runs the controllers that are not stopped, until the Deployment controller changes no more
    /// sizes: a native rolling update takes several rounds, and stops where pods do not get ready.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.sizes();
            for actor in Actor::ALL {
                if !self.stopped.contains(&actor) {
                    self.run(actor);
                }
            }
            if self.sizes() == before {
                break;
            }
        }
        self.versions.note(&mut self.snapshot);
    }

    fn sizes(&self) -> Vec<(String, i32)> {
        let sets = self.snapshot.replica_sets.iter();
        sets.map(|set| (set.meta.name.clone(), set.replicas)).collect()
    }

    /// Runs one controller, even if it is stopped.
    pub fn step(&mut self, actor: Actor) {
        self.run(actor);
        self.versions.note(&mut self.snapshot);
    }

    fn run(&mut self, actor: Actor) {
        match actor {
            Actor::DeploymentController => self.deployment_controller(),
            Actor::ReplicaSetController => self.replica_set_controller(),
            Actor::Kubelet => self.kubelet(),
            Actor::EndpointsController => self.endpoints_controller(),
            Actor::Router => self.router(),
        }
    }

    fn deployment_controller(&mut self) {
        let Some(d) = &mut self.snapshot.deployment else { return };
        d.observed_generation = d.meta.generation;
        let all = &mut self.snapshot.replica_sets;
        let mut sets: Vec<&mut ReplicaSet> = all.iter_mut().filter(|set| d.owns(set)).collect();
        // The oldest one with the template is the new one, whatever its hash.
        let with_template = (0..sets.len()).filter(|at| sets[*at].template == d.template);
        let new = with_template.min_by_key(|at| (sets[*at].meta.created, sets[*at].meta.name.clone()));
        let others = (0..sets.len()).filter(|at| Some(*at) != new);
        let number = others.filter_map(|at| number(&sets[at].meta)).max().unwrap_or(0) + 1;
        if let Some(set) = new.map(|new| &mut sets[new])
            && self::number(&set.meta).is_none_or(|own| own < number)
        {
            set.meta.annotations.insert(REVISION.into(), number.to_string());
        }
        let active: Vec<usize> = (0..sets.len()).filter(|at| sets[*at].replicas > 0).collect();
        match (active.as_slice(), new) {
            ([one], _) if d.paused => scale(sets[*one], d.replicas),
            ([], _) if d.paused => {
                let newest = new.or_else(|| (0..sets.len()).max_by_key(|at| sets[*at].meta.created));
                if let Some(at) = newest {
                    scale(sets[at], d.replicas);
                }
            }
            (_, Some(new)) if d.paused && sets[new].replicas == d.replicas => {
                for (at, set) in sets.into_iter().enumerate() {
                    scale(set, if at == new { d.replicas } else { 0 });
                }
            }
            (several, _) if d.paused => proportional(d, several, &mut sets),
            (_, Some(new)) => roll(d, new, &mut sets),
            (_, None) => {
                let made = native(d, number, all.len(), self.snapshot.now);
                all.push(made);
            }
        }
    }

    fn replica_set_controller(&mut self) {
        let mut pods = Vec::new();
        for set in &mut self.snapshot.replica_sets {
            set.observed_generation = set.meta.generation;
            if set.hash != objects::FIRST_HASH {
                self.started += (set.replicas - set.existing).max(0);
            }
            set.existing = set.replicas;
            for number in 0..set.replicas {
                let name = format!("{}-{number}", set.meta.name);
                let known = self.snapshot.pods.iter().find(|pod| pod.name == name).cloned();
                let mut pod = known.unwrap_or_else(|| objects::pod(name, &set.hash));
                let image = set.template["spec"]["containers"][0]["image"].as_str();
                if self.broken.iter().any(|broken| image == Some(broken)) {
                    pod.trouble = Some(Trouble {
                        container: Some("app".into()),
                        reason: "ErrImagePull".into(),
                        message: "not found".into(),
                    });
                }
                pods.push(pod);
            }
            set.available = available(set, &pods);
        }
        self.snapshot.pods = pods;
    }

    fn kubelet(&mut self) {
        for pod in self.snapshot.pods.iter_mut().filter(|pod| pod.trouble.is_none()) {
            pod.unready = None;
        }
        for set in &mut self.snapshot.replica_sets {
            set.available = available(set, &self.snapshot.pods);
        }
    }

    fn endpoints_controller(&mut self) {
        for at in 0..self.snapshot.services.len() {
            let service = &self.snapshot.services[at];
            let hash = service.selector.get(HASH);
            let pinned = self.selectable(service).filter(|pod| hash.is_none_or(|hash| *hash == pod.hash));
            let ready = pinned.map(|pod| pod.name.clone()).collect();
            self.snapshot.services[at].ready = ready;
        }
    }

    /// The ready pods that a Service selects, or would select without its pin.
    pub(crate) fn selectable<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Pod> {
        let labels = |pod: &Pod| {
            let set = self.snapshot.replica_sets.iter().find(|set| set.hash == pod.hash);
            set.map(|set| &set.template["metadata"]["labels"])
        };
        let selects = move |pod: &&Pod| {
            let labels = labels(pod);
            let mut wanted = service.selector.iter().filter(|(key, _)| *key != HASH);
            wanted.all(|(key, value)| labels.is_some_and(|labels| labels[key] == value.as_str()))
        };
        self.snapshot.pods.iter().filter(|pod| ready(pod)).filter(selects)
    }

    fn router(&mut self) {
        for route in &mut self.snapshot.routes {
            objects::accept(route);
        }
    }
}

fn ready(pod: &Pod) -> bool {
    pod.trouble.is_none() && pod.unready.is_none() && !pod.deleting
}

fn available(set: &ReplicaSet, pods: &[Pod]) -> i32 {
    let own = pods.iter().filter(|pod| pod.hash == set.hash && ready(pod)).count();
    i32::try_from(own).unwrap_or(i32::MAX).min(set.existing)
}

fn scale(set: &mut ReplicaSet, replicas: i32) {
    if set.replicas != replicas {
        set.replicas = replicas;
        set.meta.generation += 1;
    }
}

pub(crate) fn number(meta: &Meta) -> Option<u64> {
    meta.annotations.get(REVISION)?.parse().ok()
}

/// Keeps the sum of several active `ReplicaSets` of a paused Deployment at its size with surge: the
/// largest one gets what is missing, and loses what is too much.
fn proportional(d: &Deployment, active: &[usize], sets: &mut [&mut ReplicaSet]) {
    let sum: i32 = active.iter().map(|at| sets[*at].replicas).sum();
    let missing = d.replicas + d.max_surge - sum;
    let size = |at: &&usize| sets[**at].replicas;
    let age = |at: &&usize| std::cmp::Reverse(sets[**at].meta.created);
    // Of equal ones, the newer one gets pods, and the older one loses them.
    let largest = if missing > 0 {
        active.iter().max_by_key(|at| (size(at), std::cmp::Reverse(age(at))))
    } else {
        active.iter().max_by_key(|at| (size(at), age(at)))
    };
    if let Some(at) = largest {
        let size = (sets[*at].replicas + missing).max(0);
        scale(sets[*at], size);
    }
}

/// One round of a rolling update with the Deployment's surge, and no pod unavailable.
fn roll(d: &Deployment, new: usize, sets: &mut [&mut ReplicaSet]) {
    let of_others = |sets: &[&mut ReplicaSet]| -> i32 {
        sets.iter().enumerate().filter(|(at, _)| *at != new).map(|(_, set)| set.replicas).sum()
    };
    // Pods that are not available end first, as in `cleanupUnhealthyReplicas`.
    for (at, set) in sets.iter_mut().enumerate() {
        if at != new {
            let available = set.available;
            let size = set.replicas.min(available);
            scale(set, size);
        }
    }
    let room = d.replicas + d.max_surge.max(1) - of_others(sets);
    let grown = sets[new].replicas.max(room).min(d.replicas);
    scale(sets[new], grown);
    let mut surplus = of_others(sets) + sets[new].available - d.replicas;
    for at in (0..sets.len()).filter(|at| *at != new) {
        let size = (sets[at].replicas - surplus.max(0)).max(0);
        surplus -= sets[at].replicas - size;
        scale(sets[at], size);
    }
}

/// Returns the `ReplicaSet` that the Deployment controller creates from the template.
fn native(d: &Deployment, number: u64, existing: usize, now: Timestamp) -> ReplicaSet {
    let hash = if existing == 2 { "native".to_owned() } else { format!("native{existing}") };
    let mut meta = objects::meta(&format!("web-{hash}"));
    let labels: Value = d.template["metadata"]["labels"].clone();
    meta.labels = serde_json::from_value(labels).unwrap_or_default();
    meta.labels.insert(HASH.into(), hash.clone());
    meta.annotations = serde_json::from_value(json!({REVISION: number.to_string()})).unwrap_or_default();
    meta.created = Some(now);
    ReplicaSet {
        meta,
        controller: Some(d.meta.uid.clone()),
        hash,
        template: d.template.clone(),
        replicas: 0,
        min_ready_seconds: d.min_ready_seconds,
        available: 0,
        existing: 0,
        failure: None,
        observed_generation: 0,
    }
}
