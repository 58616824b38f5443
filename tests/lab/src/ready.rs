//! Checks whether a part works, and waits until it does.

use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::net::UnixStream;

use crate::{
    components::{NODE_NAME, Part, Probe, traefik_ping},
    paths::Layout,
    process::{Identity, State},
};

/// Delay between checks of a part that is not ready.
const PAUSE: Duration = Duration::from_millis(50);
/// Timeout of one check.
const ANSWER: Duration = Duration::from_secs(2);

/// The reason why a part is not ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab's certificates or kubeconfig files can't be used.
    #[error("cannot read the lab's certificates")]
    Certificates(#[source] io::Error),
    /// The HTTP client can't be created.
    #[error("cannot create an HTTP client")]
    Http(#[from] reqwest::Error),
    /// The client of the API server can't be created.
    #[error("cannot create a client of the API server: {0}")]
    Kubeconfig(String),
    /// The process ended.
    #[error("{part} ended while starting; log: {}\n{}", log.display(), crate::tail(log, 15))]
    Ended {
        /// The part.
        part: Part,
        /// Its log.
        log: PathBuf,
    },
    /// The deadline passed.
    #[error("{part} is not ready after {} s: {why}; log: {}\n{}", limit.as_secs(), log.display(), crate::tail(log, 15))]
    Late {
        /// The part.
        part: Part,
        /// The result of the last check.
        why: String,
        /// The deadline.
        limit: Duration,
        /// Its log.
        log: PathBuf,
    },
}

/// Checks whether parts work. Must be created inside the lab's network namespace.
pub struct Prober {
    layout: Layout,
    http: reqwest::Client,
    kube: Client,
}

impl Prober {
    /// Creates a prober that trusts this lab's authority, and uses the API server as the lab's
    /// administrator.
    pub async fn new(layout: &Layout) -> Result<Self, Error> {
        let ca = fs::read(layout.certs().join("ca.crt")).map_err(Error::Certificates)?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca)?])
            .timeout(ANSWER)
            .build()?;
        Ok(Self { layout: layout.clone(), http, kube: client(layout).await? })
    }

    /// Returns the client of the API server, as administrator.
    pub fn kube(&self) -> Client {
        self.kube.clone()
    }

    /// Checks once; an error says why the part is not ready.
    pub async fn check(&self, part: Part) -> Result<(), String> {
        match part.probe() {
            Probe::Http(url) => self.get(&url).await,
            Probe::Node => self.node().await,
            Probe::Gateway => {
                self.get(&traefik_ping()).await?;
                self.gateway().await
            }
        }
    }

    /// Checks until the part works, its process ends, or `limit` has passed.
    pub async fn wait(&self, part: Part, process: Identity, limit: Duration) -> Result<(), Error> {
        let until = Instant::now() + limit;
        loop {
            let Err(why) = self.check(part).await else { return Ok(()) };
            let log = self.layout.log(part);
            if process.state() == State::Gone {
                return Err(Error::Ended { part, log });
            }
            if Instant::now() >= until {
                return Err(Error::Late { part, why, limit, log });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn get(&self, url: &str) -> Result<(), String> {
        let answer = self.http.get(url).send().await.map_err(|error| cause(&error))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("{url} answers {}", answer.status())) }
    }

    async fn node(&self) -> Result<(), String> {
        let socket = self.layout.agent_socket();
        UnixStream::connect(&socket).await.map_err(|error| format!("{}: {error}", socket.display()))?;
        let node =
            Api::<Node>::all(self.kube.clone()).get_status(NODE_NAME).await.map_err(|e| e.to_string())?;
        let conditions = node.status.and_then(|s| s.conditions).unwrap_or_default();
        let ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        if ready { Ok(()) } else { Err(format!("node {NODE_NAME} is not Ready")) }
    }

    async fn gateway(&self) -> Result<(), String> {
        let kind =
            ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"));
        let api: Api<DynamicObject> = Api::namespaced_with(self.kube.clone(), "lab-system", &kind);
        let gateway = api.get("lab").await.map_err(|error| error.to_string())?;
        let conditions = gateway.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let programmed = conditions.iter().any(|c| c["type"] == "Programmed" && c["status"] == "True");
        if programmed { Ok(()) } else { Err("the Gateway lab-system/lab is not Programmed".to_owned()) }
    }
}

/// Returns a client of the lab's API server, as administrator.
pub async fn client(layout: &Layout) -> Result<Client, Error> {
    let file = layout.kubeconfig("admin");
    let kubeconfig = Kubeconfig::read_from(&file).map_err(|error| Error::Kubeconfig(error.to_string()))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| Error::Kubeconfig(error.to_string()))?;
    // Callers that wait retry on their own, and need each error at once.
    config.default_retry = false;
    config.proxy_url = None;
    config.connect_timeout = Some(ANSWER);
    config.read_timeout = Some(ANSWER);
    Client::try_from(config).map_err(|error| Error::Kubeconfig(error.to_string()))
}

/// Returns the innermost cause, which is the specific one ("connection refused").
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    innermost.to_string()
}
