//! What wakes a Deployment up: its own changes, those around a rollout in flight, timers and answers.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Debug,
    future::pending,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ApiResource,
    core::{DynamicObject, GroupVersionKind, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    Key, chain, locked,
    pace::Pace,
    pass::{Context, PassError, Rest, backoff, pass},
    queue::Queue,
    relevance::Relevance,
};
use crate::{
    api::{ClusterRolloutPolicy, FINALIZER, POLICY, Rollout, RolloutPolicy},
    engine::Slot,
};

/// How many Deployments are looked at at a time.
const CONCURRENCY: usize = 16;
/// Which failure in a row is told to people, where there is something to tell.
const TELLING: u32 = 4;
/// How long a wake waits for others about the same Deployment.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// What a watch showed of one object, or that a list is complete.
enum Seen<K> {
    There(K),
    Gone(K),
    Listed,
}

/// A watch that outlasts its connections. `Gone` isn't told for what vanished while there was none: `Listed` says that it may have.
fn changes<K>(api: Api<K>, what: &'static str) -> impl Stream<Item = Seen<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, watcher::Config::default()).default_backoff().filter_map(move |event| async move {
        match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                Some(Seen::There(object))
            }
            Ok(watcher::Event::Delete(object)) => Some(Seen::Gone(object)),
            Ok(watcher::Event::InitDone) => Some(Seen::Listed),
            Ok(watcher::Event::Init) => None,
            Err(error) => {
                tracing::warn!(what, error = %chain(&error), "the watch broke, it is begun again");
                None
            }
        }
    })
}

fn key_of<K: Resource>(object: &K) -> Key {
    Key {
        namespace: object.meta().namespace.clone().unwrap_or_default(),
        name: object.meta().name.clone().unwrap_or_default(),
    }
}

/// Watches that last as long as the leadership.
struct Standing {
    context: Arc<Context>,
    known: Arc<Mutex<Relevance>>,
    wakes: UnboundedSender<Key>,
    /// Namespaces in which a rollout ended or a Rollout is gone, so that what they claimed is free.
    freed: UnboundedSender<String>,
}

impl Standing {
    fn wake(&self, key: Key) {
        let _ = self.wakes.send(key);
    }

    fn free(&self, key: &Key) {
        let _ = self.freed.send(key.namespace.clone());
    }

    async fn deployments(self, client: Client) {
        let api = Api::<PartialObjectMeta<Deployment>>::all(client);
        let mut stream = std::pin::pin!(changes(api, "deployments"));
        while let Some(seen) = stream.next().await {
            match seen {
                Seen::There(object) => {
                    let key = key_of(&object);
                    let policy = object.annotations().get(POLICY).cloned();
                    if locked(&self.known).deployment(&key, policy) {
                        self.wake(key);
                    }
                }
                Seen::Gone(object) => {
                    let key = key_of(&object);
                    if locked(&self.known).deployment(&key, None) {
                        self.wake(key);
                    }
                }
                Seen::Listed => self.wake_all(),
            }
        }
    }

    async fn rollouts(self, client: Client) {
        let api = Api::<PartialObjectMeta<Rollout>>::all(client);
        let mut stream = std::pin::pin!(changes(api, "rollouts"));
        // Own writes to the status wake nobody: what people change moves the generation, or marks a deletion.
        let mut marks: HashMap<Key, (Option<i64>, bool, Option<String>)> = HashMap::new();
        let mut flying: HashSet<Key> = HashSet::new();
        while let Some(seen) = stream.next().await {
            match seen {
                Seen::There(object) => {
                    let key = key_of(&object);
                    let meta = object.meta();
                    let mark = (meta.generation, meta.deletion_timestamp.is_some(), meta.uid.clone());
                    locked(&self.known).rollout(&key, true);
                    if object.finalizers().iter().any(|name| name == FINALIZER) {
                        self.context.slots.found(&key);
                        flying.insert(key.clone());
                    } else if flying.remove(&key) {
                        self.free(&key);
                    }
                    if marks.insert(key.clone(), mark.clone()) != Some(mark) {
                        self.wake(key);
                    }
                }
                Seen::Gone(object) => {
                    let key = key_of(&object);
                    marks.remove(&key);
                    self.context.slots.note(&key, Slot::None).into_iter().for_each(|next| self.wake(next));
                    flying.remove(&key);
                    self.free(&key);
                    // Woken first: an annotated Deployment gets a new Rollout, and what the old one left is put right.
                    self.wake(key.clone());
                    locked(&self.known).rollout(&key, false);
                }
                Seen::Listed => {
                    self.context.slots.counted().into_iter().for_each(|next| self.wake(next));
                    self.wake_all();
                }
            }
        }
    }

    async fn policies(self, client: Client) {
        let api = Api::<PartialObjectMeta<RolloutPolicy>>::all(client);
        let mut stream = std::pin::pin!(changes(api, "rolloutpolicies"));
        while let Some(seen) = stream.next().await {
            if let Seen::There(object) | Seen::Gone(object) = seen {
                let Key { namespace, name } = key_of(&object);
                self.wake_naming(Some(&namespace), &name);
            }
        }
    }

    async fn cluster_policies(self, client: Client) {
        let api = Api::<PartialObjectMeta<ClusterRolloutPolicy>>::all(client);
        let mut stream = std::pin::pin!(changes(api, "clusterrolloutpolicies"));
        while let Some(seen) = stream.next().await {
            if let Seen::There(object) | Seen::Gone(object) = seen {
                self.wake_naming(None, &object.name_any());
            }
        }
    }

    fn wake_naming(&self, namespace: Option<&str>, policy: &str) {
        let keys = locked(&self.known).naming(namespace, policy);
        for key in keys {
            self.wake(key);
        }
    }

    fn wake_all(&self) {
        let keys = locked(&self.known).all();
        for key in keys {
            self.wake(key);
        }
    }
}

/// Watches around rollouts in flight: one set per namespace, for as long as one of them is.
struct Flights {
    client: Client,
    wakes: UnboundedSender<Key>,
    namespaces: HashMap<String, Namespace>,
}

struct Namespace {
    names: Arc<Mutex<BTreeSet<String>>>,
    task: AbortHandle,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Flights {
    /// Wakes what is in flight or refused in a namespace: a claim may have come free.
    fn wake(&self, namespace: &str) {
        let Some(entry) = self.namespaces.get(namespace) else { return };
        for name in locked(&entry.names).iter() {
            let _ = self.wakes.send(Key { namespace: namespace.to_owned(), name: name.clone() });
        }
    }

    /// Whether a rollout is in flight; true if that is news.
    fn set(&mut self, key: &Key, in_flight: bool) -> bool {
        if in_flight {
            let entry = self.namespaces.entry(key.namespace.clone()).or_insert_with(|| {
                let names = Arc::new(Mutex::new(BTreeSet::new()));
                let around = around(
                    self.client.clone(),
                    key.namespace.clone(),
                    Arc::clone(&names),
                    self.wakes.clone(),
                );
                Namespace { names, task: tokio::spawn(around).abort_handle() }
            });
            return locked(&entry.names).insert(key.name.clone());
        }
        let empty = self.namespaces.get(&key.namespace).is_some_and(|entry| {
            let mut names = locked(&entry.names);
            names.remove(&key.name);
            names.is_empty()
        });
        if empty {
            self.namespaces.remove(&key.namespace);
        }
        false
    }
}

/// Wakes the rollouts in flight of one namespace when something changes around them.
async fn around(
    client: Client,
    namespace: String,
    names: Arc<Mutex<BTreeSet<String>>>,
    wakes: UnboundedSender<Key>,
) {
    fn of<K>(client: &Client, namespace: &str, what: &'static str) -> BoxStream<'static, Option<String>>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        wakeups(changes(Api::<PartialObjectMeta<K>>::namespaced(client.clone(), namespace), what)).boxed()
    }
    let routes =
        ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
    let routes =
        Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client.clone(), &namespace, &routes);
    // Pods and ReplicaSets bear the Deployment's name in theirs; anything else may concern any rollout.
    let mut all = futures::stream::select_all([
        of::<ReplicaSet>(&client, &namespace, "replicasets"),
        of::<Pod>(&client, &namespace, "pods"),
        of::<Service>(&client, &namespace, "services").map(|_| None).boxed(),
        of::<EndpointSlice>(&client, &namespace, "endpointslices").map(|_| None).boxed(),
        wakeups(changes(routes, "httproutes")).map(|_| None).boxed(),
    ]);
    while let Some(object) = all.next().await {
        for name in locked(&names).iter().filter(|name| object.as_deref().is_none_or(|o| concerns(o, name))) {
            let _ = wakes.send(Key { namespace: namespace.clone(), name: name.clone() });
        }
    }
}

/// Names of changed objects; nothing once a list is complete, for what vanished before it.
fn wakeups<K: Resource>(stream: impl Stream<Item = Seen<K>>) -> impl Stream<Item = Option<String>> {
    stream.map(|seen| match seen {
        Seen::There(object) | Seen::Gone(object) => Some(object.name_any()),
        Seen::Listed => None,
    })
}

/// Whether an object of this name may be a `ReplicaSet` or pod of the Deployment: generated names cut their base.
fn concerns(object: &str, deployment: &str) -> bool {
    object.starts_with(&deployment[..deployment.len().min(40)])
}

/// Looks at Deployments until `stop` is done, then lets the looks under way end.
pub async fn run(
    context: Arc<Context>,
    client: Client,
    wakes: (UnboundedSender<Key>, UnboundedReceiver<Key>),
    stop: impl Future<Output = ()>,
) {
    let (sender, mut receiver) = wakes;
    let known = Arc::new(Mutex::new(Relevance::default()));
    let (freed, mut ends) = unbounded_channel();
    let standing = || Standing {
        context: Arc::clone(&context),
        known: Arc::clone(&known),
        wakes: sender.clone(),
        freed: freed.clone(),
    };
    let mut watches = JoinSet::new();
    watches.spawn(standing().deployments(client.clone()));
    watches.spawn(standing().rollouts(client.clone()));
    watches.spawn(standing().policies(client.clone()));
    watches.spawn(standing().cluster_policies(client.clone()));

    let mut flights = Flights { client, wakes: sender, namespaces: HashMap::new() };
    let (mut queue, mut pace) = (Queue::default(), Pace::default());
    let mut failures: HashMap<Key, u32> = HashMap::new();
    let mut forced: HashSet<Key> = HashSet::new();
    let mut looks: JoinSet<(Key, Result<Rest, Trouble>)> = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        while queue.busy() < CONCURRENCY {
            let Some(key) = queue.next(Instant::now()) else { break };
            if !locked(&known).concerns(&key) && !forced.remove(&key) {
                queue.done(&key);
                failures.remove(&key);
                flights.set(&key, false);
                pace.forget(&key);
                continue;
            }
            forced.remove(&key);
            pace.looks(&key, Instant::now());
            looks.spawn(look(Arc::clone(&context), key));
        }
        let full = queue.busy() >= CONCURRENCY;
        let due = queue.earliest().filter(|_| !full);
        tokio::select! {
            () = &mut stop => break,
            Some(key) = receiver.recv() => {
                if !locked(&known).concerns(&key) {
                    forced.insert(key.clone());
                }
                let due = pace.due(&key, Instant::now() + DEBOUNCE);
                queue.wake(key, due);
            }
            Some(namespace) = ends.recv() => flights.wake(&namespace),
            Some(ended) = looks.join_next(), if !looks.is_empty() => {
                let Ok((key, result)) = ended else { continue };
                queue.done(&key);
                if let Ok(rest) = &result {
                    pace.looked(&key, rest.on_trial);
                }
                settle(&context, key, result, &mut queue, &mut failures, &mut flights);
            }
            () = until(due) => {}
        }
    }
    context.fence.close();
    drop(flights);
    while looks.join_next().await.is_some() {}
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

enum Trouble {
    Failed(PassError),
    Panicked,
}

/// One look, whose panic is its own.
async fn look(context: Arc<Context>, key: Key) -> (Key, Result<Rest, Trouble>) {
    let began = Instant::now();
    let result = AssertUnwindSafe(pass(&context, &key)).catch_unwind().await;
    context.metrics.passed(began.elapsed());
    let result = match result {
        Ok(result) => result.map_err(Trouble::Failed),
        Err(_) => Err(Trouble::Panicked),
    };
    match &result {
        Ok(_) => {}
        Err(Trouble::Failed(error)) => context.metrics.failed(error.cause()),
        Err(Trouble::Panicked) => context.metrics.failed("panic"),
    }
    (key, result)
}

/// Notes what a look left behind.
fn settle(
    context: &Context,
    key: Key,
    result: Result<Rest, Trouble>,
    queue: &mut Queue,
    failures: &mut HashMap<Key, u32>,
    flights: &mut Flights,
) {
    let now = Instant::now();
    match result {
        Ok(Rest { in_flight, on_trial: _, wake }) => {
            failures.remove(&key);
            if flights.set(&key, in_flight) {
                // What changed between the look and the start of the watches would wake nobody.
                queue.wake(key.clone(), now);
            }
            if let Some(wake) = wake {
                let wait = Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default();
                queue.wake(key, now + wait.max(DEBOUNCE));
            }
        }
        Err(trouble) => {
            let count = failures.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            let wait = backoff(*count);
            match trouble {
                Trouble::Failed(error) => {
                    // A leader that isn't one any more would have heard by now.
                    if *count == TELLING {
                        error.tell(context, &key);
                    }
                    tracing::warn!(deployment = %key, error = %chain(&error), ?wait, "the look failed, it is tried again");
                }
                Trouble::Panicked => {
                    tracing::error!(deployment = %key, ?wait, "the look panicked: please report this");
                }
            }
            queue.wake(key, now + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_wake_the_rollout_whose_name_they_bear_even_if_it_was_cut() {
        assert!(concerns("web-0abc-x1", "web"));
        assert!(!concerns("api-0abc-x1", "web"));
        let long = "w".repeat(63);
        assert!(concerns(&format!("{}x7k2p", &long[..58]), &long));
    }
}
