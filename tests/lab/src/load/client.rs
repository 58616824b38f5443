//! The client: sends one request over a new connection or one of the pool, without retries.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{Connection, Outcome, Plan, connection::Sender};

/// The result of one request.
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) latency: Duration,
    pub(crate) connection: Connection,
    pub(crate) version: Option<Arc<str>>,
    pub(crate) pod: Option<Arc<str>>,
}

/// Sends the requests of one plan.
pub(crate) struct Client {
    plan: Plan,
    pool: Mutex<Pool>,
    names: Mutex<BTreeMap<Box<str>, Arc<str>>>,
}

/// Idle kept-alive connections, longest idle first: using them in rotation keeps each in use and
/// spreads them over the pods.
#[derive(Default)]
struct Pool {
    idle: VecDeque<Sender>,
    open: usize,
}

impl Client {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, pool: Mutex::default(), names: Mutex::default() }
    }

    /// Sends one request and waits for its answer, at most for the plan's timeout.
    pub(crate) async fn send(&self, keep_alive: bool) -> Answer {
        let began = Instant::now();
        let idle = if keep_alive { self.take() } else { None };
        let connection = match (&idle, keep_alive) {
            (Some(_), _) => Connection::Kept,
            (None, true) => Connection::Opened,
            (None, false) => Connection::New,
        };
        let mut answer = Answer {
            outcome: Outcome::TimedOut,
            latency: Duration::ZERO,
            connection,
            version: None,
            pod: None,
        };
        let mut pooled = idle.is_some();
        let work = async {
            let mut sender = match idle {
                Some(sender) => sender,
                None => match Sender::connect(&self.plan).await {
                    Ok(sender) => sender,
                    Err(error) => {
                        answer.outcome = Outcome::Refused(self.name(&innermost(&*error)));
                        return None;
                    }
                },
            };
            if keep_alive && !pooled {
                self.pool().open += 1;
                pooled = true;
            }
            match sender.exchange(&self.plan, keep_alive).await {
                Ok((status, headers)) => {
                    let named =
                        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(|v| self.name(v));
                    answer.outcome = Outcome::Status(status.as_u16());
                    (answer.version, answer.pod) = (named("x-version"), named("x-pod"));
                    Some(sender)
                }
                Err(error) => {
                    answer.outcome = Outcome::Broken(self.name(&innermost(&*error)));
                    None
                }
            }
        };
        let sender = timeout(self.plan.timeout, work).await.unwrap_or(None);
        answer.latency = began.elapsed();
        if pooled {
            self.release(sender).await;
        }
        answer
    }

    /// Returns the connection that has been idle longest, unless the pool has not reached its size.
    /// Connections that the server closed meanwhile are dropped.
    fn take(&self) -> Option<Sender> {
        let mut pool = self.pool();
        while let Some(sender) = pool.idle.pop_front() {
            if sender.is_closed() {
                pool.open -= 1;
            } else if pool.open < self.plan.connections {
                pool.idle.push_front(sender);
                return None;
            } else {
                return Some(sender);
            }
        }
        None
    }

    /// Returns a connection to the pool, or counts it as closed if it can't be used again.
    async fn release(&self, sender: Option<Sender>) {
        // Not ready at once means that the answer had `connection: close`, or that the server is
        // gone.
        let ready = match sender {
            Some(mut sender) => sender.ready().await.then_some(sender),
            None => None,
        };
        let mut pool = self.pool();
        match ready {
            Some(sender) if pool.open <= self.plan.connections => pool.idle.push_back(sender),
            _ => pool.open -= 1,
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the shared copy of a name or error, so that a long log stays small.
    fn name(&self, text: &str) -> Arc<str> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = Arc::from(text);
        names.insert(Box::from(text), Arc::clone(&name));
        name
    }
}

/// Returns the innermost cause: "connection refused" rather than "client error".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
