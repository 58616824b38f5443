//! One connection to a server, for sequential requests.

use std::error::Error;

use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TE};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Plan, Protocol};

/// An error of a connection or of an answer.
pub(crate) type Broken = Box<dyn Error + Send + Sync>;

/// A connection of one of the protocols.
pub(crate) enum Sender {
    Http(http1::SendRequest<Empty<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    /// Connects to the plan's address.
    pub(crate) async fn connect(plan: &Plan) -> Result<Self, Broken> {
        let stream = TcpStream::connect(plan.address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        // A connection ends with its sender, or when the server closes it; the sender then reports
        // it.
        Ok(match plan.protocol {
            Protocol::Http => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Self::Http(sender)
            }
            Protocol::Grpc => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Self::Grpc(sender)
            }
        })
    }

    /// Sends one request and reads its whole answer. A gRPC call that is not `OK` counts as status
    /// 500.
    pub(crate) async fn exchange(
        &mut self,
        plan: &Plan,
        keep_alive: bool,
    ) -> Result<(StatusCode, HeaderMap), Broken> {
        match self {
            Self::Http(sender) => {
                let answer = sender.send_request(get(plan, keep_alive)).await?;
                let (status, headers, _) = read(answer).await?;
                Ok((status, headers))
            }
            Self::Grpc(sender) => {
                let answer = sender.send_request(call(plan)?).await?;
                let (status, headers, trailers) = read(answer).await?;
                // A call that fails at once has its status in the headers.
                let grpc_status = trailers.get("grpc-status").or_else(|| headers.get("grpc-status"));
                let good = grpc_status.is_some_and(|grpc_status| grpc_status == "0");
                let status =
                    if status.is_success() && !good { StatusCode::INTERNAL_SERVER_ERROR } else { status };
                Ok((status, headers))
            }
        }
    }

    /// Returns whether the server closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http(sender) => sender.is_closed(),
            Self::Grpc(sender) => sender.is_closed(),
        }
    }

    /// Returns whether the connection accepts another request.
    pub(crate) async fn ready(&mut self) -> bool {
        match self {
            Self::Http(sender) => sender.ready().await.is_ok(),
            Self::Grpc(sender) => sender.ready().await.is_ok(),
        }
    }
}

fn get(plan: &Plan, keep_alive: bool) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    if let Ok(uri) = plan.path.parse() {
        *request.uri_mut() = uri;
    }
    if let Ok(host) = HeaderValue::from_str(&plan.host) {
        request.headers_mut().insert(HOST, host);
    }
    if !keep_alive {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    request
}

/// Returns a call with an empty message.
fn call(plan: &Plan) -> Result<Request<Full<Bytes>>, http::Error> {
    let uri = Uri::builder().scheme("http").authority(plan.host.as_str()).path_and_query(plan.path.as_str());
    Request::builder()
        .method(Method::POST)
        .uri(uri.build()?)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(TE, HeaderValue::from_static("trailers"))
        .body(Full::new(Bytes::from_static(&[0; 5])))
}

/// Reads an answer to its end: status, headers and trailers.
async fn read(answer: http::Response<Incoming>) -> Result<(StatusCode, HeaderMap, HeaderMap), hyper::Error> {
    let (head, mut body) = answer.into_parts();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        if let Ok(last) = frame?.into_trailers() {
            trailers = last;
        }
    }
    Ok((head.status, head.headers, trailers))
}
