//! The API server's side of a write: checks preconditions, then applies or rejects it.
//!
//! Only this module knows the contents of a [`Write`].

use std::collections::{BTreeMap, BTreeSet};

use json_patch::{Patch, PatchErrorKind};
use serde_json::{Value, json};
use steelyard_core::{
    api::{self, RolloutStatus},
    engine::{Exposure, Kind, Meta, RefusedWrite, ReplicaSet, Rollout, Service, Stamp, Write, WriteVerb},
};

use crate::{World, content, objects};

/// A write that was sent to the API server, with the sender's leadership epoch and the version that
/// it replaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The write.
    pub write: Write,
    /// The sender's leadership epoch.
    pub epoch: u64,
    /// The version that it replaces. Empty for a create, or if there is no precondition.
    pub version: String,
}

/// The reason why a write changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Conflict: the object, its version or its template has changed since the decision.
    Conflict,
    /// The object does not exist.
    NotFound,
    /// An object of this name already exists.
    AlreadyExists,
    /// Admission refused it.
    Refused(RefusedWrite),
    /// The write was lost.
    Lost,
}

/// Returns the verb of a write, and the kind and name of its object. A status write has no name.
pub fn target(write: &Write) -> (WriteVerb, Kind, &str) {
    write.target("")
}

/// Returns whether a write is a patch with an operation on this path or below it.
pub fn touches(write: &Write, path: &str) -> bool {
    let Write::Patch { ops, .. } = write else { return false };
    let ops = serde_json::to_value(ops).unwrap_or_default();
    let ops = ops.as_array().map(Vec::as_slice).unwrap_or_default();
    ops.iter().any(|op| text(op, "/path") == path || text(op, "/path").starts_with(&format!("{path}/")))
}

/// Returns the status that a write sets, if any.
pub fn status_in(write: &Write) -> Option<&RolloutStatus> {
    match write {
        Write::Status { status, .. } => Some(status),
        _ => None,
    }
}

/// The versions after the writes of one plan: the plan's next write to the same object replaces
/// this version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own(BTreeMap<(Kind, String), String>);

impl Own {
    fn key(kind: Kind, name: &str) -> (Kind, String) {
        // There is one Rollout, and a status write does not name it.
        (kind, if kind == Kind::Rollout { String::new() } else { name.to_owned() })
    }
}

impl World {
    /// Applies writes of the current leader, in order, without running a controller.
    pub fn write(&mut self, writes: &[Write]) {
        self.versions.note(&mut self.snapshot);
        let mut own = Own::default();
        for write in writes {
            let sent = self.send(write, &own);
            let rejected = self.arrive(&sent, &mut own).err();
            assert_eq!(rejected, None, "the API server accepts {write:?}");
        }
    }

    /// Returns a write of the current leader as sent after the other writes of its plan.
    pub(crate) fn send(&self, write: &Write, own: &Own) -> Sent {
        let decided = match write {
            Write::Create { .. } => "",
            Write::Patch { version, .. } | Write::Delete { version, .. } | Write::Status { version, .. } => {
                version
            }
        };
        let (_, kind, name) = target(write);
        let version = own.0.get(&Own::key(kind, name)).map_or(decided, String::as_str);
        Sent { write: write.clone(), epoch: self.snapshot.epoch, version: version.to_owned() }
    }

    /// Handles a write at the API server, after recording the versions of earlier changes.
    pub(crate) fn arrive(&mut self, sent: &Sent, own: &mut Own) -> Result<(), Rejection> {
        let (_, kind, name) = target(&sent.write);
        self.admit(&sent.write)?;
        self.fence(sent)?;
        match &sent.write {
            Write::Create { kind, object } => self.create(*kind, object),
            Write::Patch { kind, name, ops, stamp, .. } => {
                let ops = serde_json::to_value(ops).unwrap_or_default();
                self.patch(*kind, name, &stamped(ops, *stamp, sent.epoch))?;
            }
            Write::Delete { kind, name, .. } => self.delete(*kind, name),
            Write::Status { status, .. } => {
                let r = self.snapshot.rollout.as_mut().ok_or(Rejection::NotFound)?;
                r.status = (**status).clone();
            }
        }
        self.observe(kind, name);
        self.versions.note(&mut self.snapshot);
        if let Some(version) = self.meta(kind, name).map(|meta| meta.version.clone()) {
            own.0.insert(Own::key(kind, name), version);
        }
        Ok(())
    }

    /// Checks that the object is still the one that the write was decided on.
    fn fence(&self, sent: &Sent) -> Result<(), Rejection> {
        let (verb, kind, name) = target(&sent.write);
        let meta = self.meta(kind, name);
        if verb == WriteVerb::Create {
            return if meta.is_some() { Err(Rejection::AlreadyExists) } else { Ok(()) };
        }
        let meta = meta.ok_or(Rejection::NotFound)?;
        let uid = match &sent.write {
            Write::Delete { uid, .. } => uid,
            _ => &meta.uid,
        };
        let fenced = sent.version.is_empty() || sent.version == meta.version;
        if fenced && *uid == meta.uid { Ok(()) } else { Err(Rejection::Conflict) }
    }

    /// Returns whether a write would still be applied.
    pub(crate) fn would_apply(&self, sent: &Sent) -> bool {
        self.fence(sent).is_ok()
    }

    fn meta(&self, kind: Kind, name: &str) -> Option<&Meta> {
        let s = &self.snapshot;
        let mut metas: Box<dyn Iterator<Item = &Meta>> = match kind {
            Kind::Deployment => Box::new(s.deployment.iter().map(|d| &d.meta)),
            Kind::Rollout => return s.rollout.as_ref().map(|r| &r.meta),
            Kind::ReplicaSet => Box::new(s.replica_sets.iter().map(|set| &set.meta)),
            Kind::Service => Box::new(s.services.iter().map(|service| &service.meta)),
            Kind::Route(resource) => {
                let same = s.routes.iter().filter(move |route| route.resource == resource);
                Box::new(same.map(|route| &route.meta))
            }
        };
        metas.find(|meta| meta.name == name)
    }

    fn create(&mut self, kind: Kind, object: &Value) {
        let created = Some(self.snapshot.now);
        let meta = Meta { created, ..named(object) };
        match kind {
            Kind::ReplicaSet => {
                let mut template = object["spec"]["template"].clone();
                let hash = text(&template, "/metadata/labels/pod-template-hash").to_owned();
                if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
                    labels.remove(api::HASH);
                }
                if self.altering {
                    template["spec"]["dnsPolicy"] = json!("Default");
                }
                let min_ready = object["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
                self.snapshot.replica_sets.push(ReplicaSet {
                    controller: controller(object),
                    hash,
                    template,
                    replicas: replicas(object),
                    min_ready_seconds: i32::try_from(min_ready).unwrap_or_default(),
                    available: 0,
                    existing: 0,
                    failure: None,
                    observed_generation: 0,
                    meta,
                });
            }
            Kind::Service => self.snapshot.services.push(Service {
                meta,
                selector: strings(&object["spec"]["selector"]),
                ports: object["spec"]["ports"].clone(),
                exposure: if object["spec"]["clusterIP"] == "None" {
                    Exposure::Headless
                } else {
                    Exposure::Cluster
                },
                ..objects::service()
            }),
            Kind::Rollout => {
                let owner = object["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
                let meta = Meta { uid: objects::ROLLOUT_UID.into(), ..meta };
                self.snapshot.rollout = Some(Rollout { meta, owner: owner.into(), ..objects::rollout() });
            }
            Kind::Deployment | Kind::Route(_) => panic!("Steelyard creates no {kind:?}"),
        }
    }

    fn delete(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::ReplicaSet => self.snapshot.replica_sets.retain(|set| set.meta.name != name),
            Kind::Service => self.snapshot.services.retain(|service| service.meta.name != name),
            Kind::Rollout => self.snapshot.rollout = None,
            Kind::Deployment | Kind::Route(_) => panic!("Steelyard deletes no {kind:?}"),
        }
    }

    fn patch(&mut self, kind: Kind, name: &str, ops: &Patch) -> Result<(), Rejection> {
        let s = &mut self.snapshot;
        match kind {
            Kind::ReplicaSet => {
                let set = s.replica_sets.iter_mut().find(|set| set.meta.name == name);
                let set = set.ok_or(Rejection::NotFound)?;
                let content = content::replica_set(set);
                let object = patched(&mut set.meta, content, ops)?;
                set.replicas = replicas(&object);
                let min_ready = object["spec"]["minReadySeconds"].as_i64().unwrap_or_default();
                set.min_ready_seconds = i32::try_from(min_ready).unwrap_or_default();
                set.controller = controller(&object).or(set.controller.take());
            }
            Kind::Service => {
                let service = s.services.iter_mut().find(|service| service.meta.name == name);
                let service = service.ok_or(Rejection::NotFound)?;
                let content = content::service(service);
                let object = patched(&mut service.meta, content, ops)?;
                service.selector = strings(&object["spec"]["selector"]);
            }
            Kind::Route(resource) => {
                let mut same = s.routes.iter_mut().filter(|route| route.resource == resource);
                let route = same.find(|route| route.meta.name == name);
                let route = route.ok_or(Rejection::NotFound)?;
                let content = content::route(route);
                route.spec = patched(&mut route.meta, content, ops)?["spec"].take();
            }
            Kind::Deployment => {
                let d = s.deployment.as_mut().ok_or(Rejection::NotFound)?;
                let content = content::deployment(d);
                let mut object = patched(&mut d.meta, content, ops)?;
                d.paused = object["spec"]["paused"].as_bool().unwrap_or(false);
                let template = object["spec"]["template"].take();
                if template != d.template {
                    // Admission holds it.
                    d.template = template;
                    d.paused = true;
                    d.meta.labels.insert(api::HELD.into(), "true".into());
                }
            }
            Kind::Rollout => {
                let r = s.rollout.as_mut().ok_or(Rejection::NotFound)?;
                let content = content::rollout(r);
                let object = patched(&mut r.meta, content, ops)?;
                r.finalizers =
                    serde_json::from_value(object["metadata"]["finalizers"].clone()).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// Applies the operations to the object, and copies the resulting metadata.
fn patched(meta: &mut Meta, mut object: Value, ops: &Patch) -> Result<Value, Rejection> {
    let spec = object["spec"].clone();
    json_patch::patch(&mut object, ops).map_err(|error| match error.kind {
        PatchErrorKind::TestFailed => Rejection::Conflict,
        _ => panic!("{error}: {ops:?} on {object}"),
    })?;
    let managers = object["metadata"]["managedFields"].as_array().map_or(0, Vec::len);
    meta.managed = if object["spec"] == spec { (1..managers).collect() } else { vec![1] };
    meta.generation += i64::from(object["spec"] != spec);
    meta.annotations = strings(&object["metadata"]["annotations"]);
    meta.labels = strings(&object["metadata"]["labels"]);
    meta.owners = owners(&object);
    meta.epoch = epoch(meta);
    Ok(object)
}

/// Returns the operations followed by the epoch stamp.
fn stamped(ops: Value, stamp: Stamp, epoch: u64) -> Patch {
    let mut ops: Patch = serde_json::from_value(ops).expect("the operations are those of a JSON patch");
    let (map, exists) = match stamp {
        Stamp::Annotation { exists } => ("annotations", exists),
        Stamp::Label { exists } => ("labels", exists),
        Stamp::None => return ops,
    };
    let key = api::EPOCH.replace('/', "~1");
    let stamp = if exists {
        json!({"op": "add", "path": format!("/metadata/{map}/{key}"), "value": epoch.to_string()})
    } else {
        json!({"op": "add", "path": format!("/metadata/{map}"), "value": {api::EPOCH: epoch.to_string()}})
    };
    ops.0.push(serde_json::from_value(stamp).expect("the stamp is an operation of a JSON patch"));
    ops
}

fn epoch(meta: &Meta) -> u64 {
    let stamp = meta.labels.get(api::EPOCH).or_else(|| meta.annotations.get(api::EPOCH));
    stamp.and_then(|epoch| epoch.parse().ok()).unwrap_or(0)
}

fn named(object: &Value) -> Meta {
    let mut meta = objects::meta(text(object, "/metadata/name"));
    meta.labels = strings(&object["metadata"]["labels"]);
    meta.annotations = strings(&object["metadata"]["annotations"]);
    meta.owners = owners(object);
    meta.epoch = epoch(&meta);
    meta
}

fn owners(object: &Value) -> BTreeSet<String> {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().map(|owner| text(owner, "/uid").to_owned()).collect()
}

fn controller(object: &Value) -> Option<String> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let controller = owners.iter().find(|owner| owner["controller"] == true)?;
    controller["uid"].as_str().map(str::to_owned)
}

fn replicas(object: &Value) -> i32 {
    object["spec"]["replicas"].as_i64().and_then(|count| i32::try_from(count).ok()).unwrap_or(1)
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
