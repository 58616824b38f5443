//! Events about a Rollout. They are told last and never fail a pass.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event as Told, EventType, Recorder, Reporter},
};

use tokio::sync::RwLock;

use super::{Key, chain};
use crate::engine::Event;

/// Tells Events. Every task that is at it reads the lock.
#[derive(Clone)]
pub struct Teller(Recorder, Arc<RwLock<()>>);

impl Teller {
    /// Tells Events in the name of this pod.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter =
            Reporter { controller: "steelyard.io/steelyard".into(), instance: Some(instance.to_owned()) };
        Self(Recorder::new(client, reporter), Arc::default())
    }

    /// Ends once all Events so far are told, or given up.
    pub async fn told(&self) {
        drop(self.1.write().await);
    }

    /// Tells these, in order, in a task of its own; each is about the Rollout and related to its Deployment.
    pub fn tell(&self, key: &Key, rollout: &str, deployment: Option<&str>, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let about = |version: &str, kind: &str, uid: &str| ObjectReference {
            api_version: Some(version.to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        let regarding = about("steelyard.io/v1alpha1", "Rollout", rollout);
        let related = deployment.map(|uid| about("apps/v1", "Deployment", uid));
        let (recorder, key) = (self.0.clone(), key.clone());
        let at_it = Arc::clone(&self.1).try_read_owned();
        tokio::spawn(async move {
            let _at_it = at_it;
            for event in events {
                let Event { warning, reason, action, note } = event;
                tracing::info!(deployment = %key, reason, %note, "event");
                let told = Told {
                    type_: if warning { EventType::Warning } else { EventType::Normal },
                    reason: reason.to_owned(),
                    note: Some(note.chars().take(1000).collect()),
                    action: action.chars().take(128).collect(),
                    secondary: related.clone(),
                };
                match tokio::time::timeout(Duration::from_secs(5), recorder.publish(&told, &regarding)).await
                {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(deployment = %key, error = %chain(&error), "an event wasn't told");
                    }
                    Err(_) => tracing::warn!(deployment = %key, "an event wasn't told in time"),
                }
            }
        });
    }
}
