//! A Prometheus with configurable answers: an HTTP server between Steelyard and the lab's
//! Prometheus.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lab::support::Failure;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The address of the source `odd` in the lab's values.
const ADDRESS: &str = "192.0.2.10:9095";
/// The address where it serves with TLS.
pub(crate) const TLS_ADDRESS: &str = "192.0.2.10:9443";
/// Longer than the timeout of any source.
const FOREVER: Duration = Duration::from_mins(5);

/// The answer to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The answer of Prometheus.
    Real,
    /// The answer of Prometheus to another query.
    OtherQuery(&'static str),
    /// This status, with an HTML page.
    Status(u16),
    /// Status 200 and this body.
    Body(&'static str),
    /// No answer.
    Silence,
}

/// The answers, and the key that a query must carry.
#[derive(Default)]
struct Settings {
    answers: Mutex<BTreeMap<String, Answer>>,
    key: Option<&'static str>,
    prometheus: String,
}

/// The server. Stops on drop.
pub(crate) struct FakePrometheus {
    settings: Arc<Settings>,
    task: JoinHandle<()>,
}

impl FakePrometheus {
    /// Serves these answers for queries about the pods of the named applications, and real answers
    /// for other queries.
    pub(crate) async fn serve(answers: impl IntoIterator<Item = (String, Answer)>) -> Result<Self, Failure> {
        let listener = TcpListener::bind(ADDRESS).await?;
        let prometheus = format!("{}/api/v1/query", std::env::var("LAB_PROMETHEUS")?);
        let answers = Mutex::new(answers.into_iter().collect());
        let settings = Arc::new(Settings { answers, key: None, prometheus });
        let all = Arc::clone(&settings);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&all)));
            }
        });
        Ok(Self { settings, task })
    }

    /// Serves real answers at [`TLS_ADDRESS`], with the lab's certificate, to clients that send
    /// `key` as Authorization.
    pub(crate) async fn serve_tls(key: &'static str) -> Result<Self, Failure> {
        let listener = TcpListener::bind(TLS_ADDRESS).await?;
        let prometheus = format!("{}/api/v1/query", std::env::var("LAB_PROMETHEUS")?);
        let settings = Arc::new(Settings { key: Some(key), prometheus, ..Settings::default() });
        let certs = PathBuf::from(std::env::var("LAB_DIR")?).join("certs");
        let chain = CertificateDer::pem_file_iter(certs.join("server.crt"))?.collect::<Result<_, _>>()?;
        let own = PrivateKeyDer::from_pem_file(certs.join("server.key"))?;
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, own)?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let all = Arc::clone(&settings);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, settings) = (acceptor.clone(), Arc::clone(&all));
                tokio::spawn(async move {
                    // A client that does not trust the certificate closes the connection.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream, settings).await;
                    }
                });
            }
        });
        Ok(Self { settings, task })
    }

    /// Gives the real answer to every query from now on.
    pub(crate) fn answer_normally(&self) {
        self.settings.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for FakePrometheus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, settings: Arc<Settings>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&settings)));
    let connection = hyper::server::conn::http1::Builder::new();
    // A connection that the client closes is not an error.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    settings: Arc<Settings>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let reply = |status: u16, body: Vec<u8>| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        Ok(response)
    };
    if request.uri().path() != "/odd/api/v1/query" {
        return reply(404, b"not found".to_vec());
    }
    let carried = request.headers().get(http::header::AUTHORIZATION);
    if settings.key.is_some_and(|key| carried.is_none_or(|value| value != key)) {
        return reply(401, b"<html>unauthorized</html>".to_vec());
    }
    let Ok(body) = request.into_body().collect().await else { return reply(400, Vec::new()) };
    let mut form = fields(&body.to_bytes());
    let query = form.get("query").cloned().unwrap_or_default();
    let chosen = {
        let answers = settings.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let named = answers.iter().find(|(name, _)| query.contains(&format!("\"{name}-")));
        named.map_or(Answer::Real, |(_, chosen)| *chosen)
    };
    match chosen {
        Answer::Real => {}
        Answer::OtherQuery(other) => drop(form.insert("query".to_owned(), other.to_owned())),
        Answer::Status(status) => return reply(status, b"<html>an error page</html>".to_vec()),
        Answer::Body(text) => return reply(200, text.as_bytes().to_vec()),
        Answer::Silence => tokio::time::sleep(FOREVER).await,
    }
    let Ok(mut url) = reqwest::Url::parse(&settings.prometheus) else { return reply(500, Vec::new()) };
    url.query_pairs_mut().extend_pairs(&form);
    let client = reqwest::Client::builder().no_proxy().build();
    let Ok(client) = client else { return reply(500, Vec::new()) };
    match client.get(url).send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            reply(status, response.bytes().await.map(|body| body.to_vec()).unwrap_or_default())
        }
        Err(_) => reply(502, Vec::new()),
    }
}

/// The fields of a form.
fn fields(body: &[u8]) -> BTreeMap<String, String> {
    let text = format!("http://form/?{}", String::from_utf8_lossy(body));
    let Ok(url) = reqwest::Url::parse(&text) else { return BTreeMap::new() };
    url.query_pairs().into_owned().collect()
}
