//! The demo app's HTTP server: HTTP/1.1 and HTTP/2 without TLS on one port.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use super::metrics::Metrics;
use super::{Faults, Settings};

/// How long the app goes on serving after it was asked to end: routers need this long to notice.
pub const DRAIN: Duration = Duration::from_secs(2);

/// How long requests in flight may take to finish after that.
const FINISH: Duration = Duration::from_secs(5);

/// Why the app ended other than as asked.
#[derive(Debug, Error)]
pub enum AppError {
    /// A setting that no header can carry.
    #[error("{0:?} can't be sent in a header")]
    Header(String),
    /// `CRASH_AFTER` is over.
    #[error("crashed after {0:?}, as CRASH_AFTER asked")]
    Crash(Duration),
}

struct App {
    settings: Settings,
    version: HeaderValue,
    pod: HeaderValue,
    started: Instant,
    draining: AtomicBool,
    faults: Mutex<Faults>,
    metrics: Metrics,
}

/// Serves on `listener` until `ended` resolves, then [`DRAIN`] longer (telling HTTP/1 clients to close their
/// connections); then accepts no more, lets requests in flight finish, ends idle connections (HTTP/2 by GOAWAY) and
/// returns.
///
/// Fails when `CRASH_AFTER` is over, dropping what is in flight.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    ended: impl Future<Output = ()>,
) -> Result<(), AppError> {
    let header = |text: &str| HeaderValue::from_str(text).map_err(|_| AppError::Header(text.to_owned()));
    let app = Arc::new(App {
        version: header(&settings.version)?,
        pod: header(&settings.pod)?,
        started: Instant::now(),
        draining: AtomicBool::new(false),
        faults: Mutex::new(Faults::new(settings.error_ppm, settings.errors_above_rps)),
        metrics: Metrics::new(),
        settings,
    });
    let graceful = GracefulShutdown::new();
    let crash_after = app.settings.crash_after;
    let crash = async {
        match crash_after {
            Some(after) => {
                tokio::time::sleep(after).await;
                after
            }
            None => std::future::pending().await,
        }
    };
    let drained = async {
        ended.await;
        app.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(DRAIN).await;
    };
    tokio::pin!(crash, drained);
    loop {
        tokio::select! {
            biased;
            after = &mut crash => return Err(AppError::Crash(after)),
            () = &mut drained => break,
            accepted = listener.accept() => accept(accepted, &app, &graceful).await,
        }
    }
    drop(listener);
    // Whatever is still open after that is cut when the process ends.
    let _ = tokio::time::timeout(FINISH, graceful.shutdown()).await;
    Ok(())
}

async fn accept(
    accepted: io::Result<(TcpStream, std::net::SocketAddr)>,
    app: &Arc<App>,
    graceful: &GracefulShutdown,
) {
    let Ok((stream, _)) = accepted else {
        // Out of file descriptors, say: without a pause this would spin.
        tokio::time::sleep(Duration::from_millis(10)).await;
        return;
    };
    let _ = stream.set_nodelay(true);
    let app = Arc::clone(app);
    let service = service_fn(move |request| answer(Arc::clone(&app), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        // A client that breaks off is no business of the app's.
        let _ = connection.await;
    });
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match request.uri().path() {
        "/healthz" if app.started.elapsed() < app.settings.start_delay => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "starting\n".into())
        }
        "/healthz" => plain(StatusCode::OK, "text/plain", "ok\n".into()),
        "/metrics" => plain(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            app.metrics.text(),
        ),
        _ => app.work().await,
    };
    if app.draining.load(Ordering::Relaxed) && request.version() <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

impl App {
    async fn work(&self) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let fails = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            // Taken under the lock, so that time never goes back between two requests.
            faults.strikes(Instant::now())
        };
        if !self.settings.latency.is_zero() {
            tokio::time::sleep(self.settings.latency).await;
        }
        let (status, code) =
            if fails { (StatusCode::INTERNAL_SERVER_ERROR, "500") } else { (StatusCode::OK, "200") };
        let body = serde_json::json!({"version": self.settings.version, "pod": self.settings.pod});
        let mut response = plain(status, "application/json", format!("{body}\n"));
        response.headers_mut().insert("x-version", self.version.clone());
        response.headers_mut().insert("x-pod", self.pod.clone());
        self.metrics.count(code, began.elapsed());
        response
    }
}

fn plain(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
