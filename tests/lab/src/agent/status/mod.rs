//! Computes the status that the agent reports for a pod from the states of its containers. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Exit code; 128 + signal if a signal ended it.
    pub(crate) code: i32,
    /// `Completed`, `Error` or `StartError`.
    pub(crate) reason: &'static str,
    /// Why it could not be started, if that failed.
    pub(crate) message: Option<String>,
    /// When it started.
    pub(crate) started: Timestamp,
    /// When it ended.
    pub(crate) finished: Timestamp,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not running, with the reason: `ContainerCreating`, `CrashLoopBackOff`, ...
    Waiting { reason: &'static str, message: Option<String> },
    /// Running since this time.
    Running { since: Timestamp },
    /// Ended, and not being restarted.
    Ended(Exit),
}

/// The agent's view of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Its name in the pod.
    pub(crate) name: String,
    /// The image in the spec.
    pub(crate) image: String,
    /// Identifies the current run; empty before the first one.
    pub(crate) id: String,
    /// Its current state.
    pub(crate) state: State,
    /// How its previous run ended.
    pub(crate) last: Option<Exit>,
    /// How often it was restarted.
    pub(crate) restarts: i32,
    /// Whether its startup probe passed (or it has none and runs).
    pub(crate) started: bool,
    /// Whether it runs and its readiness probe passes.
    pub(crate) ready: bool,
}

impl View {
    /// Creates the view of a container that has not started.
    pub(crate) fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            id: String::new(),
            state: State::Waiting { reason: "ContainerCreating", message: None },
            last: None,
            restarts: 0,
            started: false,
            ready: false,
        }
    }

    /// Returns whether it ended with success.
    pub(crate) fn succeeded(&self) -> bool {
        matches!(&self.state, State::Ended(exit) if exit.code == 0)
    }
}

/// When a container is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Always.
    Always,
    /// When it ended with an error.
    OnFailure,
    /// Never.
    Never,
}

impl Restart {
    /// Returns a pod's restart policy.
    pub(crate) fn of(pod: &Pod) -> Self {
        match pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    /// Returns whether a container that ended with this code is restarted.
    pub(crate) fn wants(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// Whether the pod is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is not.
    Wanted,
    /// It is.
    Ending,
}

/// The input of the status.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The pod's object as last seen.
    pub(crate) pod: &'a Pod,
    /// Its init containers.
    pub(crate) inits: &'a [View],
    /// Its containers.
    pub(crate) containers: &'a [View],
    /// Whether all init containers are complete.
    pub(crate) initialized: bool,
    /// Its address.
    pub(crate) ip: String,
    /// The node's address.
    pub(crate) host: String,
    /// When the agent first saw it.
    pub(crate) since: Timestamp,
    /// Whether it is being deleted.
    pub(crate) life: Life,
}

/// Returns the status to report at `now`. A condition that is unchanged from `before` keeps its
/// transition time.
pub(crate) fn compute(facts: &Facts<'_>, before: Option<&PodStatus>, now: Timestamp) -> PodStatus {
    let Facts { pod, inits, containers, initialized, ip, host, since, life } = facts;
    let phase = phase(facts);
    let done = matches!(phase, "Succeeded" | "Failed");
    let unready: Vec<&str> =
        containers.iter().filter(|view| !view.ready).map(|view| view.name.as_str()).collect();
    let fault = match (phase, unready.is_empty()) {
        ("Succeeded", _) => Some(("PodCompleted", None)),
        ("Failed", _) => Some(("PodFailed", None)),
        (_, true) => None,
        (_, false) => Some((
            "ContainersNotReady",
            Some(format!("containers with unready status: [{}]", unready.join(" "))),
        )),
    };
    let gate = unmet_gate(pod).map(|gate| {
        (
            "ReadinessGatesNotReady",
            Some(format!("the status of pod readiness gate \"{gate}\" is not \"True\"")),
        )
    });
    let init_fault = (!initialized).then(|| {
        let names: Vec<&str> =
            inits.iter().filter(|view| !view.succeeded()).map(|view| view.name.as_str()).collect();
        (
            "ContainersNotInitialized",
            Some(format!("containers with incomplete status: [{}]", names.join(" "))),
        )
    });
    let up = !(done
        || *life == Life::Ending && containers.iter().all(|view| matches!(view.state, State::Ended(_))));
    let mut conditions = vec![
        condition("PodReadyToStartContainers", if up { None } else { Some(("PodSandboxGone", None)) }),
        condition("Initialized", init_fault),
        condition("Ready", fault.clone().or(gate)),
        condition("ContainersReady", fault),
    ];
    if sets_scheduled(pod) {
        conditions.push(condition("PodScheduled", None));
    }
    let generation = pod.metadata.generation;
    for condition in &mut conditions {
        condition.observed_generation = generation;
        let old = before.iter().flat_map(|status| status.conditions.iter().flatten());
        let same = old.filter(|old| old.type_ == condition.type_ && old.status == condition.status);
        condition.last_transition_time =
            same.map(|old| old.last_transition_time.clone()).next().flatten().or(Some(Time(now)));
    }
    let list = |views: &[View], needed: bool| needed.then(|| views.iter().map(container).collect());
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        init_container_statuses: list(inits, !inits.is_empty()),
        container_statuses: list(containers, true),
        host_ip: Some(host.clone()),
        host_ips: Some(vec![HostIP { ip: host.clone() }]),
        pod_ip: Some(ip.clone()),
        pod_ips: Some(vec![PodIP { ip: ip.clone() }]),
        start_time: Some(Time(*since)),
        observed_generation: generation,
        ..PodStatus::default()
    }
}

/// Returns true unless the scheduler sets the condition.
fn sets_scheduled(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    !status.iter().flat_map(|status| status.conditions.iter().flatten()).any(|c| c.type_ == "PodScheduled")
}

/// Returns the first readiness gate whose condition is not true.
fn unmet_gate(pod: &Pod) -> Option<&str> {
    let holds = |gate: &str| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == gate && condition.status == "True")
    };
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    gates.map(|gate| gate.condition_type.as_str()).find(|gate| !holds(gate))
}

/// Returns a condition that is true, or false with this reason and message.
fn condition(kind: &str, fault: Option<(&str, Option<String>)>) -> PodCondition {
    let (status, reason, message) = match fault {
        None => ("True", None, None),
        Some((reason, message)) => ("False", Some(reason.to_owned()), message),
    };
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        ..PodCondition::default()
    }
}

/// Returns the pod's phase by kubelet's rules.
fn phase(facts: &Facts<'_>) -> &'static str {
    let Facts { pod, inits, containers, initialized, life, .. } = facts;
    let restart = Restart::of(pod);
    let ended = |view: &View| matches!(view.state, State::Ended(_));
    if *life == Life::Ending && containers.iter().all(ended) {
        return if containers.iter().all(View::succeeded) { "Succeeded" } else { "Failed" };
    }
    if !initialized {
        let failed = inits.iter().any(|view| ended(view) && !view.succeeded());
        return if failed && restart == Restart::Never { "Failed" } else { "Pending" };
    }
    let (mut running, mut stopped, mut succeeded) = (0, 0, 0);
    for view in *containers {
        match (&view.state, &view.last) {
            (State::Running { .. }, _) => running += 1,
            (State::Ended(exit), _) => {
                stopped += 1;
                succeeded += usize::from(exit.code == 0);
            }
            // A container between two runs counts as stopped.
            (State::Waiting { .. }, Some(_)) => stopped += 1,
            (State::Waiting { .. }, None) => return "Pending",
        }
    }
    match restart {
        _ if running > 0 => "Running",
        Restart::Always => "Running",
        _ if stopped == succeeded => "Succeeded",
        Restart::Never => "Failed",
        Restart::OnFailure => "Running",
    }
}

fn container(view: &View) -> ContainerStatus {
    let id = |id: &str| (!id.is_empty()).then(|| id.to_owned());
    let ended = |exit: &Exit| ContainerStateTerminated {
        exit_code: exit.code,
        signal: (exit.code > 128 && exit.reason != "StartError").then_some(exit.code - 128),
        reason: Some(exit.reason.to_owned()),
        message: exit.message.clone(),
        started_at: Some(Time(exit.started)),
        finished_at: Some(Time(exit.finished)),
        container_id: id(&view.id),
    };
    let mut state = ContainerState::default();
    match &view.state {
        State::Waiting { reason, message } => {
            state.waiting =
                Some(ContainerStateWaiting { reason: Some((*reason).to_owned()), message: message.clone() });
        }
        State::Running { since } => {
            state.running = Some(ContainerStateRunning { started_at: Some(Time(*since)) });
        }
        State::Ended(exit) => state.terminated = Some(ended(exit)),
    }
    ContainerStatus {
        name: view.name.clone(),
        image: view.image.clone(),
        image_id: if view.id.is_empty() { String::new() } else { format!("lab://{}", view.image) },
        container_id: id(&view.id),
        state: Some(state),
        last_state: view
            .last
            .as_ref()
            .map(|exit| ContainerState { terminated: Some(ended(exit)), ..Default::default() }),
        restart_count: view.restarts,
        started: Some(view.started),
        ready: view.ready,
        ..ContainerStatus::default()
    }
}

#[cfg(test)]
mod tests;
