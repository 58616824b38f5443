//! Watches the objects of one Deployment for changes.

use std::{fmt::Debug, pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _, future::ready, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Resource,
    api::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, watcher},
    },
};
use serde::de::DeserializeOwned;

use super::connect::Cluster;
use crate::{api::Rollout, cluster::read};

/// How long changes are collected before the objects are read again.
pub(super) const GATHER: Duration = Duration::from_millis(100);

/// The objects to watch.
pub(super) enum Watched<'a> {
    /// The Deployment and its Rollout.
    Objects,
    /// Also the pods that match the selector of this Deployment (raw JSON).
    Pods(&'a serde_json::Value),
}

type Changes = Pin<Box<dyn Stream<Item = ()> + Send>>;

/// Returns a stream of changes around one Deployment. Changes that occur together are one item. The
/// first item comes at once.
pub(super) fn follow(cluster: &Cluster, name: &str, watched: &Watched) -> Changes {
    let one = || Config::default().fields(&format!("metadata.name={name}"));
    let namespace = &cluster.namespace;
    let mut all: Vec<Changes> = vec![
        changes(Api::<PartialObjectMeta<Deployment>>::namespaced(cluster.client.clone(), namespace), one()),
        changes(Api::<PartialObjectMeta<Rollout>>::namespaced(cluster.client.clone(), namespace), one()),
    ];
    if let Watched::Pods(deployment) = watched
        && let Some(selector) = read::selector(&deployment["spec"]["selector"])
    {
        let pods = Api::<PartialObjectMeta<Pod>>::namespaced(cluster.client.clone(), namespace);
        all.push(changes(pods, Config::default().labels(&selector)));
    }
    let changes = stream::select_all(all).ready_chunks(1000).then(|_| tokio::time::sleep(GATHER));
    Box::pin(stream::once(ready(())).chain(changes))
}

/// Returns an item for each change of the objects. A broken watch restarts with backoff, so an item
/// may come without a change.
fn changes<K>(api: Api<K>, config: Config) -> Changes
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, config).default_backoff().map(drop).boxed()
}
