//! The load generator against the demo app, over loopback.

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
    assert_eq!(of(Connection::Opened), 8, "the pool grows to its size and stays");
    assert!(of(Connection::Kept) > 0);
    assert!(of(Connection::New).abs_diff(record.requests() / 2) <= 1);
    assert_eq!(record.share("v1", record.started()..record.at(Duration::from_mins(1))), Some(1.0));
    assert_eq!(record.tally().by_pod.keys().map(|pod| &**pod).collect::<Vec<_>>(), ["web-1"]);
}

#[tokio::test]
async fn deliberate_errors_are_counted_apart_from_lost_requests() {
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
async fn an_app_that_is_asked_to_end_serves_on_and_then_loses_nothing_in_flight() {
    let (address, end, task) = app(&[("LATENCY", "50ms")]).await;
    let running = Load::start(plan(address, 50.0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    end.send(()).unwrap();
    // As a router would: take the traffic away while the app still serves.
    tokio::time::sleep(DRAIN.mul_f64(0.9)).await;
    let record = running.stop().await;
    assert_eq!(record.failed(), 0, "{record}");
    // While it drains, it tells clients to leave: connections are opened anew.
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
async fn a_server_that_says_nothing_times_out_and_a_kept_connection_that_breaks_is_a_failure() {
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
