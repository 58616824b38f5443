//! Unary gRPC calls: every method of every service returns the same answer, an empty message. The
//! framing is that of the gRPC over HTTP/2 protocol; with one empty message each way, no code needs
//! to be generated.

use std::convert::Infallible;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};

use super::server::Body;

/// An empty message: not compressed, length 0.
const EMPTY: [u8; 5] = [0; 5];
/// The status of a successful call.
const OK: HeaderValue = HeaderValue::from_static("0");
/// The status of a call that failed on the server (`INTERNAL`).
const INTERNAL: HeaderValue = HeaderValue::from_static("13");

/// Returns whether a request is a gRPC call.
pub(super) fn is_call(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    request.method() == Method::POST && kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Returns the answer to a call: the status is in the trailers, after the message.
pub(super) fn answer(fails: bool) -> Response<Body> {
    let message = if fails { Bytes::new() } else { Bytes::from_static(&EMPTY) };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", if fails { INTERNAL } else { OK });
    let body = Full::new(message).with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
