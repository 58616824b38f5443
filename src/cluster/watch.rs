//! Runs the reconciles. Watches, timers and answers of metric sources and webhooks wake a
//! Deployment.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::pending,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::Instant,
};

use super::{
    ObjectKey, chain,
    context::Context,
    hold_watch::hold_changes,
    locked, policy_status,
    queue::Queue,
    rate_limit::RateLimit,
    reconcile::{ReconcileError, ReconcileResult, backoff, reconcile},
    relevance::Relevance,
    watch_events::{WatchEvent, watch_events},
};
use crate::{
    api::{ClusterRolloutPolicy, FINALIZER, HELD, Rollout, RolloutPolicy, policy_name},
    engine::Occupancy,
};

/// How many Deployments are reconciled at the same time.
const MAX_CONCURRENT_RECONCILES: usize = 16;
/// After how many consecutive failures an Event is published, if the failure has one.
const FAILURES_BEFORE_EVENT: u32 = 4;
/// How often unused caches are closed.
const SWEEP: Duration = Duration::from_mins(1);
/// How long a wake waits for others of the same Deployment.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// When to ask again after the admission policy has changed: the API server applies the old one for
/// a little longer.
const AGAIN: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

fn key_of<K: Resource>(object: &K) -> ObjectKey {
    ObjectKey {
        namespace: object.meta().namespace.clone().unwrap_or_default(),
        name: object.meta().name.clone().unwrap_or_default(),
    }
}

/// The cluster-wide watches. They run for as long as this process is the leader.
struct ClusterWatches {
    context: Arc<Context>,
    relevance: Arc<Mutex<Relevance>>,
    wakes: UnboundedSender<ObjectKey>,
    /// Reports the namespaces in which a rollout has ended or a Rollout is deleted, because others
    /// may wait for its objects.
    freed: UnboundedSender<String>,
}

impl ClusterWatches {
    fn wake(&self, key: ObjectKey) {
        let _ = self.wakes.send(key);
    }

    fn free(&self, key: &ObjectKey) {
        let _ = self.freed.send(key.namespace.clone());
    }

    async fn deployments(self, client: Client) {
        let api = Api::<PartialObjectMeta<Deployment>>::all(client);
        let mut stream = std::pin::pin!(watch_events(api, "deployments"));
        while let Some(event) = stream.next().await {
            match event {
                WatchEvent::Applied(object) => {
                    let key = key_of(&object);
                    let policy = policy_name(object.annotations()).map(str::to_owned);
                    let labeled = object.labels().contains_key(HELD);
                    if locked(&self.relevance).deployment(&key, policy) || labeled {
                        self.wake(key);
                    }
                }
                WatchEvent::Deleted(object) => {
                    let key = key_of(&object);
                    if locked(&self.relevance).deployment(&key, None) {
                        self.wake(key);
                    }
                }
                WatchEvent::Synced => self.wake_all(),
            }
        }
    }

    async fn rollouts(self, client: Client) {
        let api = Api::<PartialObjectMeta<Rollout>>::all(client);
        let mut stream = std::pin::pin!(watch_events(api, "rollouts"));
        // Steelyard's own status writes wake no Deployment: only a change of the spec changes the
        // generation.
        let mut versions: HashMap<ObjectKey, (Option<i64>, bool, Option<String>)> = HashMap::new();
        let mut in_progress: HashSet<ObjectKey> = HashSet::new();
        while let Some(event) = stream.next().await {
            match event {
                WatchEvent::Applied(object) => {
                    let key = key_of(&object);
                    let meta = object.meta();
                    let version = (meta.generation, meta.deletion_timestamp.is_some(), meta.uid.clone());
                    locked(&self.relevance).rollout(&key, true);
                    if object.finalizers().iter().any(|name| name == FINALIZER) {
                        self.context.concurrency.count_existing(&key);
                        in_progress.insert(key.clone());
                    } else if in_progress.remove(&key) {
                        self.free(&key);
                    }
                    if versions.insert(key.clone(), version.clone()) != Some(version) {
                        self.wake(key);
                    }
                }
                WatchEvent::Deleted(object) => {
                    let key = key_of(&object);
                    versions.remove(&key);
                    self.context
                        .concurrency
                        .update(&key, Occupancy::None)
                        .into_iter()
                        .for_each(|next| self.wake(next));
                    in_progress.remove(&key);
                    self.free(&key);
                    // Wakes before it drops the Rollout: an annotated Deployment gets a new one,
                    // which cleans up after the deleted one.
                    self.wake(key.clone());
                    locked(&self.relevance).rollout(&key, false);
                }
                WatchEvent::Synced => {
                    self.context.concurrency.all_counted().into_iter().for_each(|next| self.wake(next));
                    self.wake_all();
                }
            }
        }
    }

    /// Watches one kind of policy. Decodes no `spec`: one that can't be decoded must not stop the
    /// watch.
    async fn policies<K: Resource<DynamicType = ()>>(self, client: Client, plural: &'static str) {
        let resource = ApiResource::erase::<K>(&());
        let mut stream =
            std::pin::pin!(watch_events(Api::<DynamicObject>::all_with(client, &resource), plural));
        // The status that Steelyard writes itself wakes no Deployment.
        let mut generations: HashMap<Option<String>, Option<i64>> = HashMap::new();
        while let Some(event) = stream.next().await {
            match event {
                WatchEvent::Applied(object) => {
                    let generation = object.metadata.generation;
                    if generations.insert(object.uid(), generation) != Some(generation) {
                        self.wake_with_policy(object.namespace().as_deref(), &object.name_any());
                        tokio::spawn(policy_status::report(Arc::clone(&self.context), object));
                    }
                }
                WatchEvent::Deleted(object) => {
                    self.wake_with_policy(object.namespace().as_deref(), &object.name_any());
                    generations.remove(&object.uid());
                }
                WatchEvent::Synced => {}
            }
        }
    }

    /// Asks again whether admission holds template changes when its policy changes.
    async fn hold(self, client: Client) {
        let mut changes = std::pin::pin!(hold_changes(&client));
        let mut again = VecDeque::new();
        loop {
            tokio::select! {
                change = changes.next() => {
                    let Some(()) = change else { return };
                    let now = Instant::now();
                    again = AGAIN.map(|later| now + later).into();
                }
                () = until(again.front().copied()) => drop(again.pop_front()),
            }
            self.context.hold_probe.forget();
            self.wake_all();
        }
    }

    fn wake_with_policy(&self, namespace: Option<&str>, policy: &str) {
        let keys = locked(&self.relevance).with_policy(namespace, policy);
        for key in keys {
            self.wake(key);
        }
    }

    fn wake_all(&self) {
        let keys = locked(&self.relevance).all();
        for key in keys {
            self.wake(key);
        }
    }
}

/// Reconciles Deployments until `stop` completes, then waits for the running reconciles.
pub async fn run(
    context: Arc<Context>,
    client: Client,
    wakes: (UnboundedSender<ObjectKey>, UnboundedReceiver<ObjectKey>),
    stop: impl Future<Output = ()>,
) {
    let (sender, mut receiver) = wakes;
    let relevance = Arc::new(Mutex::new(Relevance::default()));
    let (freed, mut freed_namespaces) = unbounded_channel();
    let cluster = || ClusterWatches {
        context: Arc::clone(&context),
        relevance: Arc::clone(&relevance),
        wakes: sender.clone(),
        freed: freed.clone(),
    };
    let mut watches = JoinSet::new();
    watches.spawn(cluster().deployments(client.clone()));
    watches.spawn(cluster().rollouts(client.clone()));
    watches.spawn(cluster().hold(client.clone()));
    watches.spawn(cluster().policies::<RolloutPolicy>(client.clone(), "rolloutpolicies"));
    watches.spawn(cluster().policies::<ClusterRolloutPolicy>(client.clone(), "clusterrolloutpolicies"));

    let mut sweep = tokio::time::interval(SWEEP);
    let (mut queue, mut rate_limit) = (Queue::default(), RateLimit::default());
    let mut failures: HashMap<ObjectKey, u32> = HashMap::new();
    let mut forced: HashSet<ObjectKey> = HashSet::new();
    let mut reconciles: JoinSet<(ObjectKey, Result<ReconcileResult, ReconcileFailure>)> = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        while queue.busy() < MAX_CONCURRENT_RECONCILES {
            let Some(key) = queue.next(Instant::now()) else { break };
            if !locked(&relevance).is_relevant(&key) && !forced.remove(&key) {
                queue.done(&key);
                failures.remove(&key);
                context.caches.forget(&key);
                rate_limit.forget(&key);
                continue;
            }
            forced.remove(&key);
            rate_limit.started(&key, Instant::now());
            reconciles.spawn(reconcile_one(Arc::clone(&context), key));
        }
        let full = queue.busy() >= MAX_CONCURRENT_RECONCILES;
        let due = queue.earliest().filter(|_| !full);
        tokio::select! {
            () = &mut stop => break,
            Some(key) = receiver.recv() => {
                if !locked(&relevance).is_relevant(&key) {
                    forced.insert(key.clone());
                }
                let due = rate_limit.due(&key, Instant::now() + DEBOUNCE);
                queue.wake(key, due);
            }
            Some(namespace) = freed_namespaces.recv() => context.caches.wake_namespace(&namespace),
            now = sweep.tick() => context.caches.close_unused(now),
            Some(ended) = reconciles.join_next(), if !reconciles.is_empty() => {
                let Ok((key, result)) = ended else { continue };
                queue.done(&key);
                if let Ok(result) = &result {
                    rate_limit.finished(&key, result.in_progress);
                }
                finish(&context, key, result, &mut queue, &mut failures);
            }
            () = until(due) => {}
        }
    }
    context.fence.close();
    while reconciles.join_next().await.is_some() {}
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

enum ReconcileFailure {
    Error(ReconcileError),
    Panicked,
}

/// Reconciles one Deployment; a panic ends only this reconcile.
async fn reconcile_one(
    context: Arc<Context>,
    key: ObjectKey,
) -> (ObjectKey, Result<ReconcileResult, ReconcileFailure>) {
    let began = Instant::now();
    let result = AssertUnwindSafe(reconcile(&context, &key)).catch_unwind().await;
    context.metrics.reconcile_finished(began.elapsed());
    let result = match result {
        Ok(result) => result.map_err(ReconcileFailure::Error),
        Err(_) => Err(ReconcileFailure::Panicked),
    };
    match &result {
        Ok(_) => {}
        Err(ReconcileFailure::Error(error)) => context.metrics.reconcile_failed(error.cause()),
        Err(ReconcileFailure::Panicked) => context.metrics.reconcile_failed("panic"),
    }
    (key, result)
}

/// Handles the result of a reconcile: records what the Deployment depends on, and queues the next
/// reconcile.
fn finish(
    context: &Context,
    key: ObjectKey,
    result: Result<ReconcileResult, ReconcileFailure>,
    queue: &mut Queue,
    failures: &mut HashMap<ObjectKey, u32>,
) {
    let now = Instant::now();
    match result {
        Ok(ReconcileResult { scopes, in_progress: _, requeue_at }) => {
            failures.remove(&key);
            if context.caches.set_dependent(&key, &scopes) {
                // A change since the reconcile has read the caches has not woken it.
                queue.wake(key.clone(), now);
            }
            if let Some(requeue_at) = requeue_at {
                let wait =
                    Duration::try_from(requeue_at.duration_since(Timestamp::now())).unwrap_or_default();
                queue.wake(key, now + wait.max(DEBOUNCE));
            }
        }
        Err(failure) => {
            let count = failures.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            let wait = backoff(*count);
            match failure {
                ReconcileFailure::Error(error) => {
                    // By now, a former leader would know that it has lost the lease.
                    if *count == FAILURES_BEFORE_EVENT {
                        error.publish(context, &key);
                    }
                    tracing::warn!(deployment = %key, error = %chain(&error), ?wait, "reconcile failed, trying again");
                }
                ReconcileFailure::Panicked => {
                    tracing::error!(deployment = %key, ?wait, "reconcile panicked, trying again: please report this bug");
                }
            }
            queue.wake(key, now + wait);
        }
    }
}
