//! The agent's main loop: passes changes of pods to the pods' tasks.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher;
use kube::{Api, Client, Config, ResourceExt};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::address::Addresses;
use super::control::{self, NodeFault, Request};
use super::events::Events;
use super::host::{Host, Link, pause, processes};
use super::pod::{Message, Task};
use super::process::end_recorded;
use super::{Args, node};

/// Delay between attempts to watch.
const RETRY: Duration = Duration::from_millis(300);
/// How long pods have to stop when the agent stops.
const LEAVE: Duration = Duration::from_secs(5);

/// The reason why the agent can't run.
#[derive(Debug, Error)]
pub enum AgentError {
    /// Its directory or socket can't be used.
    #[error("could not use {path}")]
    Dir {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kubeconfig can't be used.
    #[error("could not use the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The client can't be created.
    #[error("could not create a client")]
    Client(#[from] kube::Error),
    /// The client for probes can't be created.
    #[error("could not create the client for probes")]
    Probes(#[from] reqwest::Error),
    /// Signals can't be received.
    #[error("could not listen for signals")]
    Signals(#[source] io::Error),
}

struct Known {
    key: String,
    ip: Ipv4Addr,
    inbox: mpsc::UnboundedSender<Message>,
}

/// All pods of the node, by uid.
struct Pods {
    host: Arc<Host>,
    addresses: Addresses,
    known: BTreeMap<String, Known>,
    tasks: JoinSet<()>,
    ids: BTreeMap<Id, String>,
}

/// Runs the agent until SIGTERM or SIGINT, then stops the processes of its pods and returns.
pub async fn run(args: Args) -> Result<(), AgentError> {
    let usable = |path: &Path, done: io::Result<()>| {
        done.map_err(|source| AgentError::Dir { path: path.to_path_buf(), source })
    };
    let record = processes(&args.dir);
    usable(&record, std::fs::create_dir_all(&record))?;
    let left = end_recorded(&record, "");
    if left > 0 {
        tracing::info!(left, "ended processes of an earlier agent");
    }
    let _ = std::fs::remove_dir_all(args.dir.join("pods"));
    let client = client(&args.kubeconfig).await?;
    let host = Arc::new(Host {
        service: service(&client).await,
        events: Events::start(client.clone(), &args.node),
        client,
        node: args.node,
        address: args.address,
        dir: args.dir,
        images: args.images.into_iter().collect(),
        light: args.light,
        http: probes()?,
        link: watch::channel(Link::Up).0,
    });
    let (queue, mut requests) = mpsc::channel(16);
    usable(&args.control, control::listen(&args.control, queue))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signals)?;
    if let Err(error) = super::logs::serve(Arc::clone(&host)).await {
        tracing::warn!(%error, "could not serve logs; kubectl logs will not work");
    }
    let heartbeat = tokio::spawn(node::keep(Arc::clone(&host)));

    let selector = watcher::Config::default().fields(&format!("spec.nodeName={}", host.node));
    let mut events = watcher(Api::<Pod>::all(host.client.clone()), selector).boxed();
    let cursor = host.dir.join("next-address");
    let start = std::fs::read_to_string(&cursor).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let mut pods = Pods {
        host,
        addresses: Addresses::new(args.pod_cidr, start),
        known: BTreeMap::new(),
        tasks: JoinSet::new(),
        ids: BTreeMap::new(),
    };
    let mut listed = Vec::new();
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(watcher::Event::Apply(pod))) => pods.update(pod, &cursor),
                Ok(Some(watcher::Event::Delete(pod))) => pods.gone(&pod.uid().unwrap_or_default()),
                Ok(Some(watcher::Event::Init)) => listed.clear(),
                Ok(Some(watcher::Event::InitApply(pod))) => listed.push(pod),
                Ok(Some(watcher::Event::InitDone)) => pods.update_all(std::mem::take(&mut listed), &cursor),
                Ok(None) => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    tracing::warn!(%error, "the watch of pods failed");
                    tokio::time::sleep(RETRY).await;
                }
            },
            Some(ended) = pods.tasks.join_next_with_id() => pods.ended(ended),
            Some((request, answer)) = requests.recv() => pods.inject(request, answer),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    heartbeat.abort();
    pods.stop().await;
    let _ = std::fs::remove_file(&args.control);
    Ok(())
}

impl Pods {
    /// Starts the task of a new pod, or sends the change to the task of a known one.
    fn update(&mut self, pod: Pod, cursor: &Path) {
        let uid = pod.uid().unwrap_or_default();
        if let Some(known) = self.known.get(&uid) {
            // The inbox is closed if the task has just ended.
            let _ = known.inbox.send(Message::Changed(Box::new(pod)));
            return;
        }
        let own =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok());
        let Some(ip) = own.filter(|&ip| self.addresses.claim(ip)).or_else(|| self.addresses.take()) else {
            tracing::error!(pod = pod.name_any(), "no address is free for a pod");
            return;
        };
        if let Err(error) = std::fs::write(cursor, format!("{}\n", self.addresses.cursor())) {
            tracing::warn!(%error, "could not record the next address");
        }
        let key = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        let (inbox, messages) = mpsc::unbounded_channel();
        let task = Task::new(Arc::clone(&self.host), pod, ip);
        let handle = self.tasks.spawn(task.run(messages));
        self.ids.insert(handle.id(), uid.clone());
        self.known.insert(uid, Known { key, ip, inbox });
    }

    /// Handles the complete list, which a watch sends when it restarts.
    fn update_all(&mut self, listed: Vec<Pod>, cursor: &Path) {
        let gone: Vec<String> = {
            let uids: std::collections::BTreeSet<String> =
                listed.iter().filter_map(ResourceExt::uid).collect();
            self.known.keys().filter(|uid| !uids.contains(*uid)).cloned().collect()
        };
        for uid in gone {
            self.gone(&uid);
        }
        for pod in listed {
            self.update(pod, cursor);
        }
    }

    fn gone(&self, uid: &str) {
        if let Some(known) = self.known.get(uid) {
            let _ = known.inbox.send(Message::Gone);
        }
    }

    /// Removes a pod whose task has ended, and cleans up if the task failed.
    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(uid) = self.ids.remove(&id) else { return };
        if let Err(error) = ended {
            tracing::error!(uid, %error, "a pod's task failed");
            end_recorded(&self.host.processes(), &uid);
        }
        if let Some(known) = self.known.remove(&uid) {
            self.addresses.release(known.ip);
        }
    }

    fn inject(&self, request: Request, answer: tokio::sync::oneshot::Sender<Result<(), String>>) {
        match request {
            Request::Node { fault } => {
                self.host.link.send_replace(match fault {
                    NodeFault::LoseNode => Link::Lost,
                    NodeFault::ReturnNode => Link::Up,
                });
                let _ = answer.send(Ok(()));
            }
            Request::Pod { fault, pod } => match self.known.values().find(|known| known.key == pod) {
                // If the task has ended, the answer is dropped with the message, and the caller
                // gets an error.
                Some(known) => drop(known.inbox.send(Message::Fault(fault, answer))),
                None => drop(answer.send(Err(format!("there is no pod {pod} on this node")))),
            },
        }
    }

    /// Stops all processes and reports nothing: the pods are not deleted, only their node goes
    /// away.
    async fn stop(mut self) {
        for known in self.known.values() {
            let _ = known.inbox.send(Message::Stop);
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LEAVE, all).await.is_err() {
            tracing::warn!("not all processes stopped in time");
        }
        end_recorded(&self.host.processes(), "");
    }
}

async fn client(path: &Path) -> Result<Client, AgentError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // Each caller here decides when to retry.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Creates the client for probes: one connection per probe, no proxies, any certificate, as in
/// kubelet.
fn probes() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .user_agent("kube-probe/lab")
        .build()
}

/// Returns address and port of the API server for pods. Retries until they are known.
async fn service(client: &Client) -> (String, i32) {
    let services = Api::<Service>::namespaced(client.clone(), "default");
    for n in 1.. {
        match services.get("kubernetes").await {
            Ok(service) => {
                let spec = service.spec.unwrap_or_default();
                let port = spec.ports.iter().flatten().map(|port| port.port).next();
                if let (Some(ip), Some(port)) = (spec.cluster_ip, port) {
                    return (ip, port);
                }
            }
            Err(error) => tracing::debug!(%error, "the API server is not reachable yet"),
        }
        tokio::time::sleep(pause(n)).await;
    }
    unreachable!("the loop retries without end")
}
