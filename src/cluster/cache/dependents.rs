//! The Deployments that a change of a cached object wakes: those with a rollout in progress, and
//! those that wait or are refused.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use tokio::sync::mpsc::UnboundedSender;

use super::CachedKind;
use crate::{
    cluster::{ObjectKey, locked},
    traffic::Resource,
};

/// Where changes wake a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Its namespace.
    Namespace(String),
    /// A router's resource in another namespace, which may have routes to its Services.
    Routes(&'static Resource, String),
}

#[derive(Debug, Default)]
struct Scopes {
    by_scope: HashMap<Scope, BTreeSet<ObjectKey>>,
    by_deployment: HashMap<ObjectKey, BTreeSet<Scope>>,
    /// By namespace, the Deployments that have been reconciled: a `ReplicaSet` may appear in the cache
    /// after the change of the Deployment that it belongs to.
    reconciled: HashMap<String, BTreeSet<ObjectKey>>,
}

/// The Deployments that depend on cached objects.
#[derive(Debug)]
pub(super) struct Dependents {
    wakes: UnboundedSender<ObjectKey>,
    scopes: Mutex<Scopes>,
}

impl Dependents {
    pub(super) fn new(wakes: UnboundedSender<ObjectKey>) -> Self {
        Self { wakes, scopes: Mutex::default() }
    }

    /// From now on, changes of its `ReplicaSets` wake the Deployment, for as long as they are cached
    /// for another reason.
    pub(super) fn follow_replica_sets(&self, key: &ObjectKey) {
        let mut scopes = locked(&self.scopes);
        scopes.reconciled.entry(key.namespace.clone()).or_default().insert(key.clone());
    }

    /// Forgets a Deployment.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.set(key, &BTreeSet::new());
        let mut scopes = locked(&self.scopes);
        if let Some(keys) = scopes.reconciled.get_mut(&key.namespace) {
            keys.remove(key);
            if keys.is_empty() {
                scopes.reconciled.remove(&key.namespace);
            }
        }
    }

    /// Records that a Deployment depends on these scopes, and on no others; returns whether one of
    /// them is new for it.
    pub(super) fn set(&self, key: &ObjectKey, new: &BTreeSet<Scope>) -> bool {
        let mut scopes = locked(&self.scopes);
        let old = scopes.by_deployment.remove(key).unwrap_or_default();
        for scope in old.difference(new) {
            if let Some(keys) = scopes.by_scope.get_mut(scope) {
                keys.remove(key);
                if keys.is_empty() {
                    scopes.by_scope.remove(scope);
                }
            }
        }
        for scope in new.difference(&old) {
            scopes.by_scope.entry(scope.clone()).or_default().insert(key.clone());
        }
        if !new.is_empty() {
            scopes.by_deployment.insert(key.clone(), new.clone());
        }
        new.difference(&old).next().is_some()
    }

    /// Returns whether a Deployment depends on this collection.
    pub(super) fn has(&self, kind: CachedKind, namespace: &str) -> bool {
        let scopes = locked(&self.scopes);
        scopes_of(kind, namespace).iter().any(|scope| scopes.by_scope.contains_key(scope))
    }

    /// Wakes the Deployments that an object of this name may belong to; without a name, all that
    /// depend on the collection.
    pub(super) fn changed(&self, kind: CachedKind, namespace: &str, name: Option<&str>) {
        let scopes = locked(&self.scopes);
        let dependents = scopes_of(kind, namespace);
        let dependents = dependents.iter().filter_map(|scope| scopes.by_scope.get(scope));
        let reconciled = scopes.reconciled.get(namespace).filter(|_| kind == CachedKind::ReplicaSets);
        let keys: BTreeSet<&ObjectKey> = dependents.chain(reconciled).flatten().collect();
        for key in keys.into_iter().filter(|key| name.is_none_or(|name| is_related(name, &key.name))) {
            let _ = self.wakes.send(key.clone());
        }
    }

    /// Wakes the Deployments that depend on a namespace.
    pub(super) fn wake_namespace(&self, namespace: &str) {
        let scopes = locked(&self.scopes);
        for key in scopes.by_scope.get(&Scope::Namespace(namespace.to_owned())).into_iter().flatten() {
            let _ = self.wakes.send(key.clone());
        }
    }
}

/// Returns the scopes that a collection is part of.
fn scopes_of(kind: CachedKind, namespace: &str) -> Vec<Scope> {
    let routes = match kind {
        CachedKind::Routes(resource) => Some(Scope::Routes(resource, namespace.to_owned())),
        _ => None,
    };
    [Scope::Namespace(namespace.to_owned())].into_iter().chain(routes).collect()
}

/// Returns whether an object with this name may be a `ReplicaSet` or pod of the Deployment.
/// Generated names have a truncated base.
fn is_related(object: &str, deployment: &str) -> bool {
    object.starts_with(&deployment[..deployment.len().min(40)])
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::traffic::gateway::HTTP_ROUTE;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    fn woken(receiver: &mut UnboundedReceiver<ObjectKey>) -> BTreeSet<String> {
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|key| key.to_string()).collect()
    }

    #[test]
    fn pods_are_related_to_the_deployment_whose_name_starts_theirs_even_if_it_is_truncated() {
        assert!(is_related("web-0abc-x1", "web"));
        assert!(!is_related("api-0abc-x1", "web"));
        let long = "w".repeat(63);
        assert!(is_related(&format!("{}x7k2p", &long[..58]), &long));
    }

    #[test]
    fn a_change_wakes_those_that_depend_on_its_namespace_or_on_its_routes() {
        let (sender, mut receiver) = unbounded_channel();
        let dependents = Dependents::new(sender);
        let shop = Scope::Namespace("shop".into());
        let edge = Scope::Routes(HTTP_ROUTE, "edge".into());
        assert!(dependents.set(&key("shop", "web"), &[shop.clone(), edge].into()));
        assert!(dependents.set(&key("shop", "api"), &[shop.clone()].into()));
        dependents.changed(CachedKind::Pods, "shop", Some("web-0abc-x1"));
        assert_eq!(woken(&mut receiver), ["shop/web".to_owned()].into());
        dependents.changed(CachedKind::Services, "shop", None);
        assert_eq!(woken(&mut receiver).len(), 2);
        dependents.changed(CachedKind::Routes(HTTP_ROUTE), "edge", None);
        assert_eq!(woken(&mut receiver), ["shop/web".to_owned()].into());
        dependents.changed(CachedKind::Services, "edge", None);
        assert!(woken(&mut receiver).is_empty());
        assert!(!dependents.set(&key("shop", "web"), &[shop].into()), "nothing is new");
        assert!(!dependents.has(CachedKind::Routes(HTTP_ROUTE), "edge"));
        assert!(dependents.has(CachedKind::Routes(HTTP_ROUTE), "shop"));
    }

    #[test]
    fn a_settled_deployment_is_woken_by_its_replica_sets_and_keeps_no_cache_open() {
        let (sender, mut receiver) = unbounded_channel();
        let dependents = Dependents::new(sender);
        dependents.follow_replica_sets(&key("shop", "web"));
        dependents.changed(CachedKind::Pods, "shop", Some("web-0abc-x1"));
        assert!(woken(&mut receiver).is_empty());
        dependents.changed(CachedKind::ReplicaSets, "shop", Some("web-0abc"));
        assert_eq!(woken(&mut receiver), ["shop/web".to_owned()].into());
        assert!(!dependents.has(CachedKind::ReplicaSets, "shop"));
        dependents.forget(&key("shop", "web"));
        dependents.changed(CachedKind::ReplicaSets, "shop", Some("web-0abc"));
        assert!(woken(&mut receiver).is_empty());
    }
}
