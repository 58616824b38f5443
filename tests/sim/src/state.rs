//! The world as a canonical value: two worlds with equal states behave alike from here on.
//!
//! What is abstracted, and why that is sound:
//! - Times are relative to now and capped at the horizon, a span beyond which no rule can tell two
//!   times apart. With a window gate the clock itself is a part of the state.
//! - Resource versions are left out: a stale write can never apply, so it is left out as well.
//! - Hashes, and names made of them, become roles: `stable`, `canary`, or a number.
//! - Generations, creation times and the numbers of `ReplicaSets` become their order. Epochs become
//!   their relation to the present one.
//! - Texts for people and transition times of conditions are left out: no decision reads them.
//! - What only a test reads (`weights`, `started`, `calls`) is left out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use steelyard_core::{
    api::Word,
    engine::{Meta, Policy, ReplicaSet, Service, Snapshot, Write},
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
    /// The `ReplicaSets`, in no order.
    pub replica_sets: BTreeSet<Datum>,
    /// The pods, in no order.
    pub pods: BTreeSet<Datum>,
    /// The Services with their endpoints, in no order.
    pub services: BTreeSet<Datum>,
    /// The routes, in no order.
    pub routes: BTreeSet<Datum>,
    /// Answers that the next reconcile reads, and what else it reads beside objects.
    pub inputs: Datum,
    /// The former leaders' writes that could still be applied, in the order in which they arrive.
    pub in_flight: Vec<Datum>,
    /// What the sources, the router and the webhooks answer from now on.
    pub sources: (Measurement, Share, Option<(String, &'static str)>),
    /// The controllers that are stopped.
    pub stopped: BTreeSet<Actor>,
    /// Revisions that must get no traffic.
    pub failed: BTreeSet<String>,
    /// Whether admission alters templates, the write that gets lost, and what admission refuses.
    pub faults: (bool, Option<usize>, Option<Datum>),
}

impl World {
    /// The canonical value of this world.
    pub fn state(&self) -> State {
        let s = &self.snapshot;
        let late = self.late_writes();
        let canon = canon(s, &late);
        let datum = |value: Value| canon.datum(&value);
        let sets = sets(s);
        let claims = claims(s);
        let word = |(word, said): (Word, &'static str)| (format!("{word:?}"), said);
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
            policy: datum(policy(&s.policy)),
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
            inputs: datum(inputs(s)),
            in_flight: late.into_iter().map(datum).collect(),
            sources: (self.measurement, self.share, self.webhook.map(word)),
            stopped: self.stopped.clone(),
            // One that is known nowhere else can't get traffic.
            failed: self.failed.iter().filter_map(|hash| canon.names.get(hash).cloned()).collect(),
            faults: (self.altering, self.lost, self.refusing.as_ref().map(|it| datum(refusing(it)))),
        }
    }

    fn late_writes(&self) -> Vec<Value> {
        if self.in_flight.is_empty() {
            return Vec::new();
        }
        // What a test changed in place has no new version yet.
        let mut noted = self.clone();
        noted.versions.note(&mut noted.snapshot);
        self.in_flight.iter().filter_map(|sent| noted.could_apply(sent)).collect()
    }

    /// A write that can still be applied: a create may, once its name is free.
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

fn canon(s: &Snapshot, late: &[Value]) -> Canon {
    let d = s.deployment.as_ref().map_or(0, |d| d.meta.generation);
    let r = s.rollout.as_ref();
    let versions = r.into_iter().flat_map(|r| [&r.status.stable, &r.status.canary]).flatten();
    let intents = r.map(|r| serde_json::to_value(&r.spec).unwrap_or_default()).unwrap_or_default();
    let intents = intents.as_object().into_iter().flat_map(|fields| fields.values());
    let named = intents.filter_map(|intent| intent["revision"].as_str()?.parse().ok());
    let known = versions.map(|version| version.generation).chain(named).chain([d]);
    let order = places(known.chain(late.iter().flat_map(generations)));
    let mut canon = Canon {
        now: s.now,
        horizon: horizon(s),
        epoch: s.epoch,
        rollout_generation: r.map_or(0, |r| r.meta.generation),
        generations: order.iter().map(|(number, place)| (*number, place - order[&d])).collect(),
        names: BTreeMap::new(),
    };
    canon.names = names(s, &canon, late);
    canon
}

/// The generations of the Deployment that a status on its way names.
fn generations(late: &Value) -> Vec<i64> {
    let status = &late["body"]["status"];
    ["stable", "canary"].iter().filter_map(|role| status[role]["generation"].as_i64()).collect()
}

/// A new name for each hash: its role; for those without one, their place among `ReplicaSets` that
/// are compared without their hashes, and then in the history, the latest first.
fn names(s: &Snapshot, canon: &Canon, late: &[Value]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    // Steelyard's hashes begin with 0: whether one does is part of what it says.
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
    // What is left is on its way, or named by an intent or a mark after its end.
    let rollout = s.rollout.iter().map(content::rollout);
    let services = s.services.iter().map(content::service);
    let objects = rollout.chain(services).chain(s.routes.iter().map(content::route));
    let texts: String =
        late.iter().cloned().chain(objects).chain([inputs(s)]).map(|it| it.to_string()).collect();
    let minted = texts.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with("0a"));
    for (at, hash) in minted.enumerate() {
        add(hash, format!("other{at}"));
    }
    names
}

fn meta(meta: &Meta) -> Value {
    json!({
        "name": meta.name, "uid": meta.uid, "deleting": meta.deleting, "labels": meta.labels,
        "annotations": meta.annotations, "epoch": meta.epoch, "managed": meta.managed,
    })
}

/// The `ReplicaSets`, with their age and their number by order.
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

/// The order in which Rollouts that claim a Service were created: that is all that decides.
fn claims(s: &Snapshot) -> BTreeMap<Option<Timestamp>, i64> {
    let rivals = s.services.iter().flat_map(|service| &service.rivals);
    places(rivals.map(|rival| rival.claim.since).chain(s.rollout.iter().map(|r| r.meta.created)))
}

fn service(service: &Service, claims: &BTreeMap<Option<Timestamp>, i64>) -> Value {
    let mut value = content::service(service);
    value["metadata"] = meta(&service.meta);
    value["ready"] = json!(service.ready);
    value["strangers"] = json!(service.strangers);
    value["exposure"] = json!(format!("{:?}", service.exposure));
    let rivals = service.rivals.iter().map(|rival| {
        let claim = &rival.claim;
        json!([rival.deployment, claim.idle, claims.get(&claim.since), claim.uid, rival.pods])
    });
    value["rivals"] = rivals.collect();
    value
}

fn policy(policy: &Policy) -> Value {
    match policy {
        Policy::Found(spec) => json!(spec),
        other => json!(format!("{other:?}")),
    }
}

fn inputs(s: &Snapshot) -> Value {
    let readings: Vec<_> = s
        .readings
        .iter()
        .map(|it| {
            json!({
                "revision": it.revision, "step": it.step, "metric": it.metric, "query": it.query, "at": it.at,
                "outcome": it.outcome,
            })
        })
        .collect();
    let answers: Vec<_> = s
        .answers
        .iter()
        .map(|it| {
            json!({
                "revision": it.revision, "step": it.step, "attempt": it.attempt, "at": it.at, "word": it.word,
            })
        })
        .collect();
    let refused: Vec<_> = s
        .refused
        .iter()
        .map(|it| json!([it.verb.word(), format!("{:?}", it.kind), it.name, it.code]))
        .collect();
    let windows = policy(&s.policy).to_string().contains("\"window\"");
    json!({
        "readings": readings, "answers": answers, "refused": refused, "asking": s.asking, "taken": s.taken,
        "gated": s.gated, "turn": format!("{:?}", s.turn), "router": format!("{:?}", s.router),
        "drain": s.drain.as_millis().to_string(), "clock": windows.then(|| s.now.as_second()),
    })
}

fn refusing(refusing: &Refusing) -> Value {
    json!([format!("{:?}", refusing.kind), refusing.code, refusing.message])
}
