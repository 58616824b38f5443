//! The history of objects, recorded by a watch: it includes states between two polls.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Space, SupportError};

/// Delay between attempts to watch.
const RETRY: Duration = Duration::from_millis(100);

/// One state of one object.
#[derive(Debug, Clone)]
pub struct Seen<K> {
    /// When the watch reported it.
    pub at: Timestamp,
    /// The object; its last state if it is deleted.
    pub object: K,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl<K: Resource> Seen<K> {
    /// The earliest time at which this state can have been written: the second of its newest
    /// `managedFields` entry. The watch reports a state later, on a busy machine by seconds.
    pub fn written(&self) -> Timestamp {
        let times =
            self.object.meta().managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
        times.map(|time| time.0).max().map_or(self.at, |time| time.min(self.at))
    }
}

/// The states of a namespace's objects of one kind, from the first listing until this is dropped.
#[derive(Debug)]
pub struct Trail<K> {
    seen: Arc<Mutex<Vec<Seen<K>>>>,
    news: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl<K> Trail<K>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    /// Follows the objects of `space` that `which` selects, including existing ones.
    pub fn follow(space: &Space, which: watcher::Config) -> Self {
        let api: Api<K> = space.api();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let (told, news) = watch::channel(());
        let task = tokio::spawn(async move {
            let mut events = watcher(api, which).boxed();
            while let Some(event) = events.next().await {
                let (object, deleted) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
                    Ok(Event::Delete(object)) => (object, true),
                    Ok(Event::Init | Event::InitDone) => continue,
                    Err(_) => {
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                };
                lock(&log).push(Seen { at: Timestamp::now(), object, deleted });
                told.send_replace(());
            }
        });
        Self { seen, news, task }
    }

    /// Returns all states, in the order in which they were seen.
    pub fn all(&self) -> Vec<Seen<K>> {
        lock(&self.seen).clone()
    }

    /// Returns what `found` finds in the earliest state since `since`, including past states; waits
    /// for it, at most for `limit`. `what` names the wait.
    pub async fn first<T>(
        &self,
        since: Timestamp,
        what: &str,
        limit: Duration,
        found: impl Fn(&Seen<K>) -> Option<T>,
    ) -> Result<T, SupportError> {
        let mut news = self.news.clone();
        let look = async {
            let mut read = 0;
            loop {
                // Copied, so that `found` can use the trail itself.
                let fresh = lock(&self.seen)[read..].to_vec();
                read += fresh.len();
                if let Some(found) = fresh.iter().filter(|seen| seen.at >= since).find_map(&found) {
                    return found;
                }
                if news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let seen = || lock(&self.seen).last().map_or_else(String::new, |seen| format!("{seen:?}"));
        tokio::time::timeout(limit, look).await.map_err(|_| SupportError::Deadline {
            what: what.to_owned(),
            limit,
            seen: seen(),
        })
    }

    /// Returns the last state of the object of this name, unless it is deleted.
    pub fn latest(&self, name: &str) -> Option<K> {
        let seen = lock(&self.seen);
        let last = seen.iter().rev().find(|seen| seen.object.name_any() == name)?;
        (!last.deleted).then(|| last.object.clone())
    }

    /// Returns the values of `read` in the order in which they were seen, each with its first time;
    /// a value that equals the previous one is omitted.
    pub fn changes<T: PartialEq>(&self, read: impl Fn(&K) -> T) -> Vec<(Timestamp, T)> {
        let mut changes: Vec<(Timestamp, T)> = Vec::new();
        for seen in lock(&self.seen).iter().filter(|seen| !seen.deleted) {
            let value = read(&seen.object);
            if changes.last().is_none_or(|(_, last)| *last != value) {
                changes.push((seen.at, value));
            }
        }
        changes
    }
}

impl<K> Drop for Trail<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(seen: &Mutex<T>) -> MutexGuard<'_, T> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
