//! The demo app's server: HTTP/1.1, HTTP/2 without TLS and gRPC on one port.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use super::metrics::Metrics;
use super::{Faults, Settings, grpc};

/// The body of an answer.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// How long the app keeps serving after SIGTERM: routers need this long to notice.
pub const DRAIN: Duration = Duration::from_secs(2);

/// How long requests in flight may take to finish after that.
const FINISH: Duration = Duration::from_secs(5);

/// The reason why the app ended on its own.
#[derive(Debug, Error)]
pub enum AppError {
    /// The setting can't be sent in a header.
    #[error("{0:?} can't be sent in a header")]
    Header(String),
    /// `CRASH_AFTER` is over.
    #[error("crashed after {0:?}, as CRASH_AFTER requires")]
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

/// Serves on `listener` until `ended` resolves, then for [`DRAIN`] longer (with `Connection: close`
/// for HTTP/1 clients). Then it accepts no more connections, finishes requests in flight, closes
/// idle connections (HTTP/2 with GOAWAY) and returns.
///
/// # Errors
///
/// Returns an error when `CRASH_AFTER` is over; requests in flight are dropped.
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
    // Connections that are still open after that are cut when the process ends.
    let _ = tokio::time::timeout(FINISH, graceful.shutdown()).await;
    Ok(())
}

async fn accept(
    accepted: io::Result<(TcpStream, std::net::SocketAddr)>,
    app: &Arc<App>,
    graceful: &GracefulShutdown,
) {
    let Ok((stream, _)) = accepted else {
        // For example, no file descriptors are left: without a pause this loop would spin.
        tokio::time::sleep(Duration::from_millis(10)).await;
        return;
    };
    let _ = stream.set_nodelay(true);
    let app = Arc::clone(app);
    let service = service_fn(move |request| answer(Arc::clone(&app), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        // An error here means that the client closed the connection.
        let _ = connection.await;
    });
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
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
        _ if grpc::is_call(&request) => app.work(grpc::answer).await,
        _ => {
            app.work(|fails| {
                let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
                plain(status, "application/json", app.greeting())
            })
            .await
        }
    };
    if app.draining.load(Ordering::Relaxed) && request.version() <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

impl App {
    /// Returns the body of an answer: the version and the pod.
    fn greeting(&self) -> String {
        format!("{}\n", serde_json::json!({"version": self.settings.version, "pod": self.settings.pod}))
    }

    /// Waits and answers with success or an error as the settings say. Both protocols count alike.
    async fn work(&self, answer: impl FnOnce(bool) -> Response<Body>) -> Response<Body> {
        let began = Instant::now();
        let fails = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            // Read the clock under the lock, so that time never decreases between two requests.
            faults.fails(Instant::now())
        };
        if !self.settings.latency.is_zero() {
            tokio::time::sleep(self.settings.latency).await;
        }
        let mut response = answer(fails);
        response.headers_mut().insert("x-version", self.version.clone());
        response.headers_mut().insert("x-pod", self.pod.clone());
        self.metrics.count(if fails { "500" } else { "200" }, began.elapsed());
        response
    }
}

fn plain(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
