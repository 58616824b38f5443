//! The cost of a native rollout, as the baseline for comparison.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use lab::load::{Load, Plan, Record};
use lab::support::{Demo, Failure, Space, routed, tell};

use crate::SOON;

/// Requests per second on each of the two paths (Gateway and `ClusterIP`).
const RATE: f64 = 100.0;

fn check(way: &str, record: &Record, pushed: jiff::Timestamp) {
    tell(format_args!("{way}: {record}"));
    let first = record.first("v2").expect("v2 answered");
    let last = record.last("v1").expect("v1 answered");
    tell(format_args!("{way}: first v2 {:#} after the change, last v1 {:#}", first - pushed, last - pushed));
    assert!(record.first("v1").expect("v1 answered") < pushed, "v1 served before the change");
    assert!(first > pushed, "v2 served only after the change");
    let end = record.at(record.samples().last().expect("requests").ended());
    assert_eq!(record.share("v2", end - Duration::from_secs(1)..end), Some(1.0), "only v2 serves at the end");
    assert_eq!(record.failed(), record.lost(), "the app itself returns no error");
    let latest = record.samples().iter().map(|sample| sample.scheduled).max().unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let due = (latest.as_secs_f64() * RATE).round() as usize + 1;
    assert_eq!(record.samples().len(), due, "the log has every scheduled request");
    // A native rollout loses a few requests, because the router learns of terminating pods too
    // late. Many lost requests mean a broken lab.
    assert!(record.failed() * 20 < record.requests(), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_native_rollout_under_load() -> Result<(), Failure> {
    Space::run("native-rollout", async |space| {
        let demo = Demo::new("web", "v1");
        space.apply(&demo.manifest(space.name())).await?;
        space.rolled_out("web", SOON).await?;
        let gateway = std::env::var("LAB_GATEWAY")?;
        let through_gateway = Plan::new(&gateway, RATE)?.host(&demo.host(space.name()));
        routed(&through_gateway, SOON).await?;
        let address = space
            .until::<Service, _>("web", "an address of Service web", SOON, |service| {
                service.spec.as_ref()?.cluster_ip.clone()
            })
            .await?;
        let through_service = Plan::new(&format!("http://{address}"), RATE)?;
        routed(&through_service, SOON).await?;

        let (gateway, service) = (Load::start(through_gateway), Load::start(through_service));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let pushed = jiff::Timestamp::now();
        space.apply(&demo.tag("v2").to_string()).await?;
        space.rolled_out("web", SOON).await?;
        tell(format_args!("rolled out in {:#}", jiff::Timestamp::now() - pushed));
        // Terminating pods serve for two more seconds, and their kept-alive connections last as
        // long.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let (gateway, service) = (gateway.stop().await, service.stop().await);
        check("through the Gateway", &gateway, pushed);
        check("through the Service", &service, pushed);
        Ok(())
    })
    .await
}
