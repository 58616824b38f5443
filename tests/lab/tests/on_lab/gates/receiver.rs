//! A webhook: a real HTTP server where the lab's configuration has one, that answers as it is told and keeps what came.

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

/// Longer than any call is waited for.
const FOREVER: Duration = Duration::from_mins(5);

/// How a call is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// With this status and text.
    Status(u16, &'static str),
    /// Never.
    Silence,
}

/// A call that came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Its headers, their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body, to the byte.
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// Its body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct Desk {
    replies: Mutex<VecDeque<Reply>>,
    calls: Mutex<Vec<Call>>,
}

/// The server, until it is dropped.
pub(crate) struct Receiver {
    desk: Arc<Desk>,
    count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Serves at this port of the host; calls are answered by these replies in order, and all later ones by the last.
    pub(crate) async fn serve(port: u16, replies: impl IntoIterator<Item = Reply>) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("192.0.2.10", port)).await?;
        let replies = Mutex::new(replies.into_iter().collect());
        let desk = Arc::new(Desk { replies, ..Desk::default() });
        let (counted, count) = watch::channel(0);
        let (all, counted) = (Arc::clone(&desk), Arc::new(counted));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (desk, counted) = (Arc::clone(&all), Arc::clone(&counted));
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer(request, Arc::clone(&desk), Arc::clone(&counted)));
                    // A caller that breaks off is no business of ours.
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { desk, count, task })
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.desk.calls).clone()
    }

    /// Waits until this many calls have come.
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
    desk: Arc<Desk>,
    counted: Arc<watch::Sender<usize>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = request.headers().iter().map(text).collect();
    let body = request.into_body().collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    lock(&desk.calls).push(Call { headers, body });
    let reply = {
        let mut replies = lock(&desk.replies);
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
