//! The lifecycle of one pod on the node, in a separate task.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, ContainerStatus, Pod, PodStatus};
use kube::ResourceExt;
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::container::{Container, ContainerIndex, Order};
use super::events::Level;
use super::host::Host;
use super::process::{Group, end_recorded};
use super::resume::first_view;
use super::status::{Facts, Life, Restart, State, View, compute};
use super::volumes::{Volumes, prepare, renew};
use super::writer::Writer;
use super::{api, control::Fault};

/// Annotation of a pod that is reported as ready without any process.
const LIGHT: &str = "lab.steelyard.io/light";

/// A message to a pod's task.
#[derive(Debug)]
pub(crate) enum Message {
    /// The pod's object changed.
    Changed(Box<Pod>),
    /// The pod's object is gone.
    Gone,
    /// A fault to inject; the answer is an error if it can't be injected.
    Fault(Fault, oneshot::Sender<Result<(), String>>),
    /// The agent stops: stop the processes, report nothing.
    Stop,
}

/// The reason why a pod ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndReason {
    /// It was deleted: the last status is reported, then the object is removed.
    Deleted,
    /// Its object is gone or the agent stops: nothing is reported.
    Unreported,
}

/// The task that fills the volumes.
type Preparing = Pin<Box<dyn Future<Output = Arc<Volumes>> + Send>>;

/// The task that renews the tokens; aborted when this is dropped.
struct Renewing(AbortHandle);

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A pod on the node.
pub(crate) struct Task {
    host: Arc<Host>,
    pod: Arc<Pod>,
    uid: String,
    ip: Ipv4Addr,
    since: Timestamp,
    inits: Vec<View>,
    mains: Vec<View>,
    groups: Vec<Group>,
    initialized: bool,
    /// Whether a fault keeps it from being ready.
    unready: bool,
    ending: Option<EndReason>,
    orders: watch::Sender<Order>,
    volumes: Option<Arc<Volumes>>,
    reported: Option<PodStatus>,
    tasks: JoinSet<()>,
}

impl Task {
    /// Creates the task of a pod that is new to the agent, at this address.
    pub(crate) fn new(host: Arc<Host>, pod: Pod, ip: Ipv4Addr) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let now = Timestamp::now();
        let views = |specs: &[Spec], statuses: Option<&Vec<ContainerStatus>>| -> Vec<View> {
            let before = |name: &str| statuses.into_iter().flatten().find(|status| status.name == name);
            specs.iter().map(|spec| first_view(spec, before(&spec.name), now)).collect()
        };
        let inits = views(
            spec.init_containers.as_deref().unwrap_or_default(),
            status.init_container_statuses.as_ref(),
        );
        let mut mains = views(&spec.containers, status.container_statuses.as_ref());
        for view in mains.iter_mut().filter(|view| !inits.is_empty() && view.last.is_none()) {
            view.state = State::Waiting { reason: "PodInitializing", message: None };
        }
        let groups = vec![Group::default(); inits.len() + mains.len()];
        Self {
            host,
            uid: pod.uid().unwrap_or_default(),
            ip,
            since: status.start_time.map_or(now, |time| time.0),
            initialized: inits.is_empty(),
            inits,
            mains,
            groups,
            unready: false,
            ending: None,
            orders: watch::channel(Order::Run).0,
            volumes: None,
            reported: pod.status.clone(),
            tasks: JoinSet::new(),
            pod: Arc::new(pod),
        }
    }

    /// Runs until the pod is gone from the API and none of its processes runs.
    pub(crate) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let writer = Writer::start(Arc::clone(&self.host), Arc::clone(&self.pod));
        let light = self.host.light || self.pod.annotations().get(LIGHT).is_some_and(|value| value == "true");
        let finished = matches!(phase(&self.pod), "Succeeded" | "Failed");
        let (reports, mut reported) = mpsc::unbounded_channel();
        let mut preparing: Option<Preparing> = None;
        let mut renewing = None;
        if light {
            self.report_ready();
        } else if !finished {
            preparing = Some(Box::pin(prepare(Arc::clone(&self.host), Arc::clone(&self.pod), self.ip)));
        }
        self.check_deletion(None);
        loop {
            if self.ending.is_some() && self.tasks.is_empty() {
                break;
            }
            if !finished {
                self.write(&writer);
            }
            tokio::select! {
                biased;
                message = inbox.recv() => self.handle(message, &writer),
                Some(report) = reported.recv() => {
                    self.update_container(report);
                    while let Ok(report) = reported.try_recv() {
                        self.update_container(report);
                    }
                    self.continue_start(&reports);
                }
                volumes = wait_for(&mut preparing), if preparing.is_some() && self.ending.is_none() => {
                    preparing = None;
                    let task = renew(Arc::clone(&self.host), Arc::clone(&self.pod), Arc::clone(&volumes));
                    renewing = Some(Renewing(tokio::spawn(task).abort_handle()));
                    self.volumes = Some(volumes);
                    self.begin(&reports);
                }
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(pod = self.pod.name_any(), %error, "a container's task failed");
                        end_recorded(&self.host.processes(), &self.uid);
                    }
                }
            }
        }
        drop((preparing, renewing));
        while let Ok(report) = reported.try_recv() {
            self.update_container(report);
        }
        if self.ending == Some(EndReason::Deleted) {
            if !finished && !light {
                self.write(&writer);
            }
            writer.finish().await;
            api::delete(&self.host, &self.pod).await;
        }
        let _ = std::fs::remove_dir_all(self.host.pod_dir(&self.uid));
    }

    fn handle(&mut self, message: Option<Message>, writer: &Writer) {
        match message {
            Some(Message::Changed(pod)) => {
                // The node lifecycle controller marks the pods of a lost node as not ready. If this
                // is only a late event of an older write of this agent, another write changes
                // nothing.
                if self
                    .reported
                    .as_ref()
                    .is_some_and(|reported| readiness(Some(reported)) != readiness(pod.status.as_ref()))
                {
                    writer.again();
                }
                let before = std::mem::replace(&mut self.pod, Arc::new(*pod));
                self.check_deletion(Some(&before));
            }
            Some(Message::Gone) => self.end(EndReason::Unreported, Duration::ZERO),
            Some(Message::Fault(fault, answer)) => {
                let done = self.inject(fault);
                let _ = answer.send(done);
            }
            Some(Message::Stop) | None => self.end(EndReason::Unreported, Duration::from_secs(3)),
        }
    }

    /// Checks whether the object requires the pod to end.
    fn check_deletion(&mut self, before: Option<&Pod>) {
        let deadline = |pod: &Pod| {
            (pod.metadata.deletion_timestamp.is_some(), pod.metadata.deletion_grace_period_seconds)
        };
        let (deleted, grace) = deadline(&self.pod);
        if deleted && before.is_none_or(|before| deadline(before) != (deleted, grace)) {
            let grace = grace.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30);
            self.end(EndReason::Deleted, Duration::from_secs(grace));
        }
    }

    /// Stops everything within `grace`. A second call can only make the deadline earlier.
    fn end(&mut self, why: EndReason, grace: Duration) {
        if self.ending.is_none() && !self.tasks.is_empty() && why == EndReason::Deleted {
            for view in self.mains.iter().filter(|view| matches!(view.state, State::Running { .. })) {
                let message = format!("Stopping container {}", view.name);
                self.host.events.send(&self.pod, Level::Normal, "Killing", message);
            }
        }
        self.ending = if self.ending == Some(EndReason::Unreported) { self.ending } else { Some(why) };
        let wanted = Instant::now() + grace;
        self.orders.send_modify(|order| {
            let deadline = match *order {
                Order::Run => wanted,
                Order::End { deadline } => deadline.min(wanted),
            };
            *order = Order::End { deadline };
        });
    }

    fn update_container(&mut self, (index, view): (ContainerIndex, View)) {
        let container = match index {
            ContainerIndex::Init(index) => self.inits.get_mut(index),
            ContainerIndex::Main(index) => self.mains.get_mut(index),
        };
        if let Some(container) = container {
            *container = view;
        }
    }

    /// Starts the first init container, or all containers where there are none.
    fn begin(&mut self, reports: &mpsc::UnboundedSender<(ContainerIndex, View)>) {
        if self.inits.is_empty() {
            self.start_mains(reports);
        } else {
            self.start(ContainerIndex::Init(0), reports);
        }
    }

    /// Starts what can start now: the next init container, or all containers after the last init
    /// container.
    fn continue_start(&mut self, reports: &mpsc::UnboundedSender<(ContainerIndex, View)>) {
        if self.initialized || self.ending.is_some() || self.volumes.is_none() {
            return;
        }
        let specs = self.pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        // An init container that always restarts is a sidecar: it only needs to have started.
        let through = |(view, spec): (&View, &Spec)| view.succeeded() || sidecar(spec) && view.started;
        let done = self.inits.iter().zip(specs).take_while(|&pair| through(pair)).count();
        if done == self.inits.len() {
            self.start_mains(reports);
        } else if done > 0
            && self.inits.get(done).is_some_and(|view| view.id.is_empty())
            && self.tasks_started() == done
        {
            self.start(ContainerIndex::Init(done), reports);
        }
    }

    /// Returns the number of init containers that were started.
    fn tasks_started(&self) -> usize {
        self.inits.iter().filter(|view| !view.id.is_empty()).count()
    }

    fn start_mains(&mut self, reports: &mpsc::UnboundedSender<(ContainerIndex, View)>) {
        self.initialized = true;
        for index in 0..self.mains.len() {
            self.start(ContainerIndex::Main(index), reports);
        }
    }

    fn start(&mut self, index: ContainerIndex, reports: &mpsc::UnboundedSender<(ContainerIndex, View)>) {
        let Some(volumes) = self.volumes.clone() else { return };
        let spec = self.pod.spec.as_ref();
        let inits = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let mains = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let pods = Restart::of(&self.pod);
        let (spec, view, group, restart) = match index {
            ContainerIndex::Init(index) => {
                let restart = match pods {
                    _ if sidecar(&inits[index]) => Restart::Always,
                    Restart::Never => Restart::Never,
                    Restart::Always | Restart::OnFailure => Restart::OnFailure,
                };
                (&inits[index], &self.inits[index], &self.groups[index], restart)
            }
            ContainerIndex::Main(index) => {
                (&mains[index], &self.mains[index], &self.groups[inits.len() + index], pods)
            }
        };
        let container = Container {
            host: Arc::clone(&self.host),
            pod: Arc::clone(&self.pod),
            spec: Arc::new(spec.clone()),
            ip: self.ip,
            index,
            restart,
            volumes,
            view: view.clone(),
            reports: reports.clone(),
            orders: self.orders.subscribe(),
            group: group.clone(),
        };
        self.tasks.spawn(container.run());
    }

    /// Reports everything as running and ready, though nothing runs.
    fn report_ready(&mut self) {
        let now = Timestamp::now();
        self.initialized = true;
        for view in &mut self.mains {
            view.id = format!("lab://light/{}", view.name);
            view.state = State::Running { since: now };
            (view.started, view.ready) = (true, true);
        }
    }

    fn inject(&mut self, fault: Fault) -> Result<(), String> {
        let signal = match fault {
            Fault::Unready => {
                self.unready = true;
                return Ok(());
            }
            Fault::Ready => {
                self.unready = false;
                return Ok(());
            }
            Fault::Kill => Signal::SIGKILL,
            Fault::Freeze => Signal::SIGSTOP,
            Fault::Thaw => Signal::SIGCONT,
        };
        // Not `any`, which stops at the first match.
        let reached = self.groups.iter().filter(|group| group.signal(signal)).count();
        if reached == 0 { Err("no process of the pod runs".to_owned()) } else { Ok(()) }
    }

    /// Queues a write of the status if it differs from the one reported last.
    fn write(&mut self, writer: &Writer) {
        let mut containers = self.mains.clone();
        for view in containers.iter_mut().filter(|_| self.unready) {
            view.ready = false;
        }
        let facts = Facts {
            pod: &self.pod,
            inits: &self.inits,
            containers: &containers,
            initialized: self.initialized,
            ip: self.ip.to_string(),
            host: self.host.address.to_string(),
            since: self.since,
            life: if self.ending.is_some() { Life::Ending } else { Life::Wanted },
        };
        if self.ending == Some(EndReason::Unreported) {
            return;
        }
        let status = compute(&facts, self.reported.as_ref(), Timestamp::now());
        writer.set(&status);
        self.reported = Some(status);
    }
}

async fn wait_for(preparing: &mut Option<Preparing>) -> Arc<Volumes> {
    match preparing {
        Some(preparing) => preparing.await,
        None => std::future::pending().await,
    }
}

fn sidecar(spec: &Spec) -> bool {
    spec.restart_policy.as_deref() == Some("Always")
}

/// Returns the status of the `Ready` condition.
fn readiness(status: Option<&PodStatus>) -> Option<&str> {
    let mut conditions = status?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == "Ready").map(|condition| condition.status.as_str())
}

/// Returns a pod's phase as last reported.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}
