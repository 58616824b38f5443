//! Serves `kubectl logs`, the only part of kubelet's API that the agent serves. It uses HTTPS with
//! a self-signed certificate; the API server does not verify it unless it is started with a
//! certificate authority for kubelets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::SeekFrom;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::host::Host;

/// Kubelet's port.
pub(crate) const PORT: u16 = 10250;
/// How often a followed log is checked for new lines.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The number of bytes of one read.
const CHUNK: usize = 64 * 1024;

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

/// The reason why logs can't be served.
#[derive(Debug, Error)]
pub(crate) enum LogsError {
    /// The port is in use, for example by another agent on this machine.
    #[error("could not listen: {0}")]
    Listen(#[from] std::io::Error),
    /// The certificate could not be created.
    #[error("could not create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate can't be used.
    #[error("could not use the certificate: {0}")]
    Tls(#[from] rustls::Error),
}

/// The lines of a log that a request selects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Only the last lines, this many.
    tail: Option<usize>,
    /// At most this many bytes.
    limit: Option<usize>,
    /// Also the lines that are written later.
    follow: bool,
}

/// Serves logs in a background task.
pub(crate) async fn serve(host: Arc<Host>) -> Result<(), LogsError> {
    let listener = TcpListener::bind(SocketAddr::new(host.address, PORT)).await?;
    let made = rcgen::generate_simple_self_signed([host.node.clone(), host.address.to_string()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (host, acceptor) = (Arc::clone(&host), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| answer(Arc::clone(&host), request));
                let builder = auto::Builder::new(TokioExecutor::new());
                // An error here means that the client closed the connection.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(())
}

async fn answer(host: Arc<Host>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let text_response = |status: StatusCode, text: &'static str| {
        let body: BoxStream<'static, _> =
            stream::iter([Ok(Frame::data(Bytes::from_static(text.as_bytes())))]).boxed();
        let mut response = Response::new(StreamBody::new(body));
        *response.status_mut() = status;
        response
    };
    let Some([namespace, pod, container]) = place(request.uri().path()) else {
        return Ok(text_response(StatusCode::NOT_FOUND, "only containerLogs is served here\n"));
    };
    let wanted = wanted(request.uri().query().unwrap_or_default());
    Ok(match text(host.log(namespace, pod, container), &wanted).await {
        Ok(body) => Response::new(StreamBody::new(body)),
        Err(_) => text_response(StatusCode::NOT_FOUND, "this container has no log\n"),
    })
}

/// Returns namespace, pod and container of `/containerLogs/NAMESPACE/POD/CONTAINER`.
fn place(path: &str) -> Option<[&str; 3]> {
    let parts: Vec<&str> = path.strip_prefix("/containerLogs/")?.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && !part.contains("..") && !part.contains('%');
    <[&str; 3]>::try_from(parts).ok().filter(|parts| parts.iter().all(plain))
}

fn wanted(query: &str) -> Wanted {
    let pairs: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let number = |name| pairs.get(name).and_then(|value| value.parse().ok());
    Wanted {
        tail: number("tailLines"),
        limit: number("limitBytes"),
        follow: pairs.get("follow").is_some_and(|value| *value == "true"),
    }
}

async fn text(
    log: PathBuf,
    wanted: &Wanted,
) -> std::io::Result<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>> {
    let content = tokio::fs::read(&log).await?;
    let end = content.len() as u64;
    let chosen = choose(&content, wanted).to_vec();
    let first = stream::iter([Ok(Frame::data(Bytes::from(chosen)))]);
    if !wanted.follow {
        return Ok(first.boxed());
    }
    let mut file = File::open(&log).await?;
    file.seek(SeekFrom::Start(end)).await?;
    let more = stream::unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk).await {
                Ok(0) => tokio::time::sleep(POLL_INTERVAL).await,
                Ok(read) => {
                    chunk.truncate(read);
                    return Some((Ok(Frame::data(Bytes::from(chunk))), file));
                }
                Err(error) => return Some((Err(error), file)),
            }
        }
    });
    Ok(first.chain(more).boxed())
}

fn choose<'a>(content: &'a [u8], wanted: &Wanted) -> &'a [u8] {
    let mut chosen = content;
    if let Some(lines) = wanted.tail {
        let body = content.strip_suffix(b"\n").unwrap_or(content);
        let mut breaks =
            body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        chosen = match lines {
            0 => &[],
            _ => &content[breaks.nth(lines - 1).unwrap_or(0)..],
        };
    }
    &chosen[..chosen.len().min(wanted.limit.unwrap_or(usize::MAX))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_namespace_pod_and_container_and_nothing_else() {
        assert_eq!(place("/containerLogs/shop/web-1/app"), Some(["shop", "web-1", "app"]));
        for bad in [
            "/containerLogs/shop/web-1",
            "/containerLogs/../x/app",
            "/containerLogs/a/b/c/d",
            "/pods",
            "/containerLogs///",
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn tail_and_byte_limit_select_the_lines() {
        let query = |text| wanted(text);
        let chosen = |text| String::from_utf8_lossy(choose(b"one\ntwo\nthree\n", &query(text))).into_owned();
        assert_eq!(chosen(""), "one\ntwo\nthree\n");
        assert_eq!(chosen("tailLines=2"), "two\nthree\n");
        assert_eq!(chosen("tailLines=9"), "one\ntwo\nthree\n");
        assert_eq!(chosen("tailLines=0"), "");
        assert_eq!(chosen("tailLines=1&limitBytes=3"), "thr");
        assert_eq!(choose(b"", &query("tailLines=2")), b"");
        assert!(query("follow=true&tailLines=1").follow && !query("follow=false").follow);
    }
}
