//! A Prometheus that has its moods: a real HTTP server between Steelyard and the lab's Prometheus.

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

/// Where the source `odd` of the lab's values is.
const ADDRESS: &str = "192.0.2.10:9095";
/// Where it serves by TLS.
pub(crate) const SEALED: &str = "192.0.2.10:9443";
/// Longer than any source waits.
const FOREVER: Duration = Duration::from_mins(5);

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As Prometheus does.
    Honest,
    /// As Prometheus answers another question.
    Instead(&'static str),
    /// With this status, and a page for people.
    Status(u16),
    /// With 200 and this body.
    Body(&'static str),
    /// Never.
    Silence,
}

/// How questions are answered, and what they must carry.
#[derive(Default)]
struct Manners {
    moods: Mutex<BTreeMap<String, Mood>>,
    key: Option<&'static str>,
    prometheus: String,
}

/// The server, until it is dropped.
pub(crate) struct Odd {
    manners: Arc<Manners>,
    task: JoinHandle<()>,
}

impl Odd {
    /// Serves; each question about the pods of one of these applications is answered in its mood, others honestly.
    pub(crate) async fn serve(moods: impl IntoIterator<Item = (String, Mood)>) -> Result<Self, Failure> {
        let listener = TcpListener::bind(ADDRESS).await?;
        let prometheus = format!("{}/api/v1/query", std::env::var("LAB_PROMETHEUS")?);
        let moods = Mutex::new(moods.into_iter().collect());
        let manners = Arc::new(Manners { moods, key: None, prometheus });
        let all = Arc::clone(&manners);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&all)));
            }
        });
        Ok(Self { manners, task })
    }

    /// Serves honestly at [`SEALED`], by TLS with the lab's own certificate, whoever sends `key` as Authorization.
    pub(crate) async fn sealed(key: &'static str) -> Result<Self, Failure> {
        let listener = TcpListener::bind(SEALED).await?;
        let prometheus = format!("{}/api/v1/query", std::env::var("LAB_PROMETHEUS")?);
        let manners = Arc::new(Manners { key: Some(key), prometheus, ..Manners::default() });
        let certs = PathBuf::from(std::env::var("LAB_DIR")?).join("certs");
        let chain = CertificateDer::pem_file_iter(certs.join("server.crt"))?.collect::<Result<_, _>>()?;
        let own = PrivateKeyDer::from_pem_file(certs.join("server.key"))?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, own)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let all = Arc::clone(&manners);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, manners) = (acceptor.clone(), Arc::clone(&all));
                tokio::spawn(async move {
                    // Who does not trust the certificate breaks off.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream, manners).await;
                    }
                });
            }
        });
        Ok(Self { manners, task })
    }

    /// From now on every question is answered as Prometheus does.
    pub(crate) fn heal(&self) {
        self.manners.moods.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, manners: Arc<Manners>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&manners)));
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that breaks off is no business of ours.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    manners: Arc<Manners>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let reply = |status: u16, body: Vec<u8>| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        Ok(response)
    };
    if request.uri().path() != "/odd/api/v1/query" {
        return reply(404, b"this is not the way".to_vec());
    }
    let carried = request.headers().get(http::header::AUTHORIZATION);
    if manners.key.is_some_and(|key| carried.is_none_or(|value| value != key)) {
        return reply(401, b"<html>who are you?</html>".to_vec());
    }
    let Ok(body) = request.into_body().collect().await else { return reply(400, Vec::new()) };
    let mut form = fields(&body.to_bytes());
    let query = form.get("query").cloned().unwrap_or_default();
    let mood = {
        let moods = manners.moods.lock().unwrap_or_else(PoisonError::into_inner);
        let named = moods.iter().find(|(name, _)| query.contains(&format!("\"{name}-")));
        named.map_or(Mood::Honest, |(_, mood)| *mood)
    };
    match mood {
        Mood::Honest => {}
        Mood::Instead(other) => drop(form.insert("query".to_owned(), other.to_owned())),
        Mood::Status(status) => return reply(status, b"<html>we are sorry</html>".to_vec()),
        Mood::Body(text) => return reply(200, text.as_bytes().to_vec()),
        Mood::Silence => tokio::time::sleep(FOREVER).await,
    }
    let Ok(mut url) = reqwest::Url::parse(&manners.prometheus) else { return reply(500, Vec::new()) };
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
