//! A running load.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::client::Client;
use super::{Plan, Record, Sample, Tally};

/// The maximum number of logged requests (about 200 MB); later ones are only counted.
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
    /// Starts to send requests according to `plan`, on the current tokio runtime, until
    /// [`Running::stop`].
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
            let answer = client.send(keep_alive).await;
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
    // Each ends within the plan's timeout.
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
    /// Returns counts since the start.
    pub fn tally(&self) -> Tally {
        lock(&self.log).tally.clone()
    }

    /// Returns counts of the requests that ended within the last `window`.
    pub fn recent(&self, window: Duration) -> Tally {
        let since = self.started.1.elapsed().saturating_sub(window);
        // Requests are logged when they end, so the newest are at the end.
        lock(&self.log).samples.iter().rev().take_while(|sample| sample.ended() >= since).collect()
    }

    /// Returns when it began.
    pub fn started(&self) -> Timestamp {
        self.started.0
    }

    /// Stops sending, waits for outstanding answers (at most the plan's timeout) and returns the
    /// log.
    pub async fn stop(mut self) -> Record {
        self.stop.send_replace(true);
        // This only fails after a panic or at the end of the runtime; the log is still valid.
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
