//! A webhook: a real HTTP server at the address in the lab's configuration. It sends the given
//! replies and records the calls.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lab::support::Failure;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer than the timeout of any call.
const FOREVER: Duration = Duration::from_mins(5);

/// The reply to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// A response with this status and text.
    Status(u16, &'static str),
    /// No response.
    Silence,
}

/// A call that was received.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The headers, with names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The raw body.
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    calls: Mutex<Vec<Call>>,
}

/// The server. Stops on drop.
pub(crate) struct Receiver {
    state: Arc<State>,
    count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Serves on this port of the host. Sends these replies in order, and the last one to all later
    /// calls.
    pub(crate) async fn serve(port: u16, replies: impl IntoIterator<Item = Reply>) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("192.0.2.10", port)).await?;
        let replies = Mutex::new(replies.into_iter().collect());
        let state = Arc::new(State { replies, ..State::default() });
        let (counted, count) = watch::channel(0);
        let (all, counted) = (Arc::clone(&state), Arc::new(counted));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, counted) = (Arc::clone(&all), Arc::clone(&counted));
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer(request, Arc::clone(&state), Arc::clone(&counted)));
                    // A connection that the caller closes is not an error.
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { state, count, task })
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }

    /// Waits until this many calls have been received.
    pub(crate) async fn called(&self, times: usize, limit: Duration) -> Result<(), Failure> {
        let mut count = self.count.clone();
        let came = tokio::time::timeout(limit, count.wait_for(|count| *count >= times)).await;
        came.map_err(|_| format!("{} calls within {limit:?}, not {times}", *self.count.borrow()))??;
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
    counted: Arc<watch::Sender<usize>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = request.headers().iter().map(text).collect();
    let body = request.into_body().collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    lock(&state.calls).push(Call { headers, body });
    let reply = {
        let mut replies = lock(&state.replies);
        if replies.len() > 1 { replies.pop_front() } else { replies.front().copied() }
    };
    counted.send_modify(|count| *count += 1);
    let (status, text) = match reply {
        Some(Reply::Status(status, text)) => (status, text),
        Some(Reply::Silence) | None => {
            tokio::time::sleep(FOREVER).await;
            (500, "")
        }
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response)
}
