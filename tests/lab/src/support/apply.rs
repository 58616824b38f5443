//! Applies manifests.

use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt, discovery};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Space, SupportError, tell};

/// The field manager of tests.
const MANAGER: &str = "lab-test";

impl Space {
    /// Applies every document of a YAML text in this namespace (cluster-scoped kinds without a
    /// namespace), server-side.
    pub async fn apply(&self, manifest: &str) -> Result<(), SupportError> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifest)
            .map_err(|error| SupportError::Manifest(error.to_string()))?;
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            self.apply_one(document).await?;
        }
        Ok(())
    }

    /// Applies a manifest at once and then repeatedly at this interval, as a reconciling tool does,
    /// until the task is aborted.
    pub fn apply_again(&self, manifest: String, pace: Duration) -> JoinHandle<()> {
        let space = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(pace);
            loop {
                tick.tick().await;
                if let Err(error) = space.apply(&manifest).await {
                    tell(format_args!("applying again: {error}"));
                }
            }
        })
    }

    async fn apply_one(&self, document: Value) -> Result<(), SupportError> {
        let object: DynamicObject =
            serde_json::from_value(document).map_err(|error| SupportError::Manifest(error.to_string()))?;
        let types = object.types.clone().unwrap_or_default();
        let kind =
            GroupVersionKind::try_from(&types).map_err(|error| SupportError::Manifest(error.to_string()))?;
        let what = format!("apply {} {}", kind.kind, object.name_any());
        let found = discovery::pinned_kind(&self.client(), &kind).await;
        let (resource, capabilities): (ApiResource, _) = found.map_err(SupportError::api(what.clone()))?;
        let api = Api::<DynamicObject>::dynamic(self.client(), &resource, &capabilities.scope)
            .constrain(self.name());
        let params = PatchParams::apply(MANAGER).force();
        api.patch(&object.name_any(), &params, &Patch::Apply(&object))
            .await
            .map_err(SupportError::api(what))?;
        Ok(())
    }
}
