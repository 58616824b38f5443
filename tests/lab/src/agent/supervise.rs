//! One run of a container from start to end: probes, and how it is stopped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{LifecycleHandler, Pod, Probe};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep, sleep_until, timeout_at};

use super::check::Target;
use super::container::{Container, Order};
use super::events::Level;
use super::host::Host;
use super::probe::{Counter, ProbeKind, Timing};
use super::process::Process;

/// Delay from a container's start to its first probe. Kubelet takes longer to detect that it runs;
/// without any delay the first probe always runs before a program can listen, and costs a whole
/// period.
const NOTICED: Duration = Duration::from_millis(100);

/// The minimum time between SIGTERM and SIGKILL, whatever the grace period is (kubelet's number).
const MIN_GRACE: Duration = Duration::from_secs(2);

/// A changed probe result.
type ProbeResult = (ProbeKind, bool);

/// The probes of one run; they stop when this is dropped.
struct Probes {
    tasks: JoinSet<()>,
    results: mpsc::Sender<ProbeResult>,
    host: Arc<Host>,
    pod: Arc<Pod>,
    target: Target,
    started: Instant,
}

impl Probes {
    fn watch(&mut self, kind: ProbeKind, probe: &Probe) {
        let (host, pod, target) = (Arc::clone(&self.host), Arc::clone(&self.pod), self.target.clone());
        let (probe, results, started) = (probe.clone(), self.results.clone(), self.started);
        self.tasks.spawn(async move {
            let timing = Timing::of(&probe);
            let mut counter = Counter::of(&probe);
            let mut ticks = interval_at((started + timing.delay.max(NOTICED)).into(), timing.period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let answer = target.probe(&host.http, &probe, timing.timeout).await;
                let verdict = counter.take(answer.is_ok());
                if let Err(why) = answer
                    && is_reported(counter.run())
                {
                    let message = format!("{} probe failed: {why}", kind.name());
                    host.events.send(&pod, Level::Warning, "Unhealthy", message);
                }
                if let Some(passed) = verdict
                    && results.send((kind, passed)).await.is_err()
                {
                    return;
                }
            }
        });
    }
}

/// Returns whether this failure is reported: the first failures in a row are, later ones
/// increasingly rarely.
fn is_reported(failures: u32) -> bool {
    failures <= 3 || failures.is_power_of_two()
}

impl Container {
    /// Waits for a started process to end. Returns its exit code.
    pub(super) async fn supervise(&mut self, process: &mut Process, target: Target) -> i32 {
        let (sender, mut results) = mpsc::channel(8);
        let mut probes = Probes {
            tasks: JoinSet::new(),
            results: sender,
            host: Arc::clone(&self.host),
            pod: Arc::clone(&self.pod),
            target: target.clone(),
            started: Instant::now(),
        };
        match self.spec.startup_probe.clone() {
            Some(probe) => probes.watch(ProbeKind::Startup, &probe),
            None => self.has_started(&mut probes),
        }
        loop {
            let mut orders = self.orders.clone();
            let kill = tokio::select! {
                code = process.ended() => return code,
                order = orders.wait_for(|order| matches!(order, Order::End { .. })) => {
                    drop(order);
                    None
                }
                Some((kind, passed)) = results.recv() => match (kind, passed) {
                    (ProbeKind::Startup, true) => {
                        self.has_started(&mut probes);
                        continue;
                    }
                    (ProbeKind::Readiness, ready) => {
                        self.set_ready(ready);
                        continue;
                    }
                    (ProbeKind::Liveness, true) => continue,
                    (ProbeKind::Startup | ProbeKind::Liveness, false) => Some(kind),
                },
            };
            let deadline = match kill {
                None => None,
                Some(kind) => {
                    let name = &self.spec.name;
                    let why = format!(
                        "Container {name} failed {} probe, will be restarted",
                        kind.name().to_lowercase()
                    );
                    self.host.events.send(&self.pod, Level::Normal, "Killing", why);
                    Some(Instant::now() + self.grace(kind))
                }
            };
            return self.stop(process, &target, &mut results, deadline).await;
        }
    }

    fn has_started(&mut self, probes: &mut Probes) {
        if let Some(probe) = &self.spec.liveness_probe {
            probes.watch(ProbeKind::Liveness, probe);
        }
        if let Some(probe) = &self.spec.readiness_probe {
            probes.watch(ProbeKind::Readiness, probe);
        }
        self.view.started = true;
        self.set_ready(self.spec.readiness_probe.is_none());
    }

    fn set_ready(&mut self, ready: bool) {
        self.view.ready = ready;
        self.report();
    }

    /// Returns how long a container has to stop after this probe failed.
    fn grace(&self, kind: ProbeKind) -> Duration {
        let probe = match kind {
            ProbeKind::Startup => self.spec.startup_probe.as_ref(),
            ProbeKind::Liveness => self.spec.liveness_probe.as_ref(),
            ProbeKind::Readiness => None,
        };
        let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
        let pods = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        Duration::from_secs(own.or(pods).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
    }

    /// Stops a process as kubelet does: the `preStop` handler, SIGTERM, then SIGKILL at the earlier
    /// of its deadline and the pod's. Readiness is still reported meanwhile. Returns the exit code.
    async fn stop(
        &mut self,
        process: &mut Process,
        target: &Target,
        results: &mut mpsc::Receiver<ProbeResult>,
        own: Option<Instant>,
    ) -> i32 {
        let mut orders = self.orders.clone();
        let ordered = |order: &Order| match (own, *order) {
            (Some(own), Order::End { deadline }) => own.min(deadline),
            (Some(deadline), Order::Run) | (None, Order::End { deadline }) => deadline,
            (None, Order::Run) => Instant::now(),
        };
        if let Some(handler) = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone()) {
            let (deadline, http) = (ordered(&orders.borrow()), self.host.http.clone());
            let before = timeout_at(deadline.into(), before_stop(target, &http, &handler));
            tokio::pin!(before);
            loop {
                tokio::select! {
                    code = process.ended() => return code,
                    done = &mut before => {
                        if let Ok(Err(why)) = done {
                            let message = format!("PreStopHook failed: {why}");
                            self.host.events.send(&self.pod, Level::Warning, "FailedPreStopHook", message);
                        }
                        break;
                    }
                    Some((ProbeKind::Readiness, ready)) = results.recv() => self.set_ready(ready),
                }
            }
        }
        process.terminate();
        let least = Instant::now() + MIN_GRACE;
        loop {
            let deadline = ordered(&orders.borrow_and_update()).max(least);
            tokio::select! {
                code = process.ended() => return code,
                () = sleep_until(deadline.into()) => {
                    process.kill();
                    return process.ended().await;
                }
                Ok(()) = orders.changed() => {}
                Some((kind, ready)) = results.recv() => {
                    // The other probes no longer matter.
                    if kind == ProbeKind::Readiness {
                        self.set_ready(ready);
                    }
                }
            }
        }
    }
}

async fn before_stop(
    target: &Target,
    http: &reqwest::Client,
    handler: &LifecycleHandler,
) -> Result<(), String> {
    if let Some(pause) = &handler.sleep {
        sleep(Duration::from_secs(u64::try_from(pause.seconds).unwrap_or(0))).await;
        Ok(())
    } else if let Some(get) = &handler.http_get {
        target.get(http, get).await
    } else if let Some(exec) = &handler.exec {
        target.run(exec).await
    } else {
        Err("this kind of handler is not supported".to_owned())
    }
}
