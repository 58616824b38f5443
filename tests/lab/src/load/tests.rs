//! Tests of the load generator with the demo app, over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Connection, Load, Outcome, Plan};
use crate::app::{AppError, DRAIN, Settings, serve};

type App = (SocketAddr, oneshot::Sender<()>, JoinHandle<Result<(), AppError>>);

async fn app(pairs: &[(&str, &str)]) -> App {
    let read = |name: &str| match name {
        "VERSION" => Some("v1".to_owned()),
        "POD_NAME" => Some("web-1".to_owned()),
        _ => pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
    };
    let settings = Settings::read(read).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(serve(listener, settings, async move {
        let _ = ended.await;
    }));
    (address, end, task)
}

fn plan(address: SocketAddr, rate: f64) -> Plan {
    Plan::new(&format!("http://{address}"), rate).unwrap()
}

#[tokio::test]
async fn a_healthy_app_loses_no_request_of_either_kind() {
    let (address, _end, _task) = app(&[]).await;
    let running = Load::start(plan(address, 200.0));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let live = running.tally();
    assert!(live.total.requests >= 20, "{live:?}");
    let record = running.stop().await;
    assert_eq!(record.failed(), 0, "{record}");
    assert!(record.requests() >= live.total.requests && record.requests() <= 102, "{record}");
    let of = |kind| record.samples().iter().filter(|sample| sample.connection == kind).count() as u64;
    assert_eq!(of(Connection::Opened), 8, "the pool grows to its size and keeps it");
    assert!(of(Connection::Kept) > 0);
    assert!(of(Connection::New).abs_diff(record.requests() / 2) <= 1);
    assert_eq!(record.share("v1", record.started()..record.at(Duration::from_mins(1))), Some(1.0));
    assert_eq!(record.tally().by_pod.keys().map(|pod| &**pod).collect::<Vec<_>>(), ["web-1"]);
}

#[tokio::test]
async fn errors_of_the_app_are_counted_separately_from_lost_requests() {
    let (address, _end, _task) = app(&[("ERROR_RATE", "0.25")]).await;
    let running = Load::start(plan(address, 100.0));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let record = running.stop().await;
    assert_eq!(record.failed(), record.requests() / 4, "{record}");
    assert_eq!(record.lost(), 0, "{record}");
    assert!(record.first_bad("v1").is_some() && record.first_bad("v1") <= record.last_bad("v1"));
    assert!(record.first_bad("v2").is_none());
    assert!(record.to_string().contains("status 500"), "{record}");
}

#[tokio::test]
async fn a_terminated_app_drains_without_losing_a_request() {
    let (address, end, task) = app(&[("LATENCY", "50ms")]).await;
    let running = Load::start(plan(address, 50.0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    end.send(()).unwrap();
    // As a router does: withdraw the traffic while the app still serves.
    tokio::time::sleep(DRAIN.mul_f64(0.9)).await;
    let record = running.stop().await;
    assert_eq!(record.failed(), 0, "{record}");
    // A draining app closes connections, so new ones are opened.
    assert!(record.samples().iter().filter(|sample| sample.connection == Connection::Opened).count() > 20);
    task.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_crash_shows_as_broken_and_refused_requests() {
    let (address, _end, task) = app(&[("LATENCY", "100ms"), ("CRASH_AFTER", "300ms")]).await;
    let running = Load::start(plan(address, 100.0));
    assert!(matches!(task.await.unwrap(), Err(AppError::Crash(_))));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let record = running.stop().await;
    assert!(record.failures().any(|sample| matches!(sample.outcome, Outcome::Refused(_))), "{record}");
    assert_eq!(record.lost(), record.failed());
}

#[tokio::test]
async fn a_silent_server_times_out_and_a_broken_kept_connection_is_a_failure() {
    // Answers the first request of each connection, then closes at the next one.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    let mut breaking = plan(address, 50.0).kept_alive(1.0);
    breaking.connections = 2;
    let running = Load::start(breaking);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let record = running.stop().await;
    assert!(record.failed() >= 4, "{record}");
    for failure in record.failures() {
        assert_eq!(failure.connection, Connection::Kept, "{failure}");
        assert!(matches!(failure.outcome, Outcome::Broken(_)), "{failure}");
    }

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = Load::start(plan(silent.local_addr().unwrap(), 20.0).timeout(Duration::from_millis(100)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let record = running.stop().await;
    assert!(record.requests() >= 3);
    assert!(record.samples().iter().all(|sample| sample.outcome == Outcome::TimedOut), "{record}");
}

#[tokio::test]
async fn grpc_calls_are_counted_as_requests_and_fail_by_their_status() {
    let (address, _end, _task) = app(&[]).await;
    let running = Load::start(plan(address, 200.0).grpc("/demo.Demo/Work"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let record = running.stop().await;
    assert_eq!(record.failed(), 0, "{record}");
    assert!(record.requests() >= 20, "{record}");
    assert_eq!(record.tally().by_version.keys().map(|version| &**version).collect::<Vec<_>>(), ["v1"]);
    assert!(record.samples().iter().any(|sample| sample.connection == Connection::Kept));

    let (address, _end, _task) = app(&[("ERROR_RATE", "1")]).await;
    let running = Load::start(plan(address, 100.0).grpc("/demo.Demo/Work"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let record = running.stop().await;
    assert_eq!(record.failed(), record.requests(), "{record}");
    assert_eq!(record.tally().lost(), 0, "answered with an error: {record}");
}
