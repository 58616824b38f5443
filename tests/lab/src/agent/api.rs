//! Requests to the API server about pods.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodStatus, Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::host::{Host, pause};

/// The result of a write to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The write was accepted.
    Done,
    /// The pod is gone, or another pod has its name.
    Gone,
}

/// Returns the data of a `ConfigMap` by key, or `None` if the object does not exist.
pub(crate) async fn config_map(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, kube::Error> {
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await?;
    Ok(map.map(|map| {
        let text = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
        text.chain(binary).collect()
    }))
}

/// Returns the data of a Secret by key, or `None` if the object does not exist.
pub(crate) async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, kube::Error> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await?;
    Ok(secret.map(|secret| {
        secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect()
    }))
}

/// Requests a token for the pod's service account, bound to the pod. Returns the token and its
/// expiry.
pub(crate) async fn token(
    client: &Client,
    pod: &Pod,
    audience: Option<&str>,
    seconds: Option<i64>,
) -> Result<(String, Timestamp), kube::Error> {
    let account =
        pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audience.into_iter().map(str::to_owned).collect(),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            expiration_seconds: Some(seconds.unwrap_or(3600)),
        },
        ..TokenRequest::default()
    };
    let api = Api::<ServiceAccount>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let answer = api.create_token_request(account, &PostParams::default(), &request).await?;
    let missing = || serde::de::Error::custom("the response to the token request has no token");
    let status = answer.status.ok_or_else(|| kube::Error::SerdeError(missing()))?;
    Ok((status.token, status.expiration_timestamp.0))
}

/// Writes a pod's status. The uid is a precondition, so that a later pod of the same name is never
/// written to.
pub(crate) async fn write_status(
    client: &Client,
    pod: &Pod,
    status: &PodStatus,
) -> Result<Written, kube::Error> {
    let api = Api::<Pod>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let body = json!({"metadata": {"uid": pod.metadata.uid}, "status": merged(status)});
    done(api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(body)).await.map(drop))
}

/// Deletes the object of a pod whose processes have all ended. Retries until it succeeds.
pub(crate) async fn delete(host: &Host, pod: &Pod) {
    let api = Api::<Pod>::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let uid = pod.metadata.uid.clone();
    let how = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    };
    for n in 1.. {
        host.linked().await;
        match done(api.delete(&pod.name_any(), &how).await.map(drop)) {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(pod = pod.name_any(), %error, "could not delete the object of a pod that has ended");
            }
        }
        tokio::time::sleep(pause(n)).await;
    }
}

fn done(answer: Result<(), kube::Error>) -> Result<Written, kube::Error> {
    match answer {
        Ok(()) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(Written::Gone),
        Err(error) => Err(error),
    }
}

/// Returns the status as a strategic merge patch. Lists of conditions are merged entry by entry, so
/// a condition's field that is no longer set must be null to be removed.
fn merged(status: &PodStatus) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    for condition in value["conditions"].as_array_mut().into_iter().flatten() {
        for field in ["reason", "message"] {
            if condition.get(field).is_none() {
                condition[field] = Value::Null;
            }
        }
    }
    value
}

/// Returns how long after `now` a token that expires at `expiry` is renewed: after four fifths of
/// the remaining time, as in kubelet, and at least one second.
pub(crate) fn renew_after(now: Timestamp, expiry: Timestamp) -> Duration {
    let left = Duration::try_from(expiry.duration_since(now)).unwrap_or_default();
    (left * 4 / 5).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodCondition;

    #[test]
    fn unset_fields_of_a_condition_are_removed() {
        let condition =
            PodCondition { type_: "Ready".into(), status: "True".into(), ..PodCondition::default() };
        let status = PodStatus { conditions: Some(vec![condition]), ..PodStatus::default() };
        assert_eq!(
            merged(&status),
            json!({"conditions": [{"type": "Ready", "status": "True", "reason": null, "message": null}]})
        );
    }

    #[test]
    fn a_token_is_renewed_well_before_it_expires() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(renew_after(now, now + Duration::from_hours(1)), Duration::from_mins(48));
        assert_eq!(renew_after(now + Duration::from_secs(10), now), Duration::from_secs(1));
    }
}
