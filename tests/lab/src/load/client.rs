//! The client: one request over a connection of its own or of the pool, without retries.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Connection, Outcome, Plan};

type Sender = SendRequest<Empty<Bytes>>;

/// What one request came to.
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) latency: Duration,
    pub(crate) connection: Connection,
    pub(crate) version: Option<Arc<str>>,
    pub(crate) pod: Option<Arc<str>>,
}

/// Sends requests for one plan; shared by all of them.
pub(crate) struct Client {
    plan: Plan,
    pool: Mutex<Pool>,
    names: Mutex<BTreeMap<Box<str>, Arc<str>>>,
}

/// Idle kept-alive connections, longest idle first: taking turns keeps each in use and spreads them over the pods.
#[derive(Default)]
struct Pool {
    idle: VecDeque<Sender>,
    open: usize,
}

impl Client {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, pool: Mutex::default(), names: Mutex::default() }
    }

    /// Sends one request and waits for its answer, at most as long as the plan allows.
    pub(crate) async fn ask(&self, keep_alive: bool) -> Answer {
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
                None => match self.connect().await {
                    Ok(sender) => sender,
                    Err(error) => {
                        answer.outcome = Outcome::Refused(self.name(&deepest(&*error)));
                        return None;
                    }
                },
            };
            if keep_alive && !pooled {
                self.pool().open += 1;
                pooled = true;
            }
            match self.exchange(&mut sender, keep_alive).await {
                Ok((status, headers)) => {
                    let named =
                        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(|v| self.name(v));
                    answer.outcome = Outcome::Status(status.as_u16());
                    (answer.version, answer.pod) = (named("x-version"), named("x-pod"));
                    Some(sender)
                }
                Err(error) => {
                    answer.outcome = Outcome::Broken(self.name(&deepest(&error)));
                    None
                }
            }
        };
        let sender = timeout(self.plan.timeout, work).await.unwrap_or(None);
        answer.latency = began.elapsed();
        if pooled {
            self.give_back(sender).await;
        }
        answer
    }

    async fn connect(&self) -> Result<Sender, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(self.plan.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, or when the server closes; either way the sender knows.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange(
        &self,
        sender: &mut Sender,
        keep_alive: bool,
    ) -> Result<(StatusCode, HeaderMap), hyper::Error> {
        let mut request = Request::new(Empty::new());
        if let Ok(uri) = self.plan.path.parse() {
            *request.uri_mut() = uri;
        }
        if let Ok(host) = HeaderValue::from_str(&self.plan.host) {
            request.headers_mut().insert(HOST, host);
        }
        if !keep_alive {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let (head, mut body) = sender.send_request(request).await?.into_parts();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok((head.status, head.headers))
    }

    /// The connection that has been idle longest, unless the pool is still to grow. Those that the server closed
    /// meanwhile are dropped.
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

    /// Puts a connection back into the pool, or counts it as gone if it can't be used again.
    async fn give_back(&self, sender: Option<Sender>) {
        // Not ready at once means that the answer said `connection: close`, or that the server is gone.
        let ready = match sender {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
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

    /// The one shared copy of a name or error, so that a long log stays small.
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

/// The innermost cause: "connection refused" rather than "client error".
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
