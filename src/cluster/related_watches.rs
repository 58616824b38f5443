//! Watches on the objects that rollouts in progress, and Deployments that wait or are refused,
//! depend on. Each scope is watched once, for as long as a Deployment depends on it.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::ReplicaSet,
        core::v1::{Pod, Service},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ApiResource,
    core::{DynamicObject, GroupVersionKind, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::UnboundedSender, task::AbortHandle};

use super::{
    ObjectKey, locked,
    watch_events::{WatchEvent, watch_events},
};
use crate::traffic::{self, RouterKind, router};

/// What to watch for a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchScope {
    /// Its namespace: `ReplicaSets`, pods, Services, `EndpointSlices` and the resources of all
    /// routers.
    Namespace(String),
    /// A router's resource in another namespace, which may have routes to its Services.
    Routes(&'static traffic::Resource, String),
}

/// The Deployments that a change in a scope wakes.
type Keys = Arc<Mutex<BTreeSet<ObjectKey>>>;

struct Watched {
    keys: Keys,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All watched scopes.
pub(super) struct RelatedWatches {
    client: Client,
    wakes: UnboundedSender<ObjectKey>,
    scopes: HashMap<WatchScope, Watched>,
    by_deployment: HashMap<ObjectKey, BTreeSet<WatchScope>>,
}

impl RelatedWatches {
    /// Watches nothing yet.
    pub(super) fn new(client: Client, wakes: UnboundedSender<ObjectKey>) -> Self {
        Self { client, wakes, scopes: HashMap::new(), by_deployment: HashMap::new() }
    }

    /// Wakes the Deployments that depend on a namespace: an object that they wait for may be free
    /// now.
    pub(super) fn wake_namespace(&self, namespace: &str) {
        let Some(watched) = self.scopes.get(&WatchScope::Namespace(namespace.to_owned())) else { return };
        for key in locked(&watched.keys).iter() {
            let _ = self.wakes.send(key.clone());
        }
    }

    /// Watches these scopes for a Deployment, and no others; returns whether one of them is new for
    /// it.
    pub(super) fn set(&mut self, key: &ObjectKey, scopes: &BTreeSet<WatchScope>) -> bool {
        let before = self.by_deployment.remove(key).unwrap_or_default();
        for scope in before.difference(scopes) {
            let empty = self.scopes.get(scope).is_some_and(|watched| {
                let mut keys = locked(&watched.keys);
                keys.remove(key);
                keys.is_empty()
            });
            if empty {
                self.scopes.remove(scope);
            }
        }
        for scope in scopes.difference(&before) {
            locked(&self.watched(scope).keys).insert(key.clone());
        }
        let new = scopes.difference(&before).next().is_some();
        if !scopes.is_empty() {
            self.by_deployment.insert(key.clone(), scopes.clone());
        }
        new
    }

    fn watched(&mut self, scope: &WatchScope) -> &Watched {
        let Self { client, wakes, scopes, by_deployment: _ } = self;
        scopes.entry(scope.clone()).or_insert_with(|| {
            let keys = Keys::default();
            let watches = watches(client, scope);
            let task = tokio::spawn(forward(watches, Arc::clone(&keys), wakes.clone())).abort_handle();
            Watched { keys, task }
        })
    }
}

/// The names of changed objects whose names start with that of their Deployment; `None` where a
/// change may concern any Deployment of the scope.
type ChangedNames = BoxStream<'static, Option<String>>;

fn watches(client: &Client, scope: &WatchScope) -> Vec<ChangedNames> {
    match scope {
        WatchScope::Namespace(namespace) => {
            let read = RouterKind::ALL.into_iter().flat_map(|kind| router(kind).resources());
            let read = read.map(|resource| routes(client, resource, namespace));
            let own = [
                watch::<ReplicaSet>(client, namespace, "replicasets"),
                watch::<Pod>(client, namespace, "pods"),
                watch::<Service>(client, namespace, "services").map(|_| None).boxed(),
                watch::<EndpointSlice>(client, namespace, "endpointslices").map(|_| None).boxed(),
            ];
            own.into_iter().chain(read).collect()
        }
        WatchScope::Routes(resource, namespace) => vec![routes(client, resource, namespace)],
    }
}

fn watch<K>(client: &Client, namespace: &str, resource: &'static str) -> ChangedNames
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    names(watch_events(Api::<PartialObjectMeta<K>>::namespaced(client.clone(), namespace), resource)).boxed()
}

/// Watches a router's resource in a namespace.
fn routes(client: &Client, resource: &traffic::Resource, namespace: &str) -> ChangedNames {
    let traffic::Resource { group, version, kind, plural, access: _ } = *resource;
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api = Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client.clone(), namespace, &kind);
    names(watch_events(api, plural)).map(|_| None).boxed()
}

/// Returns the names of changed objects; `None` when a list is complete, because any object may
/// have been deleted before it.
fn names<K: Resource>(stream: impl Stream<Item = WatchEvent<K>>) -> impl Stream<Item = Option<String>> {
    stream.map(|event| match event {
        WatchEvent::Applied(object) | WatchEvent::Deleted(object) => Some(object.name_any()),
        WatchEvent::Synced => None,
    })
}

/// Wakes the Deployments of a scope when an object in it changes.
async fn forward(watches: Vec<ChangedNames>, keys: Keys, wakes: UnboundedSender<ObjectKey>) {
    let mut names = futures::stream::select_all(watches);
    while let Some(object) = names.next().await {
        let related = |key: &&ObjectKey| object.as_deref().is_none_or(|object| is_related(object, &key.name));
        for key in locked(&keys).iter().filter(related) {
            let _ = wakes.send(key.clone());
        }
    }
}

/// Returns whether an object with this name may be a `ReplicaSet` or pod of the Deployment.
/// Generated names have a truncated base.
fn is_related(object: &str, deployment: &str) -> bool {
    object.starts_with(&deployment[..deployment.len().min(40)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_related_to_the_deployment_whose_name_starts_theirs_even_if_it_is_truncated() {
        assert!(is_related("web-0abc-x1", "web"));
        assert!(!is_related("api-0abc-x1", "web"));
        let long = "w".repeat(63);
        assert!(is_related(&format!("{}x7k2p", &long[..58]), &long));
    }
}
