//! The node agent stops and starts again.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use lab::cluster::Cluster;
use lab::components::Part;
use lab::load::{Load, Plan};
use lab::paths::Layout;
use lab::support::{Demo, Failure, Space};
use nix::sys::signal::Signal;

use crate::{SOON, container, pods_of, ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_pods_keep_serving_without_the_node_agent_and_the_next_agent_restarts_them()
-> Result<(), Failure> {
    let cluster = Cluster::of(&Layout::of(std::env::var("LAB_NAME")?.parse()?)?);
    Space::run("agent-gone", async |space| {
        space.apply(&Demo::new("web", "v1").replicas(1).to_string()).await?;
        let pod = pods_of(space, "web", 1).await?.remove(0);
        let address = ready(space, &pod).await?.status.and_then(|status| status.pod_ip).expect("an address");
        let agent = cluster.record(Part::NodeAgent).expect("a node agent").process;
        agent.signal(Signal::SIGKILL)?;

        let load = Load::start(Plan::new(&format!("http://{address}:8080"), 50.0)?);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let record = load.stop().await;
        // Started before anything can fail this test, because other tests need it.
        cluster.start(Part::NodeAgent).await?;
        assert!(record.failed() == 0 && record.requests() > 40, "{record}");

        let (restarts, code) = space
            .until(&pod, "a restart by the new agent", SOON, |pod: &Pod| {
                let status = container(pod)?;
                let last = status.last_state.as_ref()?.terminated.as_ref()?;
                status.state.as_ref()?.running.as_ref()?;
                Some((status.restart_count, last.exit_code))
            })
            .await?;
        assert_eq!(
            (restarts, code),
            (1, 137),
            "the new agent ended the old agent's process and restarted it once"
        );
        let again = ready(space, &pod).await?;
        assert_eq!(
            again.status.and_then(|status| status.pod_ip).as_ref(),
            Some(&address),
            "the pod keeps its address"
        );
        Ok(())
    })
    .await
}
