//! The world as a canonical value: two worlds with equal states behave alike from this point on.
//!
//! What is abstracted, and why that is sound:
//! - Times are relative to now and capped at the horizon, a span beyond which no rule can
//!   distinguish two times. With a window gate the absolute time is also part of the state.
//! - Resource versions are left out: a stale write can never apply, so it is left out as well.
//! - Hashes, and names made of them, become roles: `stable`, `canary`, or a number.
//! - Generations, creation times and the numbers of `ReplicaSets` become their order. Epochs become
//!   their relation to the current one.
//! - Messages and transition times of conditions are left out: no decision reads them.
//! - Fields that only tests read (`weights`, `started`, `calls`) are left out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use steelyard_core::{
    api::Approval,
    engine::{Inquiry, Meta, ReplicaSet, Service, Snapshot, Write},
};

use crate::{
    Actor, Datum, Measurement, Share, World,
    canonical::{Canon, places},
    content,
    controllers::number,
    faults::Refusing,
    time::horizon,
    writes::{Sent, target},
};

/// The canonical value of a world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The Deployment.
    pub deployment: Datum,
    /// The Rollout.
    pub rollout: Datum,
    /// The policy.
    pub policy: Datum,
    /// The `ReplicaSets`, unordered.
    pub replica_sets: BTreeSet<Datum>,
    /// The pods, unordered.
    pub pods: BTreeSet<Datum>,
    /// The Services with their endpoints, unordered.
    pub services: BTreeSet<Datum>,
    /// The routes, unordered.
    pub routes: BTreeSet<Datum>,
    /// Answers that the next reconcile reads, and its other inputs that are not objects.
    pub inputs: Datum,
    /// The former leaders' writes that could still be applied, in order of arrival.
    pub in_flight: Vec<Datum>,
    /// The answers of the sources, the router and the webhooks from now on.
    pub sources: (Measurement, Share, Option<(String, &'static str)>),
    /// The controllers that are stopped.
    pub stopped: BTreeSet<Actor>,
    /// Revisions that must get no traffic.
    pub failed: BTreeSet<String>,
    /// Whether admission alters templates, which write is lost, and what admission refuses.
    pub faults: (bool, Option<usize>, Option<Datum>),
    /// Images that cannot be pulled.
    pub broken: BTreeSet<String>,
}

impl World {
    /// Returns the canonical value of this world.
    pub fn state(&self) -> State {
        let s = &self.snapshot;
        let late = self.late_writes();
        let canon = canon(self, &late);
        let datum = |value: Value| canon.datum(&value);
        let sets = sets(s);
        let claims = claims(s);
        let approval = |(approval, response): (Approval, &'static str)| (format!("{approval:?}"), response);
        State {
            deployment: s.deployment.as_ref().map_or(Datum::Null, |d| {
                let mut value = content::deployment(d);
                value["metadata"] = meta(&d.meta);
                value["status"] = json!({"behind": d.observed_generation < d.meta.generation});
                datum(value)
            }),
            rollout: s.rollout.as_ref().map_or(Datum::Null, |r| {
                datum(json!({
                    "metadata": meta(&r.meta), "age": claims.get(&r.meta.created), "finalizers": r.finalizers,
                    "owner": r.owner, "spec": r.spec, "status": r.status,
                }))
            }),
            policy: datum(self.named()),
            replica_sets: sets.into_iter().map(datum).collect(),
            pods: s
                .pods
                .iter()
                .map(|pod| {
                    datum(json!({
                        "name": pod.name, "hash": pod.hash, "trouble": pod.trouble, "unready": pod.unready,
                        "restarts": pod.restarts, "deleting": pod.deleting,
                    }))
                })
                .collect(),
            services: s.services.iter().map(|item| datum(service(item, &claims))).collect(),
            routes: s
                .routes
                .iter()
                .map(|item| {
                    let mut value = content::route(item);
                    value["metadata"] = meta(&item.meta);
                    datum(value)
                })
                .collect(),
            inputs: datum(inputs(self)),
            in_flight: late.into_iter().map(datum).collect(),
            sources: (self.measurement, self.share, self.webhook.map(approval)),
            stopped: self.stopped.clone(),
            // A revision that is known nowhere else can't get traffic.
            failed: self.failed.iter().filter_map(|hash| canon.names.get(hash).cloned()).collect(),
            faults: (self.altering, self.lost, self.refusing.as_ref().map(|it| datum(refusing(it)))),
            broken: self.broken.clone(),
        }
    }

    fn late_writes(&self) -> Vec<Value> {
        if self.in_flight.is_empty() {
            return Vec::new();
        }
        // Objects that a test changed in place have no new version yet.
        let mut noted = self.clone();
        noted.versions.note(&mut noted.snapshot);
        self.in_flight.iter().filter_map(|sent| noted.could_apply(sent)).collect()
    }

    /// Returns a write if it can still be applied. A create can, once its name is free.
    fn could_apply(&self, sent: &Sent) -> Option<Value> {
        let (verb, kind, name) = target(&sent.write);
        let body = match &sent.write {
            Write::Create { object, .. } => return Some(json!({"create": object, "epoch": sent.epoch})),
            Write::Patch { ops, .. } => serde_json::to_value(ops).unwrap_or_default(),
            Write::Delete { .. } => Value::Null,
            Write::Status { status, .. } => json!({"status": **status}),
        };
        let about = format!("{verb} {kind:?} {name}");
        self.would_apply(sent).then(|| json!({"about": about, "body": body, "epoch": sent.epoch}))
    }
}

fn canon(world: &World, late: &[Value]) -> Canon {
    let s = &world.snapshot;
    let d = s.deployment.as_ref().map_or(0, |d| d.meta.generation);
    let r = s.rollout.as_ref();
    let versions = r.into_iter().flat_map(|r| [&r.status.stable, &r.status.canary]).flatten();
    let known = versions.map(|version| version.generation).chain([d]);
    let order = places(known.chain(late.iter().flat_map(generations)));
    let mut canon = Canon {
        now: s.now,
        horizon: horizon(world),
        epoch: s.epoch,
        rollout_generation: r.map_or(0, |r| r.meta.generation),
        generations: order.iter().map(|(number, place)| (*number, place - order[&d])).collect(),
        names: BTreeMap::new(),
    };
    canon.names = names(world, &canon, late);
    canon
}

/// The generations of the Deployment in a status write that has not arrived yet.
fn generations(late: &Value) -> Vec<i64> {
    let status = &late["body"]["status"];
    ["stable", "canary"].iter().filter_map(|role| status[role]["generation"].as_i64()).collect()
}

/// A new name for each hash: its role, or else its rank among the `ReplicaSets`, compared without
/// their hashes, and then in the history, latest first.
fn names(world: &World, canon: &Canon, late: &[Value]) -> BTreeMap<String, String> {
    let s = &world.snapshot;
    let mut names = BTreeMap::new();
    // Steelyard's hashes begin with 0: the new names preserve that.
    let mut add = |hash: &str, name: String| {
        let minted = if hash.starts_with('0') { "0" } else { "" };
        if !hash.is_empty() {
            names.entry(hash.to_owned()).or_insert(format!("{minted}{name}"));
        }
    };
    let status = s.rollout.as_ref().map(|r| &r.status);
    let roles = status.map(|status| [(&status.stable, "stable"), (&status.canary, "canary")]);
    for (version, role) in roles.into_iter().flatten() {
        if let Some(version) = version {
            add(&version.revision, role.to_owned());
        }
    }
    let blank = |set: &ReplicaSet| (set.hash.clone(), "other".to_owned());
    let blank = Canon { names: s.replica_sets.iter().map(blank).collect(), ..canon.clone() };
    let contents = sets(s).into_iter().map(|content| blank.datum(&content));
    let mut sets: Vec<_> = contents.zip(s.replica_sets.iter().map(|set| &set.hash)).collect();
    sets.sort();
    for (at, (_, hash)) in sets.into_iter().enumerate() {
        add(hash, format!("set{at}"));
    }
    let history = status.into_iter().flat_map(|status| status.history.iter().rev());
    for (at, hash) in history.flat_map(|past| [&past.revision, &past.before]).enumerate() {
        add(hash, format!("past{at}"));
    }
    // The remaining hashes are in undelivered writes, or in intents and marks that outlived their
    // revision.
    let rollout = s.rollout.iter().map(content::rollout);
    let services = s.services.iter().map(content::service);
    let objects = rollout.chain(services).chain(s.routes.iter().map(content::route));
    let texts: String =
        late.iter().cloned().chain(objects).chain([inputs(world)]).map(|it| it.to_string()).collect();
    let minted = texts.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with("0a"));
    for (at, hash) in minted.enumerate() {
        add(hash, format!("other{at}"));
    }
    names
}

fn meta(meta: &Meta) -> Value {
    json!({
        "name": meta.name, "uid": meta.uid, "deleting": meta.deleting, "labels": meta.labels,
        "annotations": meta.annotations, "owners": meta.owners, "epoch": meta.epoch, "managed": meta.managed,
    })
}

/// The `ReplicaSets`, with their age and their number as ranks.
fn sets(s: &Snapshot) -> Vec<Value> {
    let ages = places(s.replica_sets.iter().map(|set| set.meta.created));
    let numbers = places(s.replica_sets.iter().filter_map(|set| number(&set.meta)));
    let one = |set: &ReplicaSet| {
        let mut value = content::replica_set(set);
        value["metadata"] = meta(&set.meta);
        for annotation in value["metadata"]["annotations"].as_object_mut().into_iter().flatten() {
            if annotation.0 == crate::controllers::REVISION {
                *annotation.1 = json!(number(&set.meta).and_then(|number| numbers.get(&number)));
            }
        }
        value["age"] = json!(ages.get(&set.meta.created));
        value["hash"] = json!(set.hash);
        value["controller"] = json!(set.controller);
        let behind = set.observed_generation < set.meta.generation;
        value["status"] = json!({
            "replicas": set.existing, "available": set.available, "failure": set.failure, "behind": behind,
        });
        value
    };
    s.replica_sets.iter().map(one).collect()
}

/// The order in which the Rollouts that claim a Service were created: only the order affects
/// decisions.
fn claims(s: &Snapshot) -> BTreeMap<Option<Timestamp>, i64> {
    let claimants = s.services.iter().flat_map(|service| &service.claimants);
    places(claimants.map(|claimant| claimant.claim.since).chain(s.rollout.iter().map(|r| r.meta.created)))
}

fn service(service: &Service, claims: &BTreeMap<Option<Timestamp>, i64>) -> Value {
    let mut value = content::service(service);
    value["metadata"] = meta(&service.meta);
    value["ready"] = json!(service.ready);
    value["unrelated_pods"] = json!(service.unrelated_pods);
    value["exposure"] = json!(format!("{:?}", service.exposure));
    let claimants = service.claimants.iter().map(|claimant| {
        let claim = &claimant.claim;
        json!([claimant.deployment, claim.idle, claims.get(&claim.since), claim.uid, claimant.pods])
    });
    value["claimants"] = claimants.collect();
    value
}

fn inputs(world: &World) -> Value {
    let s = &world.snapshot;
    let readings: Vec<_> = s
        .readings
        .iter()
        .map(|it| {
            json!({
                "revision": it.revision, "step": it.step, "inquiry": it.inquiry.to_string(), "query": it.query,
                "at": it.at, "lookback": it.lookback.as_secs(), "outcome": it.outcome,
            })
        })
        .collect();
    let answers: Vec<_> = s
        .answers
        .iter()
        .map(|it| {
            json!({
                "revision": it.revision, "step": it.step, "attempt": it.attempt, "at": it.at,
                "approval": it.approval,
            })
        })
        .collect();
    let refused: Vec<_> = s
        .refused
        .iter()
        .map(|it| json!([it.verb.word(), format!("{:?}", it.kind), it.name, it.code]))
        .collect();
    let asking: Vec<_> = s.asking.iter().map(Inquiry::to_string).collect();
    let windows = world.named().to_string().contains("\"window\"");
    json!({
        "readings": readings, "answers": answers, "refused": refused, "asking": asking, "taken": s.taken,
        "hold_enforced": s.hold_enforced, "capacity": format!("{:?}", s.capacity),
        "router": format!("{:?}", s.router), "drain": s.drain.as_millis().to_string(),
        "clock": windows.then(|| s.now.as_second()),
    })
}

fn refusing(refusing: &Refusing) -> Value {
    json!([format!("{:?}", refusing.kind), refusing.code, refusing.message])
}
