//! Events about pods. They never block the caller: an Event that does not fit in the queue is
//! dropped.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;

/// The number of Events that the queue holds.
const QUEUE: usize = 1000;

/// The type of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Expected.
    Normal,
    /// May need attention.
    Warning,
}

/// The queue of Events to send.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<Event>,
    node: String,
}

impl Events {
    /// Starts a background task on the current runtime that sends Events.
    pub(crate) fn start(client: Client, node: &str) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Event>(QUEUE);
        tokio::spawn(async move {
            while let Some(event) = waiting.recv().await {
                let namespace = event.metadata.namespace.clone().unwrap_or_default();
                let api = Api::<Event>::namespaced(client.clone(), &namespace);
                if let Err(error) = api.create(&PostParams::default(), &event).await {
                    tracing::debug!(%error, reason = event.reason, "could not send an Event");
                }
            }
        });
        Self { queue, node: node.to_owned() }
    }

    /// Queues an Event about `pod`.
    pub(crate) fn send(&self, pod: &Pod, level: Level, reason: &str, message: String) {
        let meta = &pod.metadata;
        let name = meta.name.clone().unwrap_or_default();
        let now = Timestamp::now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: meta.namespace.clone(),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(name),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                ..ObjectReference::default()
            },
            type_: Some(match level {
                Level::Normal => "Normal".into(),
                Level::Warning => "Warning".into(),
            }),
            reason: Some(reason.to_owned()),
            message: Some(message),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: Some("kubelet".into()), host: Some(self.node.clone()) }),
            ..Event::default()
        };
        // Dropped if the queue is full.
        let _ = self.queue.try_send(event);
    }
}
