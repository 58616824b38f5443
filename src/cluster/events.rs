//! Events about a Rollout. They are published after the writes and never fail a reconcile.
//!
//! Each message is shown: only an Event with the same reason and the same message counts as a
//! repetition. The recorder of the client library merges Events by reason and action and keeps the
//! first message.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as KubeEvent},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::RwLock;

use super::{ObjectKey, chain, locked};
use crate::engine::Event;

/// The reporting controller of all Events.
const CONTROLLER: &str = "steelyard.io/steelyard";
/// How long after an Event the same one again is a repetition of it.
const SERIES: SignedDuration = SignedDuration::from_mins(6);
/// The longest message that the API server accepts, in bytes.
const NOTE: usize = 1024;

/// The uids of a Rollout and of its Deployment, if they exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uids {
    /// Of the Rollout.
    pub rollout: Option<String>,
    /// Of the Deployment.
    pub deployment: Option<String>,
}

/// What distinguishes two Events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    regarding: String,
    reason: &'static str,
    note: String,
}

/// An Event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Published {
    name: String,
    count: i32,
    at: Timestamp,
}

/// The Events of the last minutes.
#[derive(Debug, Default)]
struct Recent(HashMap<Identity, Published>);

impl Recent {
    /// Counts an Event at `now`. Returns it as published, with the number of its occurrences.
    fn count(&mut self, identity: Identity, object: &str, now: Timestamp) -> Published {
        self.0.retain(|_, published| now.duration_since(published.at) < SERIES);
        let new = || Published { name: format!("{object}.{:x}", now.as_nanosecond()), count: 0, at: now };
        let published = self.0.entry(identity).or_insert_with(new);
        published.count = published.count.saturating_add(1);
        published.at = now;
        published.clone()
    }
}

/// Publishes Events.
#[derive(Clone)]
pub struct EventRecorder {
    client: Client,
    instance: String,
    recent: Arc<Mutex<Recent>>,
    /// Each task that publishes Events has a read lock.
    publishing: Arc<RwLock<()>>,
}

impl EventRecorder {
    /// Returns a recorder that publishes Events with the name of this pod as the reporting
    /// instance.
    pub fn new(client: Client, instance: &str) -> Self {
        Self { client, instance: instance.to_owned(), recent: Arc::default(), publishing: Arc::default() }
    }

    /// Waits until each Event so far is published or has failed.
    pub async fn flush(&self) {
        drop(self.publishing.write().await);
    }

    /// Publishes the Events in order, in a separate task. Each regards the Rollout, with its
    /// Deployment as the related object; without a Rollout, it regards the Deployment.
    pub fn publish(&self, key: &ObjectKey, uids: &Uids, events: Vec<Event>) {
        let of = |version: &str, kind: &str, uid: &String| ObjectReference {
            api_version: Some(version.to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        };
        let rollout = uids.rollout.as_ref().map(|uid| of("steelyard.io/v1alpha1", "Rollout", uid));
        let deployment = uids.deployment.as_ref().map(|uid| of("apps/v1", "Deployment", uid));
        let (regarding, related) = match (rollout, deployment) {
            (Some(rollout), deployment) => (rollout, deployment),
            (None, Some(deployment)) => (deployment, None),
            (None, None) => return,
        };
        if events.is_empty() {
            return;
        }
        let (recorder, key) = (self.clone(), key.clone());
        let publishing = Arc::clone(&self.publishing).try_read_owned();
        tokio::spawn(async move {
            let _publishing = publishing;
            for event in events {
                let reason = event.reason;
                tracing::info!(deployment = %key, reason, note = %event.note, "event");
                let sent = recorder.send(&key, &regarding, related.as_ref(), event);
                match tokio::time::timeout(Duration::from_secs(5), sent).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(deployment = %key, reason, error = %chain(&error), "the Event could not be published");
                    }
                    Err(_) => tracing::warn!(deployment = %key, reason, "publishing the Event timed out"),
                }
            }
        });
    }

    async fn send(
        &self,
        key: &ObjectKey,
        regarding: &ObjectReference,
        related: Option<&ObjectReference>,
        event: Event,
    ) -> Result<(), kube::Error> {
        let now = Timestamp::now();
        let Event { warning, reason, action, note } = event;
        let identity =
            Identity { regarding: regarding.uid.clone().unwrap_or_default(), reason, note: note.clone() };
        let Published { name, count, at: _ } = locked(&self.recent).count(identity, &key.name, now);
        let events = Api::<KubeEvent>::namespaced(self.client.clone(), &key.namespace);
        if count > 1 {
            let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}});
            return events.patch(&name, &PatchParams::default(), &Patch::Merge(series)).await.map(drop);
        }
        let event = KubeEvent {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(key.namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(action.to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(shortened(&note).to_owned()),
            reason: Some(reason.to_owned()),
            regarding: Some(regarding.clone()),
            related: related.cloned(),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            ..KubeEvent::default()
        };
        events.create(&PostParams::default(), &event).await.map(drop)
    }
}

/// Returns the part of a message that the API server accepts.
fn shortened(note: &str) -> &str {
    let end = (0..=note.len().min(NOTE)).rev().find(|end| note.is_char_boundary(*end));
    &note[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(note: &str) -> Identity {
        Identity { regarding: "uid".into(), reason: "NotAccepted", note: note.into() }
    }

    #[test]
    fn only_the_same_message_again_is_a_repetition() {
        let (mut recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH);
        let first = recent.count(identity("policy web: not found"), "web", now);
        let later = now + SignedDuration::from_secs(1);
        let other = recent.count(identity("Service web: not found"), "web", later);
        assert_eq!((first.count, other.count), (1, 1));
        assert_ne!(first.name, other.name);
        let again = recent.count(identity("policy web: not found"), "web", later);
        assert_eq!((again.name, again.count), (first.name, 2));
    }

    #[test]
    fn a_message_that_was_last_published_long_ago_is_a_new_event() {
        let (mut recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH);
        let first = recent.count(identity("a"), "web", now);
        let again = recent.count(identity("a"), "web", now + SERIES);
        assert_eq!(again.count, 1);
        assert_ne!(again.name, first.name);
        assert_eq!(recent.0.len(), 1, "old Events are dropped");
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        assert_eq!(shortened("short"), "short");
        let long = "é".repeat(600);
        assert_eq!(shortened(&long).len(), NOTE);
        assert_eq!(shortened(&format!("a{long}")).len(), NOTE - 1);
    }
}
