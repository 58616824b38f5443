//! The objects of one kind in one namespace, kept current by a watch.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    core::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use serde_json::Value;
use thiserror::Error;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, timeout},
};

use super::{CachedKind, dependents::Dependents, kind::Wakes, store::Store, trim::trimmed};
use crate::cluster::{
    locked,
    watch_events::{is_not_served, log},
};

/// How long a reader waits for the first list.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why cached objects can't be read.
#[derive(Clone, Debug, Error)]
pub enum CacheError {
    /// The first list failed. The watch lists again.
    #[error("list {plural} in namespace {namespace}")]
    List {
        /// The plural of the kind.
        plural: &'static str,
        /// The namespace.
        namespace: String,
        /// The cause.
        #[source]
        source: Arc<watcher::Error>,
    },
    /// The first list takes too long.
    #[error("list {plural} in namespace {namespace}: not complete after {PATIENCE:?}")]
    Slow {
        /// The plural of the kind.
        plural: &'static str,
        /// The namespace.
        namespace: String,
    },
}

/// How far the first list is. Later lists replace the objects when they are complete.
#[derive(Clone, Debug)]
enum State {
    Listing,
    Failed(Arc<watcher::Error>),
    Ready,
}

#[derive(Debug)]
struct Shared {
    kind: CachedKind,
    namespace: String,
    store: Mutex<Store>,
    state: watch::Sender<State>,
    used: Mutex<Instant>,
}

/// The objects of one kind in one namespace. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Collection {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collection {
    /// Starts to list and to watch.
    pub(super) fn open(
        client: &Client,
        kind: CachedKind,
        namespace: &str,
        dependents: Arc<Dependents>,
    ) -> Self {
        let shared = Arc::new(Shared {
            kind,
            namespace: namespace.to_owned(),
            store: Mutex::default(),
            state: watch::Sender::new(State::Listing),
            used: Mutex::new(Instant::now()),
        });
        let api = Api::namespaced_with(client.clone(), namespace, &kind.resource());
        let task = tokio::spawn(follow(api, Arc::clone(&shared), dependents)).abort_handle();
        Self { shared, task }
    }

    /// Returns all objects, once the first list is complete.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Value>>, CacheError> {
        let Shared { kind, namespace, store, state, used } = &*self.shared;
        *locked(used) = Instant::now();
        let (plural, namespace) = (kind.plural(), namespace.clone());
        let mut states = state.subscribe();
        let listed = states.wait_for(|state| !matches!(state, State::Listing));
        let state = match timeout(PATIENCE, listed).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => State::Listing,
        };
        match state {
            State::Ready => Ok(locked(store).all()),
            State::Failed(source) => Err(CacheError::List { plural, namespace, source }),
            State::Listing => Err(CacheError::Slow { plural, namespace }),
        }
    }

    /// Changes the objects by what a write or a read has shown.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        change(&mut locked(&self.shared.store))
    }

    /// Returns the time of the last read.
    pub(super) fn used(&self) -> Instant {
        *locked(&self.shared.used)
    }
}

/// Applies the events of a watch to the objects, and wakes the Deployments that depend on them.
async fn follow(api: Api<DynamicObject>, shared: Arc<Shared>, dependents: Arc<Dependents>) {
    let Shared { kind, namespace, store, state, used: _ } = &*shared;
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                failed(state, error, kind.plural());
                continue;
            }
        };
        let changed = match event {
            watcher::Event::Init => {
                locked(store).begin_list();
                continue;
            }
            watcher::Event::InitApply(object) => {
                if let Some((_, object)) = decoded(*kind, &object) {
                    locked(store).put(object);
                }
                continue;
            }
            watcher::Event::InitDone => {
                locked(store).end_list();
                // Readers wait for the first list. After a later one, any object may have changed.
                let first = matches!(state.send_replace(State::Ready), State::Listing);
                if !first && kind.wakes() != Wakes::None {
                    dependents.changed(*kind, namespace, None);
                }
                continue;
            }
            watcher::Event::Apply(object) => {
                decoded(*kind, &object).filter(|(_, object)| locked(store).put(object.clone()))
            }
            watcher::Event::Delete(object) => {
                decoded(*kind, &object).filter(|(_, object)| locked(store).deleted(object))
            }
        };
        if let Some((name, _)) = changed {
            match kind.wakes() {
                Wakes::Named => dependents.changed(*kind, namespace, Some(&name)),
                Wakes::All => dependents.changed(*kind, namespace, None),
                Wakes::None => {}
            }
        }
    }
}

/// Returns the name of an object, and what is kept of it.
fn decoded(kind: CachedKind, object: &DynamicObject) -> Option<(String, Value)> {
    let name = object.metadata.name.clone()?;
    // Metadata and JSON always serialize.
    Some((name, trimmed(kind, serde_json::to_value(object).ok()?)))
}

/// Tells the readers that wait for the first list why it fails.
fn failed(state: &watch::Sender<State>, error: watcher::Error, plural: &'static str) {
    log(&error, plural);
    let not_served = is_not_served(&error);
    let error = Arc::new(error);
    state.send_if_modified(|state| {
        if matches!(state, State::Ready) {
            return false;
        }
        // There are no objects of a kind that is not served. It may be installed later.
        *state = if not_served { State::Ready } else { State::Failed(Arc::clone(&error)) };
        true
    });
}
