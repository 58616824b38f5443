//! Connects to the cluster in the same way as kubectl.

use std::time::Duration;

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{PluginError, args::Connection};

/// The timeout of a connection attempt.
const CONNECT: Duration = Duration::from_secs(10);

/// A client for a cluster, and the selected namespace.
pub(super) struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace of the flag, or of the context.
    pub namespace: String,
}

/// Reads the kubeconfig that the flags or the environment name, and creates a client.
pub(super) async fn connect(flags: &Connection) -> Result<Cluster, PluginError> {
    let options = KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
    let bad = |error: kube::config::KubeconfigError| PluginError::Kubeconfig(Box::new(error));
    let mut config = match &flags.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(bad)?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(bad)?
        }
        None if flags.context.is_some() => Config::from_kubeconfig(&options).await.map_err(bad)?,
        None => Config::infer().await.map_err(|error| PluginError::NoCluster(Box::new(error)))?,
    };
    if let Some(user) = &flags.user {
        config.auth_info.impersonate = Some(user.clone());
    }
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.headers.push((
        http::header::USER_AGENT,
        http::HeaderValue::from_static(concat!("kubectl-steelyard/", env!("CARGO_PKG_VERSION"))),
    ));
    let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client =
        ClientBuilder::try_from(config).map_err(|error| PluginError::Client(Box::new(error)))?.build();
    Ok(Cluster { client, namespace })
}
