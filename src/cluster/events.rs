//! Events about a Rollout. They are told last and never fail a pass.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event as Told, EventType, Recorder, Reporter},
};

use super::{Key, chain};
use crate::engine::Event;

/// Tells Events.
#[derive(Clone)]
pub struct Teller(Recorder);

impl Teller {
    /// Tells Events in the name of this pod.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter =
            Reporter { controller: "steelyard.io/steelyard".into(), instance: Some(instance.to_owned()) };
        Self(Recorder::new(client, reporter))
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
        tokio::spawn(async move {
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
