//! Waits with a watch; each has a name and a deadline.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::{Failure, Space, SupportError};

/// Delay between attempts to watch.
const RETRY: Duration = Duration::from_millis(100);
/// Delay between requests.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How many characters of the last state an error shows.
const SHOWN: usize = 2000;

impl Space {
    /// Waits until `found` returns a value for the object of this name. Returns that value. `what`
    /// names the wait.
    pub async fn until<K, T>(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        found: impl Fn(&K) -> Option<T>,
    ) -> Result<T, SupportError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
        self.until_all(one, what, limit, |all: &BTreeMap<String, K>| all.values().find_map(&found)).await
    }

    /// Waits until `found` returns a value for the objects (by name) that `which` selects, none at
    /// first.
    pub async fn until_all<K, T>(
        &self,
        which: watcher::Config,
        what: &str,
        limit: Duration,
        found: impl Fn(&BTreeMap<String, K>) -> Option<T>,
    ) -> Result<T, SupportError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        let api: Api<K> = self.api();
        let mut seen = BTreeMap::new();
        let look = async {
            let mut events = watcher(api, which).boxed();
            let mut listed = BTreeMap::new();
            loop {
                match events.try_next().await {
                    Ok(Some(Event::Apply(object))) => drop(seen.insert(object.name_any(), object)),
                    Ok(Some(Event::Delete(object))) => drop(seen.remove(&object.name_any())),
                    // The list is not usable until it is complete.
                    Ok(Some(Event::Init)) => {
                        listed.clear();
                        continue;
                    }
                    Ok(Some(Event::InitApply(object))) => {
                        listed.insert(object.name_any(), object);
                        continue;
                    }
                    Ok(Some(Event::InitDone)) => seen = std::mem::take(&mut listed),
                    Ok(None) | Err(_) => {
                        // A broken watch is restarted; if that never helps, the deadline passes.
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                }
                if let Some(found) = found(&seen) {
                    return found;
                }
            }
        };
        if let Ok(found) = tokio::time::timeout(limit, look).await {
            return Ok(found);
        }
        let mut text = format!("{:?}", seen.values().collect::<Vec<_>>());
        if let Some((at, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(at);
        }
        Err(SupportError::Deadline { what: what.to_owned(), limit, seen: text })
    }

    /// Waits until a Deployment's last change is completely rolled out: every pod has the new
    /// template, all are available, no other is left.
    pub async fn rolled_out(&self, name: &str, limit: Duration) -> Result<(), SupportError> {
        let what = format!("Deployment {name} rolled out");
        self.until::<Deployment, ()>(name, &what, limit, |deployment| available(deployment).then_some(()))
            .await
    }
}

/// Calls until there is a value, at most for `limit`: for conditions without a watch, such as
/// whether an admission policy is in force. `what` names the wait.
pub async fn asked<T>(
    what: &str,
    limit: Duration,
    ask: impl AsyncFn() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let asking = async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let late = || SupportError::Deadline { what: what.to_owned(), limit, seen: "no answer".to_owned() };
    tokio::time::timeout(limit, asking).await.map_err(|_| late())?
}

/// Returns whether a Deployment's last change is completely rolled out.
pub fn available(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    let all = |count: Option<i32>| count.unwrap_or(0) == wanted;
    status.observed_generation >= deployment.metadata.generation
        && all(status.updated_replicas)
        && all(status.available_replicas)
        && all(status.replicas)
}

/// Returns the status and reason of one condition in an object's status.
pub fn condition(object: &serde_json::Value, kind: &str) -> Option<(String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}
