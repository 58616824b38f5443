//! The cluster's own controllers: each one a step that can run by itself, or be stopped.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use steelyard_core::{
    api::HASH,
    engine::{Deployment, Meta, Pod, ReplicaSet},
    traffic::gateway::Acceptance,
};

use crate::{World, objects};

/// The Deployment controller's number of a `ReplicaSet`.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

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
    /// All of them, in order.
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

    /// Starts a stopped controller; it runs with the next write.
    pub fn start(&mut self, actor: Actor) {
        self.stopped.remove(&actor);
    }

    /// Runs each controller that is not stopped once. One round suffices: each needs only those
    /// before it.
    pub fn settle(&mut self) {
        for actor in Actor::ALL {
            if !self.stopped.contains(&actor) {
                self.run(actor);
            }
        }
        self.versions.note(&mut self.snapshot);
    }

    /// Runs one controller, also a stopped one.
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
            (_, Some(new)) if !d.paused || sets[new].replicas == d.replicas => {
                for (at, set) in sets.into_iter().enumerate() {
                    scale(set, if at == new { d.replicas } else { 0 });
                }
            }
            (_, None) if !d.paused => {
                for set in sets {
                    scale(set, 0);
                }
                let made = native(d, number, all.len(), self.snapshot.now);
                all.push(made);
            }
            _ => {}
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
                pods.push(known.unwrap_or_else(|| objects::pod(name, &set.hash)));
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
        for service in &mut self.snapshot.services {
            let hash = service.selector.get(HASH);
            let selected = self.snapshot.pods.iter().filter(|pod| hash.is_none_or(|hash| *hash == pod.hash));
            let ready = selected.filter(|pod| ready(pod)).map(|pod| pod.name.clone());
            service.ready = ready.collect::<BTreeSet<_>>();
        }
    }

    fn router(&mut self) {
        for route in &mut self.snapshot.routes {
            route.acceptance = Acceptance::Accepted;
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

/// The `ReplicaSet` that the Deployment controller creates from the template.
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
        replicas: d.replicas,
        min_ready_seconds: d.min_ready_seconds,
        available: 0,
        existing: 0,
        failure: None,
        observed_generation: 0,
    }
}
