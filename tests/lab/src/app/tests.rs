//! Tests of the demo app over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{Settings, serve};

async fn app(pairs: &'static [(&str, &str)]) -> (SocketAddr, oneshot::Sender<()>) {
    let settings =
        Settings::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    tokio::spawn(serve(listener, settings, async move {
        let _ = ended.await;
    }));
    (address, end)
}

async fn http1(address: SocketAddr) -> http1::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(address: SocketAddr, path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{address}{path}")).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn http_2_works_without_tls_and_ends_with_goaway() {
    let (address, end) = app(&[("VERSION", "v7"), ("POD_NAME", "web-7")]).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(get(address, "/any/path")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.headers()["x-version"], "v7");
    assert_eq!(response.headers()["x-pod"], "web-7");
    assert_eq!(text(response).await, "{\"pod\":\"web-7\",\"version\":\"v7\"}\n");
    end.send(()).unwrap();
    // A connection that ends with GOAWAY ends without an error.
    tokio::time::timeout(Duration::from_secs(5), connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_app_is_not_healthy_before_its_start_delay_is_over() {
    let (address, _end) = app(&[("START_DELAY", "300ms")]).await;
    let mut sender = http1(address).await;
    assert_eq!(sender.send_request(get(address, "/healthz")).await.unwrap().status(), 503);
    tokio::time::sleep(Duration::from_millis(350)).await;
    sender.ready().await.unwrap();
    assert_eq!(sender.send_request(get(address, "/healthz")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_draining_app_answers_and_closes_http_1_connections() {
    let (address, end) = app(&[]).await;
    let mut sender = http1(address).await;
    let before = sender.send_request(get(address, "/")).await.unwrap();
    assert!(!before.headers().contains_key("connection"));
    drop(text(before).await);
    end.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    sender.ready().await.unwrap();
    let after = sender.send_request(get(address, "/")).await.unwrap();
    assert_eq!(after.status(), 200);
    assert_eq!(after.headers()["connection"], "close");
}

#[tokio::test]
async fn health_and_metrics_paths_are_not_counted_as_requests() {
    let (address, _end) = app(&[("ERROR_RATE", "1")]).await;
    let mut sender = http1(address).await;
    for path in ["/healthz", "/metrics", "/", "/shop"] {
        sender.ready().await.unwrap();
        drop(text(sender.send_request(get(address, path)).await.unwrap()).await);
    }
    sender.ready().await.unwrap();
    let metrics = text(sender.send_request(get(address, "/metrics")).await.unwrap()).await;
    assert!(metrics.contains("http_requests_total{code=\"500\"} 2\n"), "{metrics}");
    assert!(metrics.contains("http_requests_total{code=\"200\"} 0\n"), "{metrics}");
    assert!(metrics.contains("http_request_duration_seconds_count 2\n"), "{metrics}");
}

#[tokio::test]
async fn a_grpc_call_is_answered_with_its_status_in_the_trailers() {
    for (rate, status) in [("0", "0"), ("1", "13")] {
        let pairs: &'static [(&str, &str)] =
            if rate == "0" { &[("VERSION", "v7")] } else { &[("VERSION", "v7"), ("ERROR_RATE", "1")] };
        let (address, _end) = app(pairs).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let call = Request::post(format!("http://{address}/demo.Demo/Work"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(&[0; 5])))
            .unwrap();
        let response = sender.send_request(call).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-version"]),
            (200, &"v7".parse().unwrap())
        );
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().expect("trailers")["grpc-status"], status);
        assert_eq!(body.to_bytes().len(), if status == "0" { 5 } else { 0 });
    }
}
