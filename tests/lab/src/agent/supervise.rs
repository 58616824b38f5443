//! One run of a container, from its start to its end: probes, and how it is asked to stop.

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
use super::probe::{Counter, Kind, Timing};
use super::process::Process;

/// Time from a container's start to its first probe. Kubelet takes longer to notice that it runs; with none at all
/// the first probe would always come before a program can listen, and cost a whole period.
const NOTICED: Duration = Duration::from_millis(100);

/// What a container has at least between SIGTERM and SIGKILL, whatever its grace period says (kubelet's number).
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// A verdict that changed.
type News = (Kind, bool);

/// The probes of one run; they stop when this is dropped.
struct Probes {
    tasks: JoinSet<()>,
    news: mpsc::Sender<News>,
    host: Arc<Host>,
    pod: Arc<Pod>,
    target: Target,
    started: Instant,
}

impl Probes {
    fn watch(&mut self, kind: Kind, probe: &Probe) {
        let (host, pod, target) = (Arc::clone(&self.host), Arc::clone(&self.pod), self.target.clone());
        let (probe, news, started) = (probe.clone(), self.news.clone(), self.started);
        self.tasks.spawn(async move {
            let timing = Timing::of(&probe);
            let mut counter = Counter::of(&probe);
            let mut ticks = interval_at((started + timing.delay.max(NOTICED)).into(), timing.period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let answer = target.ask(&host.http, &probe, timing.timeout).await;
                let verdict = counter.take(answer.is_ok());
                if let Err(why) = answer
                    && worth_telling(counter.run())
                {
                    let message = format!("{} probe failed: {why}", kind.name());
                    host.events.send(&pod, Level::Warning, "Unhealthy", message);
                }
                if let Some(passed) = verdict
                    && news.send((kind, passed)).await.is_err()
                {
                    return;
                }
            }
        });
    }
}

/// The first failures in a row are told, then ever fewer of them.
fn worth_telling(failures: u32) -> bool {
    failures <= 3 || failures.is_power_of_two()
}

impl Container {
    /// Follows a started process to its end; its exit code.
    pub(super) async fn supervise(&mut self, process: &mut Process, target: Target) -> i32 {
        let (sender, mut news) = mpsc::channel(8);
        let mut probes = Probes {
            tasks: JoinSet::new(),
            news: sender,
            host: Arc::clone(&self.host),
            pod: Arc::clone(&self.pod),
            target: target.clone(),
            started: Instant::now(),
        };
        match self.spec.startup_probe.clone() {
            Some(probe) => probes.watch(Kind::Startup, &probe),
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
                Some((kind, passed)) = news.recv() => match (kind, passed) {
                    (Kind::Startup, true) => {
                        self.has_started(&mut probes);
                        continue;
                    }
                    (Kind::Readiness, ready) => {
                        self.set_ready(ready);
                        continue;
                    }
                    (Kind::Liveness, true) => continue,
                    (Kind::Startup | Kind::Liveness, false) => Some(kind),
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
            return self.stop(process, &target, &mut news, deadline).await;
        }
    }

    fn has_started(&mut self, probes: &mut Probes) {
        if let Some(probe) = &self.spec.liveness_probe {
            probes.watch(Kind::Liveness, probe);
        }
        if let Some(probe) = &self.spec.readiness_probe {
            probes.watch(Kind::Readiness, probe);
        }
        self.view.started = true;
        self.set_ready(self.spec.readiness_probe.is_none());
    }

    fn set_ready(&mut self, ready: bool) {
        self.view.ready = ready;
        self.report();
    }

    /// How long a container may take to stop after this probe failed.
    fn grace(&self, kind: Kind) -> Duration {
        let probe = match kind {
            Kind::Startup => self.spec.startup_probe.as_ref(),
            Kind::Liveness => self.spec.liveness_probe.as_ref(),
            Kind::Readiness => None,
        };
        let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
        let pods = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        Duration::from_secs(own.or(pods).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
    }

    /// Stops a process as kubelet does: what is to be done before, SIGTERM, SIGKILL at the deadline (of its own or of
    /// the pod's end, whichever comes first). Readiness goes on being reported meanwhile. The exit code.
    async fn stop(
        &mut self,
        process: &mut Process,
        target: &Target,
        news: &mut mpsc::Receiver<News>,
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
                    Some((Kind::Readiness, ready)) = news.recv() => self.set_ready(ready),
                }
            }
        }
        process.terminate();
        let least = Instant::now() + LEAST_GRACE;
        loop {
            let deadline = ordered(&orders.borrow_and_update()).max(least);
            tokio::select! {
                code = process.ended() => return code,
                () = sleep_until(deadline.into()) => {
                    process.kill();
                    return process.ended().await;
                }
                Ok(()) = orders.changed() => {}
                Some((kind, ready)) = news.recv() => {
                    // The others have nothing to say any more.
                    if kind == Kind::Readiness {
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
