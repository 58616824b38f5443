//! Watches that reconnect when their connection ends.

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;

use super::chain;

/// A change of one object, or the end of a list.
pub(super) enum WatchEvent<K> {
    /// The object exists, as this.
    Applied(K),
    /// The object is deleted.
    Deleted(K),
    /// The list of all objects is complete.
    Synced,
}

/// Returns a watch that reconnects. `Deleted` is not reported for objects that are deleted while
/// there is no connection: after `Synced`, any known object may be gone.
pub(super) fn watch_events<K>(api: Api<K>, resource: &'static str) -> impl Stream<Item = WatchEvent<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, watcher::Config::default()).default_backoff().filter_map(move |event| async move {
        match received(event, resource)? {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                Some(WatchEvent::Applied(object))
            }
            watcher::Event::Delete(object) => Some(WatchEvent::Deleted(object)),
            watcher::Event::InitDone => Some(WatchEvent::Synced),
            watcher::Event::Init => None,
        }
    })
}

/// Returns the event of a watch. Logs an error; the watch restarts.
pub(super) fn received<K>(
    event: Result<watcher::Event<K>, watcher::Error>,
    resource: &'static str,
) -> Option<watcher::Event<K>> {
    event.map_err(|error| log(&error, resource)).ok()
}

/// Logs why a watch failed. It restarts.
pub(super) fn log(error: &watcher::Error, resource: &'static str) {
    if is_not_served(error) {
        // The kinds of a router may be installed later; the watch starts then.
        tracing::debug!(resource, "the API server does not serve this kind");
    } else {
        tracing::warn!(resource, error = %chain(error), "watch failed, restarting it");
    }
}

/// Returns whether the API server does not serve the kind.
pub(super) fn is_not_served(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}
