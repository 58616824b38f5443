//! Looking again whenever something has changed.

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

/// How long changes are gathered before the next look.
pub(super) const GATHER: Duration = Duration::from_millis(100);

/// What is worth a look.
pub(super) enum Watched<'a> {
    /// The Deployment and its Rollout.
    Objects,
    /// These and the pods, by the Deployment's selector, raw.
    Pods(&'a serde_json::Value),
}

type News = Pin<Box<dyn Stream<Item = ()> + Send>>;

/// Changes around one Deployment, several at once counted as one. The first comes at once.
pub(super) fn follow(cluster: &Cluster, name: &str, watched: &Watched) -> News {
    let one = || Config::default().fields(&format!("metadata.name={name}"));
    let namespace = &cluster.namespace;
    let mut all: Vec<News> = vec![
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

/// Each change of some objects. A watch that breaks is made anew, ever more slowly; so a `()` may come without one.
fn changes<K>(api: Api<K>, which: Config) -> News
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, which).default_backoff().map(drop).boxed()
}
