//! The objects of rollouts, cached by namespace.
//!
//! A collection (one kind in one namespace) opens when it is first read, and closes when no
//! Deployment depends on it and its last read is ten minutes ago. What the controller writes is
//! put into the cache, a conflict replaces the object by a read, and what a decision needs to be
//! fresh ([`crate::engine::Decision::fresh`]) is listed again by label: a watch that lags delays
//! decisions, and never falsifies one.

mod collection;
mod dependents;
mod kind;
mod store;
mod trim;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::{
    Client,
    core::{Selector, SelectorExt as _},
};
use serde_json::Value;
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

pub use self::{collection::CacheError, dependents::Scope, kind::CachedKind};
use self::{collection::Collection, dependents::Dependents, trim::trimmed};
use super::{
    ObjectKey, locked,
    raw::{CallError, Caller},
    read,
};

/// How long a collection on which no Deployment depends stays open after its last read.
const UNUSED: Duration = Duration::from_mins(10);

/// A kind in a namespace.
type Place = (CachedKind, String);

/// What changes whenever the Deployment controller has handled a change of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generations {
    uid: String,
    generation: Option<i64>,
    observed_generation: Option<i64>,
}

impl Generations {
    /// Returns the generations of a Deployment.
    pub fn of(deployment: &Value) -> Self {
        let number = |path| deployment.pointer(path).and_then(Value::as_i64);
        let uid = deployment.pointer("/metadata/uid").and_then(Value::as_str);
        Self {
            uid: uid.unwrap_or_default().to_owned(),
            generation: number("/metadata/generation"),
            observed_generation: number("/status/observedGeneration"),
        }
    }
}

/// The open collections.
pub struct Caches {
    client: Client,
    dependents: Arc<Dependents>,
    /// The state of each Deployment than which its cached `ReplicaSets` are not older.
    caught_up: Mutex<HashMap<ObjectKey, Generations>>,
    open: Mutex<HashMap<Place, Arc<Collection>>>,
}

impl Caches {
    /// Opens nothing yet. Changes wake Deployments through `wakes`.
    pub fn new(client: Client, wakes: UnboundedSender<ObjectKey>) -> Self {
        Self {
            client,
            dependents: Arc::new(Dependents::new(wakes)),
            caught_up: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// Returns the objects of a kind in a namespace; none if the API server does not serve the
    /// kind.
    pub async fn list(&self, kind: CachedKind, namespace: &str) -> Result<Vec<Arc<Value>>, CacheError> {
        self.collection(kind, namespace).all().await
    }

    fn collection(&self, kind: CachedKind, namespace: &str) -> Arc<Collection> {
        let mut open = locked(&self.open);
        let collection = open.entry((kind, namespace.to_owned())).or_insert_with(|| {
            Arc::new(Collection::open(&self.client, kind, namespace, Arc::clone(&self.dependents)))
        });
        Arc::clone(collection)
    }

    fn opened(&self, kind: CachedKind, namespace: &str) -> Option<Arc<Collection>> {
        locked(&self.open).get(&(kind, namespace.to_owned())).cloned()
    }

    /// Stores an object as a write returned it.
    pub fn put(&self, kind: CachedKind, namespace: &str, object: &Value) {
        if let Some(collection) = self.opened(kind, namespace) {
            let kept = trimmed(kind, object.clone());
            collection.update(|store| store.put(kept));
        }
    }

    /// Removes an object that a write has deleted.
    pub fn remove(&self, kind: CachedKind, namespace: &str, name: &str, uid: &str) {
        if let Some(collection) = self.opened(kind, namespace) {
            collection.update(|store| store.absent(name, uid));
        }
    }

    /// Reads an object again, because the API server has a newer version than the cache.
    pub async fn reread(
        &self,
        caller: &Caller,
        kind: CachedKind,
        namespace: &str,
        name: &str,
    ) -> Result<(), CallError> {
        let Some(collection) = self.opened(kind, namespace) else { return Ok(()) };
        let known = collection.update(|store| store.uid(name));
        match caller.get(&kind.path(namespace), name).await? {
            Some(object) => drop(collection.update(|store| store.put(trimmed(kind, object)))),
            None => {
                if let Some(uid) = known {
                    collection.update(|store| store.absent(name, &uid));
                }
            }
        }
        Ok(())
    }

    /// Lists again the objects that a label selector matches.
    pub async fn refresh(
        &self,
        caller: &Caller,
        kind: CachedKind,
        namespace: &str,
        selector: &Selector,
    ) -> Result<(), CallError> {
        let Some(collection) = self.opened(kind, namespace) else { return Ok(()) };
        let (list, version) = caller.list_at(&kind.path(namespace), &selector.to_string()).await?;
        let list = list.into_iter().map(|object| trimmed(kind, object)).collect();
        let matches = |object: &Value| selector.matches(&read::strings(object, "/metadata/labels"));
        collection.update(|store| store.merge(list, version, matches));
        Ok(())
    }

    /// Makes the cached `ReplicaSets` of a Deployment not older than this state of it: a decision
    /// that sees that the Deployment controller has observed a change must see what it did then.
    pub async fn catch_up(
        &self,
        caller: &Caller,
        key: &ObjectKey,
        generations: Generations,
        selector: &Selector,
    ) -> Result<(), CallError> {
        if locked(&self.caught_up).get(key) == Some(&generations) {
            return Ok(());
        }
        self.collection(CachedKind::ReplicaSets, &key.namespace);
        self.refresh(caller, CachedKind::ReplicaSets, &key.namespace, selector).await?;
        locked(&self.caught_up).insert(key.clone(), generations);
        Ok(())
    }

    /// From now on, changes of its cached `ReplicaSets` wake the Deployment.
    pub(super) fn follow_replica_sets(&self, key: &ObjectKey) {
        self.dependents.follow_replica_sets(key);
    }

    /// Forgets a Deployment, which nothing wakes then.
    pub(super) fn forget(&self, key: &ObjectKey) {
        locked(&self.caught_up).remove(key);
        self.dependents.forget(key);
    }

    /// Records what a Deployment depends on; returns whether something is new.
    pub(super) fn set_dependent(&self, key: &ObjectKey, scopes: &BTreeSet<Scope>) -> bool {
        self.dependents.set(key, scopes)
    }

    /// Wakes the Deployments that depend on a namespace: an object that they wait for may be free
    /// now.
    pub(super) fn wake_namespace(&self, namespace: &str) {
        self.dependents.wake_namespace(namespace);
    }

    /// Closes the collections that are no longer used.
    pub(super) fn close_unused(&self, now: Instant) {
        locked(&self.open).retain(|(kind, namespace), collection| {
            self.dependents.has(*kind, namespace) || now.saturating_duration_since(collection.used()) < UNUSED
        });
    }
}
