//! The client of the API server.

use std::time::Duration;

use kube::{Client, Config, client::ClientBuilder};
use thiserror::Error;

/// The timeout of one call.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);
/// The field manager that the API server records: the part of the user agent before the `/`.
pub const MANAGER: &str = "steelyard";

/// Why no client can be built.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Neither a service account nor a kubeconfig can be read.
    #[error("cannot read the cluster's address and credentials from a service account or a kubeconfig")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    /// The credentials or certificates are not usable.
    #[error("cannot build a Kubernetes client")]
    Build(#[source] Box<kube::Error>),
}

/// Returns the cluster's address and credentials. The client does not retry: a retry could send a
/// write after the lease has expired.
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

/// Returns a client that shares no connections with others.
pub fn client(config: &Config) -> Result<Client, ClientError> {
    Ok(ClientBuilder::try_from(config.clone()).map_err(|e| ClientError::Build(Box::new(e)))?.build())
}
