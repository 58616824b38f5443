//! The handover under disturbance: each behavior of the Deployment controller towards a
//! `ReplicaSet` that is added while the Deployment is paused, where a test can produce it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use lab::agent::control::Fault;
use lab::cluster::Cluster;
use lab::components::Part;
use lab::load::{Load, Running};
use lab::paths::Layout;
use lab::support::{Demo, Failure, Policy, Rollout, Space, SupportError, Trail, Trails, tell};
use serde_json::json;

use crate::canary::{held, restarts};
use crate::{SOON, pods_of};

/// Requests per second on each of the two paths (Gateway and `ClusterIP`).
const RATE: f64 = 50.0;
/// The longest time that a stage of a rollout takes, on a busy machine too.
const LIMIT: Duration = Duration::from_mins(2);
/// How long a test checks that a handover does not continue.
const QUIET: Duration = Duration::from_secs(4);

/// An adopted Deployment that serves v1 with four pods under load on both paths, with a short step
/// before the handover.
struct Stage<'a> {
    space: &'a Space,
    gateway: Running,
    service: Running,
    trails: Trails,
    sets: Trail<ReplicaSet>,
    before: Vec<String>,
}

/// The pods at the end and during the rollout.
struct Ended {
    /// The pods that serve.
    pods: Vec<String>,
    /// All pods that the serving version ever had.
    started: Vec<String>,
    /// The pods of v1 before the push.
    before: Vec<String>,
    /// All pods that v1 ever had, including those from before the push.
    of_v1: Vec<String>,
    failed: u64,
    requests: u64,
}

impl Ended {
    /// Checks that no request failed and that v1 never had pods other than stable's.
    fn harmless(&self) {
        assert_eq!(self.failed, 0, "of {} requests", self.requests);
        assert_eq!(self.of_v1, self.before, "no pod of v1 was started");
    }

    /// Checks that no request failed and that only the serving pods were started for their version.
    fn spotless(&self, count: usize) {
        assert_eq!(self.failed, 0, "of {} requests", self.requests);
        assert_eq!(self.pods.len(), count, "{:?}", self.pods);
        assert_eq!(self.started, self.pods, "the measured pods serve and no other pod was started");
    }
}

/// The image of a `ReplicaSet`'s first container.
fn image(set: &ReplicaSet) -> &str {
    let spec = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    spec.and_then(|spec| spec.containers[0].image.as_deref()).unwrap_or_default()
}

/// The kind of the owner that controls a `ReplicaSet`.
fn controller(set: &ReplicaSet) -> &str {
    let owner = set.owner_references().iter().find(|owner| owner.controller == Some(true));
    owner.map_or("", |owner| owner.kind.as_str())
}

impl<'a> Stage<'a> {
    async fn set(space: &'a Space) -> Result<Self, Failure> {
        Self::of(space, &Demo::new("web", "v1")).await
    }

    /// With pods that keep serving until the router has removed them, for scaling down under
    /// traffic.
    async fn lingering(space: &'a Space) -> Result<Self, Failure> {
        Self::of(space, &Demo::new("web", "v1").linger(3)).await
    }

    async fn of(space: &'a Space, demo: &Demo) -> Result<Self, Failure> {
        let (gateway, service) = space.serve("web", demo, RATE).await?;
        let before = pods_of(space, "web", 4).await?;
        space.apply(&Policy::new("web").step(50, 1).to_string()).await?;
        space.adopt("web", "web").await?;
        let trails = Trails::follow(space, "web");
        let sets = Trail::follow(space, watcher::Config::default());
        let (gateway, service) = (Load::start(gateway), Load::start(service));
        Ok(Self { space, gateway, service, trails, sets, before })
    }

    /// Pushes `demo:TAG`.
    async fn push(&self, tag: &str) -> Result<(), SupportError> {
        let image = format!("app=demo:{tag}");
        self.space.kubectl(&["set", "image", "deployment/web", &image]).await?;
        Ok(())
    }

    /// Waits until the Services select only the canary and stable drains. The transfer follows.
    async fn draining(&self) -> Result<(), SupportError> {
        let draining = |rollout: &Rollout| {
            let stage = rollout.text("/trial/handover") == "Narrowing";
            (stage && rollout.text("/waiting/reason") == "Draining").then_some(())
        };
        self.space.until("web", "stable drains before the transfer", LIMIT, draining).await
    }

    /// Waits until the next write is the transfer.
    async fn transferring(&self) -> Result<(), SupportError> {
        let transferring =
            |rollout: &Rollout| (rollout.text("/trial/handover") == "Transferring").then_some(());
        self.space.until("web", "about to adopt", LIMIT, transferring).await
    }

    /// Waits until an object of this kind controls the `ReplicaSet` of `demo:TAG`. Returns its
    /// name.
    async fn controlled(&self, tag: &str, kind: &str) -> Result<String, SupportError> {
        let (wanted, what) =
            (format!("demo:{tag}"), format!("the ReplicaSet of {tag} controlled by a {kind}"));
        let all = watcher::Config::default();
        let found = |sets: &BTreeMap<String, ReplicaSet>| {
            let set = sets.values().find(|set| image(set) == wanted && controller(set) == kind)?;
            Some(set.name_any())
        };
        self.space.until_all(all, &what, LIMIT, found).await
    }

    /// Scales through the API, because kubectl takes time to start.
    async fn scale(&self, replicas: i32) -> Result<(), Failure> {
        let patch = json!({"spec": {"replicas": replicas}});
        let api = self.space.api::<Deployment>();
        api.patch_scale("web", &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Waits until `demo:TAG` is handed over with four pods; no request failed and no other pod was
    /// started.
    async fn ends_well(self, tag: &str) -> Result<(), Failure> {
        let ended = self.end(tag, 4).await?;
        ended.spotless(4);
        ended.harmless();
        Ok(())
    }

    /// Waits until `demo:TAG` is handed over with `count` pods. Returns what happened until then.
    async fn end(self, tag: &str, count: usize) -> Result<Ended, Failure> {
        let Self { space, gateway, service, trails, sets, before } = self;
        let complete = |rollout: &Rollout| rollout.complete(tag).then_some(());
        space.until("web", &format!("{tag} Complete"), LIMIT, complete).await?;
        space.rolled_out("web", SOON).await?;
        let pods = pods_of(space, "web", count).await?;
        let (gateway, service) = (gateway.stop().await, service.stop().await);
        tell(format_args!("through the Gateway: {gateway}through the ClusterIP: {service}"));
        let deployment = space.api::<Deployment>().get("web").await?;
        assert_eq!(held(&deployment), Some(false), "released");
        assert_eq!(restarts(space, &pods).await?, 0);
        let wanted = format!("demo:{tag}");
        // The Deployment controls a ReplicaSet of the Deployment controller from its creation; the
        // Rollout controls a canary.
        let mut firsts = BTreeMap::new();
        for seen in sets.all() {
            firsts.entry(seen.object.name_any()).or_insert(seen.object);
        }
        let of_tag = firsts.values().filter(|set| image(set) == wanted && controller(set) == "Rollout");
        assert_eq!(of_tag.count(), 1, "one canary of {tag}");
        let native = firsts.values().find(|set| image(set) != "demo:v1" && controller(set) == "Deployment");
        assert!(native.is_none(), "the Deployment controller created no ReplicaSet: {native:?}");
        let of_v1 = trails.pods("demo:v1");
        assert!(before.iter().all(|pod| of_v1.contains(pod)));
        let failed = gateway.failed() + service.failed();
        let requests = gateway.requests() + service.requests();
        Ok(Ended { pods, started: trails.pods(&wanted), before, of_v1, failed, requests })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handover_continues_with_fewer_pods_when_scaled_down_just_before_the_transfer()
-> Result<(), Failure> {
    Space::run("scale-down", async |space| {
        let stage = Stage::lingering(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        space.kubectl(&["scale", "deployment/web", "--replicas=2"]).await?;
        let ended = stage.end("v2", 2).await?;
        ended.harmless();
        assert_eq!(ended.started.len(), 4, "no pods besides the canary's were started: {:?}", ended.started);
        assert!(ended.pods.iter().all(|pod| ended.started.contains(pod)));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canary_grows_first_when_scaled_up_just_before_the_transfer() -> Result<(), Failure> {
    Space::run("scale-up", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        space.kubectl(&["scale", "deployment/web", "--replicas=6"]).await?;
        let ended = stage.end("v2", 6).await?;
        ended.spotless(6);
        // The Deployment controller itself scales stable, the only ReplicaSet it owns.
        assert!(ended.of_v1.len() <= 6, "{:?}", ended.of_v1);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_resized_during_the_transfer() -> Result<(), Failure> {
    for (name, replicas) in [("resize-down", 3), ("resize-up", 5)] {
        Space::run(name, async |space| {
            let stage = Stage::lingering(space).await?;
            stage.push("v2").await?;
            stage.draining().await?;
            stage.transferring().await?;
            stage.scale(replicas).await?;
            let count = usize::try_from(replicas)?;
            let ended = stage.end("v2", count).await?;
            assert_eq!(ended.failed, 0, "{name}");
            // If the size went down between the decision and the transfer, the Deployment
            // controller scaled the canary down in favor of stable. Steelyard returns traffic to
            // stable, reports it, and scales the canary up again.
            let reasons = space.kubectl(&["get", "events", "--output=jsonpath={.items[*].reason}"]).await?;
            let restarted = reasons.split(' ').any(|reason| reason == "Resized");
            tell(format_args!("{name}: restarted: {restarted}; pods {:?}", ended.started));
            // Otherwise, if the size went up right after the transfer, the Deployment controller
            // briefly divides the surge (25 %) between both.
            let most = if restarted { 2 * count } else { count + count.div_ceil(4) };
            assert!(ended.started.len() <= most.max(4), "{name}: {:?}", ended.started);
            assert!(ended.of_v1.len() <= count.max(4), "{name}: {:?}", ended.of_v1);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transfer_waits_for_a_canary_pod_that_is_not_ready() -> Result<(), Failure> {
    Space::run("unready-before", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        let pod = stage.trails.pods("demo:v2").remove(0);
        space.fault(Fault::Unready, &pod).await?;
        let waits = |rollout: &Rollout| rollout.text("/waiting/message").contains(&pod).then_some(());
        space.until("web", &format!("waiting for pod {pod}"), SOON, waits).await?;
        let transferred = space
            .until_all(watcher::Config::default(), "a transfer", QUIET, |sets: &BTreeMap<_, ReplicaSet>| {
                sets.values()
                    .any(|set| image(set) == "demo:v2" && controller(set) == "Deployment")
                    .then_some(())
            })
            .await;
        assert!(
            matches!(transferred, Err(SupportError::Deadline { .. })),
            "not transferred meanwhile: {transferred:?}"
        );
        space.fault(Fault::Ready, &pod).await?;
        stage.ends_well("v2").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_a_canary_pod_becomes_unready_at_the_transfer() -> Result<(), Failure> {
    Space::run("unready-at", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        let pod = stage.trails.pods("demo:v2").remove(0);
        stage.controlled("v2", "Deployment").await?;
        space.fault(Fault::Unready, &pod).await?;
        // The handover completes whether stable is already gone or the Deployment controller keeps
        // a part of it.
        let complete = |rollout: &Rollout| rollout.complete("v2").then_some(());
        space.until("web", "Complete", LIMIT, complete).await?;
        space.fault(Fault::Ready, &pod).await?;
        stage.ends_well("v2").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_template_of_an_older_replica_set_rolls_out_through_a_new_canary() -> Result<(), Failure> {
    Space::run("revert", async |space| {
        let stage = Stage::set(space).await?;
        let old = stage.controlled("v1", "Deployment").await?;
        stage.push("v2").await?;
        space.until("web", "v2 Complete", LIMIT, |r: &Rollout| r.complete("v2").then_some(())).await?;
        assert!(
            space.api::<ReplicaSet>().get_opt(&old).await?.is_some(),
            "v1's ReplicaSet is kept, at 0 pods"
        );
        pods_of(space, "web", 4).await?;
        stage.push("v1").await?;
        let Ended { pods, started, before, failed, requests, .. } = stage.end("v1", 4).await?;
        assert_eq!(failed, 0, "of {requests} requests");
        assert!(space.api::<ReplicaSet>().get_opt(&old).await?.is_none(), "the older ReplicaSet is gone");
        let fresh: Vec<String> = started.into_iter().filter(|pod| !before.contains(pod)).collect();
        assert_eq!(fresh, pods, "the canary's pods serve, the older ReplicaSet started none");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_pushed_just_before_the_transfer_starts_a_new_rollout() -> Result<(), Failure> {
    Space::run("push-before", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        stage.push("v3").await?;
        assert_eq!(stage.trails.pods("demo:v2").len(), 4);
        stage.ends_well("v3").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_a_template_is_pushed_during_the_transfer() -> Result<(), Failure> {
    Space::run("push-at", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        let patch =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "demo:v3"}]}}}});
        stage.transferring().await?;
        let api = space.api::<Deployment>();
        api.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await?;
        let transferred = |sets: &[lab::support::Seen<ReplicaSet>]| {
            let of_v2 = |set: &ReplicaSet| image(set) == "demo:v2" && controller(set) == "Deployment";
            sets.iter().any(|seen| of_v2(&seen.object))
        };
        space
            .until("web", "v3 on trial", LIMIT, |r: &Rollout| (r.text("/canary/tag") == "v3").then_some(()))
            .await?;
        tell(format_args!("v2 was transferred before v3 came: {}", transferred(&stage.sets.all())));
        stage.ends_well("v3").await
    })
    .await
}

/// Runs `body` while a part is frozen, and thaws it in any case.
async fn frozen<T>(part: Part, body: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let cluster = Cluster::of(&Layout::of(std::env::var("LAB_NAME")?.parse()?)?);
    cluster.freeze(part)?;
    let done = body.await;
    cluster.thaw(part)?;
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_the_canary_is_taken_back_without_confirmation_by_the_deployment_controller()
-> Result<(), Failure> {
    Space::run("unconfirmed", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        frozen(Part::KubeControllerManager, async {
            stage.controlled("v2", "Deployment").await?;
            stage.controlled("v2", "Rollout").await?;
            let deployment = space.api::<Deployment>().get("web").await?;
            assert_eq!(held(&deployment), Some(true), "not released without the confirmation");
            Ok(())
        })
        .await?;
        stage.ends_well("v2").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_canary_emptied_at_its_transfer_gives_its_traffic_to_stable_first() -> Result<(), Failure> {
    Space::run("emptied", async |space| {
        let stage = Stage::lingering(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        frozen(Part::KubeControllerManager, async {
            let canary = stage.controlled("v2", "Deployment").await?;
            // The write of the Deployment controller if the size went down during the transfer:
            // stable keeps its pods, so the canary gets the remaining ones.
            let patch = json!({"spec": {"replicas": 1}});
            let api = space.api::<ReplicaSet>();
            api.patch(&canary, &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(())
        })
        .await?;
        let on_stable = |route: &lab::support::HttpRoute| (route.percent("web-canary") == 0).then_some(());
        space.until("web", "all traffic on stable", SOON, on_stable).await?;
        stage.end("v2", 4).await?.harmless();
        Ok(())
    })
    .await
}
