//! A load while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::client::Client;
use super::{Plan, Record, Sample, Tally};

/// Requests logged at most (about 200 MB); what comes after is only counted.
const LOGGED: usize = 2_000_000;

/// Starts loads.
#[derive(Debug)]
pub struct Load;

/// A load that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    log: Arc<Mutex<Log>>,
    started: (Timestamp, Instant),
    stop: watch::Sender<bool>,
    pace: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Log {
    samples: Vec<Sample>,
    tally: Tally,
    unlogged: Tally,
}

impl Load {
    /// Starts to send as `plan` says, on the current tokio runtime, until [`Running::stop`].
    pub fn start(plan: Plan) -> Running {
        let (stop, stopped) = watch::channel(false);
        let log = Arc::new(Mutex::new(Log::default()));
        let started = (Timestamp::now(), Instant::now());
        let pace = tokio::spawn(pace(plan, started.1, Arc::clone(&log), stopped));
        Running { log, started, stop, pace }
    }
}

async fn pace(plan: Plan, started: Instant, log: Arc<Mutex<Log>>, mut stopped: watch::Receiver<bool>) {
    let client = Arc::new(Client::new(plan.clone()));
    let mut flying = JoinSet::new();
    for n in 0.. {
        let scheduled = plan.due(n);
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = tokio::time::sleep_until((started + scheduled).into()) => {}
        }
        let (client, log, keep_alive) = (Arc::clone(&client), Arc::clone(&log), plan.keeps_alive(n));
        flying.spawn(async move {
            let sent = started.elapsed();
            let answer = client.ask(keep_alive).await;
            let sample = Sample {
                scheduled,
                sent,
                latency: answer.latency,
                outcome: answer.outcome,
                connection: answer.connection,
                version: answer.version,
                pod: answer.pod,
            };
            lock(&log).add(sample);
        });
        while flying.try_join_next().is_some() {}
    }
    // Each ends within the plan's time-out.
    while flying.join_next().await.is_some() {}
}

impl Log {
    fn add(&mut self, sample: Sample) {
        self.tally.add(&sample);
        if self.samples.len() < LOGGED {
            self.samples.push(sample);
        } else {
            self.unlogged.add(&sample);
        }
    }
}

impl Running {
    /// Counts since the start.
    pub fn tally(&self) -> Tally {
        lock(&self.log).tally.clone()
    }

    /// Counts of the requests that ended within the last `window`.
    pub fn recent(&self, window: Duration) -> Tally {
        let since = self.started.1.elapsed().saturating_sub(window);
        // Requests are logged as they end, so the newest stand at the end.
        lock(&self.log).samples.iter().rev().take_while(|sample| sample.ended() >= since).collect()
    }

    /// When it began.
    pub fn started(&self) -> Timestamp {
        self.started.0
    }

    /// Sends no more, waits for the answers still due (at most the plan's time-out) and returns the log.
    pub async fn stop(mut self) -> Record {
        self.stop.send_replace(true);
        // It only fails if it panicked or the runtime ends; what was logged is still worth returning.
        let _ = (&mut self.pace).await;
        let log = std::mem::take(&mut *lock(&self.log));
        Record::new(self.started.0, log.samples, log.unlogged)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pace.abort();
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
