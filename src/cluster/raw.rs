//! Calls with raw JSON: what typed structs don't know they would drop.

use std::{fmt, time::Duration};

use json_patch::PatchOperation;
use kube::{
    Client,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams},
    core::Request,
};
use serde_json::Value;
use thiserror::Error;

use crate::engine::{Kind, WriteVerb};

/// Why a call has no answer that could be used.
#[derive(Debug, Error)]
pub enum CallError {
    /// The API server said no, or the connection broke.
    #[error("{verb} {object}")]
    Failed {
        /// The verb.
        verb: Verb,
        /// Plural, namespace and name.
        object: String,
        /// What was wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{verb} {object}: no answer within {limit:?}")]
    Timeout {
        /// The verb.
        verb: Verb,
        /// Plural, namespace and name.
        object: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The request couldn't be put together.
    #[error("{verb} {object}: not a request")]
    Build {
        /// The verb.
        verb: Verb,
        /// Plural, namespace and name.
        object: String,
        /// What was wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CallError {
    /// The API server's own answer, if that is what it was.
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Failed { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } | Self::Build { .. } => None,
        }
    }

    fn code(&self) -> u16 {
        self.status().map_or(0, |s| s.code)
    }
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one.
    Get,
    /// Reads many.
    List,
    /// Writes one.
    Write(WriteVerb),
}

impl Verb {
    /// The verb as RBAC and metrics spell it.
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

/// A kind's plural, as in paths and metrics.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Deployment => "deployments",
        Kind::ReplicaSet => "replicasets",
        Kind::Service => "services",
        Kind::HttpRoute => "httproutes",
        Kind::Rollout => "rollouts",
    }
}

/// The path of a kind's objects in a namespace.
pub fn collection(kind: Kind, namespace: &str) -> String {
    let group = match kind {
        Kind::Deployment | Kind::ReplicaSet => "/apis/apps/v1",
        Kind::Service => "/api/v1",
        Kind::HttpRoute => "/apis/gateway.networking.k8s.io/v1",
        Kind::Rollout => "/apis/steelyard.io/v1alpha1",
    };
    format!("{group}/namespaces/{namespace}/{}", plural(kind))
}

/// Calls, each bounded in time.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    limit: Duration,
}

impl Caller {
    /// Calls by `client`, none longer than `limit`.
    pub fn new(client: Client, limit: Duration) -> Self {
        Self { client, limit }
    }

    /// One object, or nothing where there is none.
    pub async fn get(&self, collection: &str, name: &str) -> Result<Option<Value>, CallError> {
        let object = format!("{collection}/{name}");
        let request = Request::new(collection).get(name, &GetParams::default());
        absent(self.send(Verb::Get, object, request).await)
    }

    /// All objects that a label selector matches; none where the API isn't served.
    pub async fn list(&self, collection: &str, selector: Option<&str>) -> Result<Vec<Value>, CallError> {
        let mut params = ListParams::default();
        if let Some(selector) = selector {
            params = params.labels(selector);
        }
        let request = Request::new(collection).list(&params);
        let list = absent(self.send(Verb::List, collection.to_owned(), request).await)?;
        Ok(list.and_then(|mut l| l.get_mut("items").map(Value::take)).map_or_else(Vec::new, |items| {
            match items {
                Value::Array(items) => items,
                _ => Vec::new(),
            }
        }))
    }

    /// Makes an object and gives it back as stored.
    pub async fn create(&self, collection: &str, value: &Value) -> Result<Value, CallError> {
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let object = format!("{collection}/{name}");
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = Request::new(collection).create(&params, value.to_string().into_bytes());
        self.send(Verb::Write(WriteVerb::Create), object, request).await
    }

    /// Changes an object by a JSON patch and gives it back as stored.
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
        self.send(Verb::Write(WriteVerb::Patch), object, request).await
    }

    /// What a merge patch would make of an object; nothing is stored.
    pub async fn rehearse(
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

    /// Writes a status by server-side apply and gives the object back.
    pub async fn status(&self, collection: &str, name: &str, body: &Value) -> Result<Value, CallError> {
        let object = format!("{collection}/{name}/status");
        let params = PatchParams::apply(MANAGER).force();
        let request =
            Request::new(collection).patch_subresource("status", name, &params, &Patch::Apply(body));
        self.send(Verb::Write(WriteVerb::Patch), object, request).await
    }

    /// Deletes an object if it is still the one that was seen.
    pub async fn delete(
        &self,
        collection: &str,
        name: &str,
        uid: &str,
        version: &str,
    ) -> Result<(), CallError> {
        let object = format!("{collection}/{name}");
        let params = DeleteParams::background().preconditions(kube::api::Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
        });
        let request = Request::new(collection).delete(name, &params);
        self.send(Verb::Write(WriteVerb::Delete), object, request).await.map(drop)
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

/// The field manager of all writes.
pub const MANAGER: &str = "steelyard";

fn absent(answer: Result<Value, CallError>) -> Result<Option<Value>, CallError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
