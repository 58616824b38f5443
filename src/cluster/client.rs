//! How the API server is reached.

use std::time::Duration;

use kube::{Client, Config, client::ClientBuilder};
use thiserror::Error;

/// How long one call may take, in all.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Under this name the API server records who set an object's fields: what stands before the `/` of the user agent.
pub const MANAGER: &str = "steelyard";

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Neither a service account nor a kubeconfig could be read.
    #[error("find the cluster's address and credentials")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    /// The credentials or certificates can't be used.
    #[error("build a client")]
    Build(#[source] Box<kube::Error>),
}

/// Where the cluster is, with no retries behind the caller's back: a hidden retry would carry a decision past its time.
pub async fn config() -> Result<Config, ClientError> {
    let mut config = Config::infer().await.map_err(|e| ClientError::Infer(Box::new(e)))?;
    config.default_retry = false;
    config.connect_timeout = Some(CALL_LIMIT);
    config.headers.push((
        http::header::USER_AGENT,
        http::HeaderValue::from_static(concat!("steelyard/", env!("CARGO_PKG_VERSION"))),
    ));
    Ok(config)
}

/// A client with connections of its own.
pub fn client(config: &Config) -> Result<Client, ClientError> {
    Ok(ClientBuilder::try_from(config.clone()).map_err(|e| ClientError::Build(Box::new(e)))?.build())
}
