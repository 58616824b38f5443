//! Faults of pods, injected by the node agent.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use lab::agent::control::Fault;
use lab::support::{Demo, Failure, Space};

use crate::{SOON, container, holds, pods_of, ready};

async fn unready(space: &Space, pod: &str) -> Result<(), Failure> {
    Ok(space.until(pod, "not ready", SOON, |pod: &Pod| (!holds(pod, "Ready")).then_some(())).await?)
}

/// Waits until Service `web` has this many ready endpoints.
async fn endpoints(space: &Space, count: usize) -> Result<(), Failure> {
    let slices = kube::runtime::watcher::Config::default().labels("kubernetes.io/service-name=web");
    let what = format!("{count} ready endpoints");
    Ok(space
        .until_all(slices, &what, SOON, |slices: &BTreeMap<String, EndpointSlice>| {
            let endpoints = slices.values().flat_map(|slice| slice.endpoints.iter());
            let ready = endpoints.filter(|endpoint| {
                endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
            });
            (ready.count() == count).then_some(())
        })
        .await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_pod_is_restarted() -> Result<(), Failure> {
    Space::run("kill", async |space| {
        space.apply(&Demo::new("web", "v1").replicas(1).to_string()).await?;
        let pod = pods_of(space, "web", 1).await?.remove(0);
        space.fault(Fault::Kill, &pod).await?;
        let code = space
            .until(&pod, "a restart", SOON, |pod: &Pod| {
                let status = container(pod)?;
                let last = status.last_state.as_ref()?.terminated.as_ref()?;
                (status.restart_count == 1).then_some(last.exit_code)
            })
            .await?;
        assert_eq!(code, 137);
        ready(space, &pod).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unready_pod_gets_no_traffic_until_it_is_ready_again() -> Result<(), Failure> {
    Space::run("unready", async |space| {
        space.apply(&Demo::new("web", "v1").replicas(2).manifest(space.name())).await?;
        let pod = pods_of(space, "web", 2).await?.remove(0);
        endpoints(space, 2).await?;
        space.fault(Fault::Unready, &pod).await?;
        unready(space, &pod).await?;
        endpoints(space, 1).await?;
        space.fault(Fault::Ready, &pod).await?;
        ready(space, &pod).await?;
        endpoints(space, 2).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_pod_fails_its_probe_and_recovers_when_thawed() -> Result<(), Failure> {
    Space::run("freeze", async |space| {
        space.apply(&Demo::new("web", "v1").replicas(1).to_string()).await?;
        let pod = pods_of(space, "web", 1).await?.remove(0);
        space.fault(Fault::Freeze, &pod).await?;
        unready(space, &pod).await?;
        space.fault(Fault::Thaw, &pod).await?;
        let pod = ready(space, &pod).await?;
        assert_eq!(container(&pod).map(|status| status.restart_count), Some(0), "the pod was not restarted");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_for_a_missing_pod_is_refused() -> Result<(), Failure> {
    Space::run("no-pod", async |space| {
        let refused = space.fault(Fault::Kill, "missing").await.expect_err("refused").to_string();
        assert!(refused.contains(&format!("no pod {}/missing", space.name())), "{refused}");
        Ok(())
    })
    .await
}
