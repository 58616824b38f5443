//! Calls with raw JSON: typed structs would drop the fields that they don't know.

use std::{fmt, time::Duration};

use json_patch::PatchOperation;
use kube::{
    Client,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams},
    core::Request,
};
use serde_json::Value;
use thiserror::Error;

use super::{client::MANAGER, escaped};
use crate::{
    engine::{Kind, WriteVerb},
    traffic::Resource,
};

/// Why a call failed.
#[derive(Debug, Error)]
pub enum CallError {
    /// The API server returned an error, or the connection failed.
    #[error("{verb} {object}")]
    Failed {
        /// The verb.
        verb: Verb,
        /// Plural, namespace and name.
        object: String,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// The call timed out.
    #[error("{verb} {object}: no answer within {limit:?}")]
    Timeout {
        /// The verb.
        verb: Verb,
        /// Plural, namespace and name.
        object: String,
        /// The timeout.
        limit: Duration,
    },
    /// The request can't be built.
    #[error("{verb} {object}: cannot build the request")]
    Build {
        /// The verb.
        verb: Verb,
        /// Plural, namespace and name.
        object: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CallError {
    /// Returns the status with which the API server answered; `None` if it did not answer.
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Failed { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } | Self::Build { .. } => None,
        }
    }

    pub(super) fn code(&self) -> u16 {
        self.status().map_or(0, |s| s.code)
    }
}

/// The verb of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads a list of objects.
    List,
    /// Writes one object.
    Write(WriteVerb),
}

impl Verb {
    /// Returns the verb as RBAC and metrics spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Write(verb) => verb.word(),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The path of the API group of Rollouts and policies.
const OWN_API: &str = "/apis/steelyard.io/v1alpha1";

/// Returns the plural name of a kind, as in paths and metrics.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Deployment => "deployments",
        Kind::ReplicaSet => "replicasets",
        Kind::Service => "services",
        Kind::Route(resource) => resource.plural,
        Kind::Rollout => "rollouts",
    }
}

/// Returns the path of a kind's objects in a namespace.
pub fn collection(kind: Kind, namespace: &str) -> String {
    let group = match kind {
        Kind::Deployment | Kind::ReplicaSet => "/apis/apps/v1",
        Kind::Service => "/api/v1",
        Kind::Route(resource) => return routes(resource, namespace),
        Kind::Rollout => OWN_API,
    };
    format!("{group}/namespaces/{namespace}/{}", plural(kind))
}

/// Returns the path of the policies of a namespace, or of the cluster.
pub fn policies(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("{OWN_API}/namespaces/{namespace}/rolloutpolicies"),
        None => format!("{OWN_API}/clusterrolloutpolicies"),
    }
}

/// Returns the path of a router's resource in a namespace.
pub fn routes(resource: &Resource, namespace: &str) -> String {
    let Resource { group, version, plural, .. } = resource;
    format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}")
}

/// Sends calls to the API server, each with a timeout.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    limit: Duration,
}

impl Caller {
    /// Returns a caller that uses `client`, with the timeout `limit`.
    pub fn new(client: Client, limit: Duration) -> Self {
        Self { client, limit }
    }

    /// Reads one object; `None` if it does not exist.
    pub async fn get(&self, collection: &str, name: &str) -> Result<Option<Value>, CallError> {
        let object = format!("{collection}/{name}");
        let request = Request::new(collection).get(name, &GetParams::default());
        absent(self.send(Verb::Get, object, request).await)
    }

    /// Lists the objects that a label selector matches. Returns the resource version of the list
    /// too.
    pub async fn list_at(&self, collection: &str, selector: &str) -> Result<(Vec<Value>, u64), CallError> {
        let request = Request::new(collection).list(&ListParams::default().labels(selector));
        let list = self.send(Verb::List, collection.to_owned(), request).await?;
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let version = version.and_then(|version| version.parse().ok()).unwrap_or(0);
        Ok((items(list), version))
    }

    /// Creates an object and returns it as stored.
    pub async fn create(&self, collection: &str, value: &Value) -> Result<Value, CallError> {
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let object = format!("{collection}/{name}");
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = Request::new(collection).create(&params, value.to_string().into_bytes());
        self.send(Verb::Write(WriteVerb::Create), object, request).await
    }

    /// Changes an object with a JSON patch and returns it as stored.
    pub async fn patch(
        &self,
        collection: &str,
        name: &str,
        ops: Vec<PatchOperation>,
    ) -> Result<Value, CallError> {
        let object = format!("{collection}/{name}");
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request =
            Request::new(collection).patch(name, &params, &Patch::<()>::Json(json_patch::Patch(ops)));
        let request = request.map(|request| request.map(|body| escaped::as_in_go(&body)));
        self.send(Verb::Write(WriteVerb::Patch), object, request).await
    }

    /// Sends a merge patch as a dry run and returns the result; `None` if the object does not
    /// exist.
    pub async fn dry_run(
        &self,
        collection: &str,
        name: &str,
        change: &Value,
    ) -> Result<Option<Value>, CallError> {
        let object = format!("{collection}/{name}");
        let params =
            PatchParams { dry_run: true, field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(collection).patch(name, &params, &Patch::Merge(change));
        absent(self.send(Verb::Write(WriteVerb::Patch), object, request).await)
    }

    /// Writes a status with server-side apply and returns the object as stored.
    pub async fn status(&self, collection: &str, name: &str, body: &Value) -> Result<Value, CallError> {
        let object = format!("{collection}/{name}/status");
        let params = PatchParams::apply(MANAGER).force();
        let request =
            Request::new(collection).patch_subresource("status", name, &params, &Patch::Apply(body));
        self.send(Verb::Write(WriteVerb::Patch), object, request).await
    }

    /// Deletes an object if its uid and resource version are still these. Returns the object if
    /// finalizers keep it, else a `Status`.
    pub async fn delete(
        &self,
        collection: &str,
        name: &str,
        uid: &str,
        version: &str,
    ) -> Result<Value, CallError> {
        let object = format!("{collection}/{name}");
        let params = DeleteParams::background().preconditions(kube::api::Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
        });
        let request = Request::new(collection).delete(name, &params);
        self.send(Verb::Write(WriteVerb::Delete), object, request).await
    }

    async fn send<E>(
        &self,
        verb: Verb,
        object: String,
        request: Result<http::Request<Vec<u8>>, E>,
    ) -> Result<Value, CallError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let request = match request {
            Ok(request) => request,
            Err(source) => return Err(CallError::Build { verb, object, source: Box::new(source) }),
        };
        match tokio::time::timeout(self.limit, self.client.request(request)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(CallError::Failed { verb, object, source: Box::new(source) }),
            Err(_) => Err(CallError::Timeout { verb, object, limit: self.limit }),
        }
    }
}

/// Returns the items of a list.
fn items(mut list: Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Turns a 404 into `None`.
fn absent(answer: Result<Value, CallError>) -> Result<Option<Value>, CallError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
