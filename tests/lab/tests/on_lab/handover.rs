//! The handover, with something in its way: each row of what the Deployment controller does with a `ReplicaSet` that it
//! is given while the Deployment is paused, as far as it can be staged.

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

/// Requests per second on each of the two ways.
const RATE: f64 = 50.0;
/// How long a stage of a rollout may take: everything at once on a machine that does other work as well.
const LIMIT: Duration = Duration::from_mins(2);
/// How long a handover is watched that must not go on.
const QUIET: Duration = Duration::from_secs(4);

/// A Deployment that serves v1 in four pods under load on both ways, adopted, with a short step before the handover.
struct Stage<'a> {
    space: &'a Space,
    gateway: Running,
    service: Running,
    trails: Trails,
    sets: Trail<ReplicaSet>,
    before: Vec<String>,
}

/// What there was at the end, and on the way to it.
struct Ended {
    /// The pods that serve.
    pods: Vec<String>,
    /// All pods that ever were of the version that serves.
    started: Vec<String>,
    /// The pods of v1 before the push.
    before: Vec<String>,
    /// All pods that ever were of v1, those from before the push included.
    of_v1: Vec<String>,
    failed: u64,
    requests: u64,
}

impl Ended {
    /// Checks that nothing failed, and that stable's pods are all that ever were of v1.
    fn harmless(&self) {
        assert_eq!(self.failed, 0, "of {} requests", self.requests);
        assert_eq!(self.of_v1, self.before, "no pod of v1 was started");
    }

    /// Checks that nothing failed, and that the pods that serve are all that were started of their version.
    fn spotless(&self, count: usize) {
        assert_eq!(self.failed, 0, "of {} requests", self.requests);
        assert_eq!(self.pods.len(), count, "{:?}", self.pods);
        assert_eq!(self.started, self.pods, "the pods that were measured serve, no other was started");
    }
}

/// The image of a `ReplicaSet`'s first container.
fn image(set: &ReplicaSet) -> &str {
    let spec = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    spec.and_then(|spec| spec.containers[0].image.as_deref()).unwrap_or_default()
}

/// The kind of the controller of a `ReplicaSet`.
fn controller(set: &ReplicaSet) -> &str {
    let owner = set.owner_references().iter().find(|owner| owner.controller == Some(true));
    owner.map_or("", |owner| owner.kind.as_str())
}

impl<'a> Stage<'a> {
    async fn set(space: &'a Space) -> Result<Self, Failure> {
        Self::of(space, &Demo::new("web", "v1")).await
    }

    /// With pods that serve on until the router has heard of their end, for sizes that go down under traffic.
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

    /// Waits until the Services select the canary alone and stable drains: the adoption comes when that is over.
    async fn draining(&self) -> Result<(), SupportError> {
        let draining = |rollout: &Rollout| {
            let stage = rollout.text("/trial/handover") == "Narrowed";
            (stage && rollout.text("/waiting/reason") == "Draining").then_some(())
        };
        self.space.until("web", "stable drains before the adoption", LIMIT, draining).await
    }

    /// Waits until the very next write is the adoption.
    async fn adopting(&self) -> Result<(), SupportError> {
        let adopting = |rollout: &Rollout| (rollout.text("/trial/handover") == "Adopted").then_some(());
        self.space.until("web", "about to adopt", LIMIT, adopting).await
    }

    /// Waits until the `ReplicaSet` of `demo:TAG` is controlled by this kind; gives its name.
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

    /// Scales without the time that kubectl needs to start.
    async fn scale(&self, replicas: i32) -> Result<(), Failure> {
        let patch = json!({"spec": {"replicas": replicas}});
        let api = self.space.api::<Deployment>();
        api.patch_scale("web", &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Waits until `demo:TAG` is handed over in four pods: nothing failed, and no pod was started but these.
    async fn ends_well(self, tag: &str) -> Result<(), Failure> {
        let ended = self.end(tag, 4).await?;
        ended.spotless(4);
        ended.harmless();
        Ok(())
    }

    /// Waits until `demo:TAG` is handed over in so many pods, and tells what it took.
    async fn end(self, tag: &str, count: usize) -> Result<Ended, Failure> {
        let Self { space, gateway, service, trails, sets, before } = self;
        let complete = |rollout: &Rollout| rollout.complete(tag).then_some(());
        space.until("web", &format!("{tag} Complete"), LIMIT, complete).await?;
        space.rolled_out("web", SOON).await?;
        let pods = pods_of(space, "web", count).await?;
        let (gateway, service) = (gateway.stop().await, service.stop().await);
        tell(format_args!("through the Gateway: {gateway}through the ClusterIP: {service}"));
        let deployment = space.api::<Deployment>().get("web").await?;
        assert_eq!(held(&deployment), Some(false), "let go");
        assert_eq!(restarts(space, &pods).await?, 0);
        let wanted = format!("demo:{tag}");
        // A ReplicaSet that the Deployment controller makes is the Deployment's at first sight; a canary is the Rollout's.
        let mut firsts = BTreeMap::new();
        for seen in sets.all() {
            firsts.entry(seen.object.name_any()).or_insert(seen.object);
        }
        let of_tag = firsts.values().filter(|set| image(set) == wanted && controller(set) == "Rollout");
        assert_eq!(of_tag.count(), 1, "one canary of {tag}");
        let native = firsts.values().find(|set| image(set) != "demo:v1" && controller(set) == "Deployment");
        assert!(native.is_none(), "the Deployment controller made no ReplicaSet: {native:?}");
        let of_v1 = trails.pods("demo:v1");
        assert!(before.iter().all(|pod| of_v1.contains(pod)));
        let failed = gateway.failed() + service.failed();
        let requests = gateway.requests() + service.requests();
        Ok(Ended { pods, started: trails.pods(&wanted), before, of_v1, failed, requests })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaled_down_just_before_the_adoption_the_handover_goes_on_with_fewer_pods() -> Result<(), Failure> {
    Space::run("scale-down", async |space| {
        let stage = Stage::lingering(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        space.kubectl(&["scale", "deployment/web", "--replicas=2"]).await?;
        let ended = stage.end("v2", 2).await?;
        ended.harmless();
        assert_eq!(ended.started.len(), 4, "none was started beyond the canary's: {:?}", ended.started);
        assert!(ended.pods.iter().all(|pod| ended.started.contains(pod)));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaled_up_just_before_the_adoption_the_canary_grows_first() -> Result<(), Failure> {
    Space::run("scale-up", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        space.kubectl(&["scale", "deployment/web", "--replicas=6"]).await?;
        let ended = stage.end("v2", 6).await?;
        ended.spotless(6);
        // The Deployment controller itself scales stable, the one ReplicaSet it knows.
        assert!(ended.of_v1.len() <= 6, "{:?}", ended.of_v1);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resized_in_the_moment_of_the_adoption_no_request_fails() -> Result<(), Failure> {
    for (name, replicas) in [("resize-down", 3), ("resize-up", 5)] {
        Space::run(name, async |space| {
            let stage = Stage::lingering(space).await?;
            stage.push("v2").await?;
            stage.draining().await?;
            stage.adopting().await?;
            stage.scale(replicas).await?;
            let count = usize::try_from(replicas)?;
            let ended = stage.end("v2", count).await?;
            assert_eq!(ended.failed, 0, "{name}");
            // Where the size went down between the look and the adoption, the Deployment controller has cut the canary
            // down for stable's sake: Steelyard sends traffic home, says so, and fills the canary again.
            let reasons = space.kubectl(&["get", "events", "--output=jsonpath={.items[*].reason}"]).await?;
            let begun_anew = reasons.split(' ').any(|reason| reason == "Resized");
            tell(format_args!("{name}: begun anew: {begun_anew}; pods {:?}", ended.started));
            // Else, where the size went up right after the adoption, it shares out the surge (25 %) to both for a moment.
            let most = if begun_anew { 2 * count } else { count + count.div_ceil(4) };
            assert!(ended.started.len() <= most.max(4), "{name}: {:?}", ended.started);
            assert!(ended.of_v1.len() <= count.max(4), "{name}: {:?}", ended.of_v1);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_pod_that_is_not_ready_before_the_adoption_is_waited_for() -> Result<(), Failure> {
    Space::run("unready-before", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        let pod = stage.trails.pods("demo:v2").remove(0);
        space.fault(Fault::Unready, &pod).await?;
        let waits = |rollout: &Rollout| rollout.text("/waiting/message").contains(&pod).then_some(());
        space.until("web", &format!("waiting for pod {pod}"), SOON, waits).await?;
        let adopted = space
            .until_all(watcher::Config::default(), "an adoption", QUIET, |sets: &BTreeMap<_, ReplicaSet>| {
                sets.values()
                    .any(|set| image(set) == "demo:v2" && controller(set) == "Deployment")
                    .then_some(())
            })
            .await;
        assert!(matches!(adopted, Err(SupportError::Deadline { .. })), "not adopted meanwhile: {adopted:?}");
        space.fault(Fault::Ready, &pod).await?;
        stage.ends_well("v2").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_pod_that_is_not_ready_from_the_adoption_on_costs_no_request() -> Result<(), Failure> {
    Space::run("unready-at", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        let pod = stage.trails.pods("demo:v2").remove(0);
        stage.controlled("v2", "Deployment").await?;
        space.fault(Fault::Unready, &pod).await?;
        // With stable gone already or kept in part by the Deployment controller: either way it comes to its end.
        let complete = |rollout: &Rollout| rollout.complete("v2").then_some(());
        space.until("web", "Complete", LIMIT, complete).await?;
        space.fault(Fault::Ready, &pod).await?;
        stage.ends_well("v2").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_template_of_an_older_replica_set_is_released_by_a_canary_of_its_own() -> Result<(), Failure> {
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
        assert!(space.api::<ReplicaSet>().get_opt(&old).await?.is_none(), "the older one is gone");
        let fresh: Vec<String> = started.into_iter().filter(|pod| !before.contains(pod)).collect();
        assert_eq!(fresh, pods, "the canary's pods serve, the older ReplicaSet started none");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_pushed_just_before_the_adoption_starts_over_with_the_newer_one() -> Result<(), Failure> {
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
async fn a_template_pushed_in_the_moment_of_the_adoption_loses_no_request() -> Result<(), Failure> {
    Space::run("push-at", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        let patch =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "demo:v3"}]}}}});
        stage.adopting().await?;
        let api = space.api::<Deployment>();
        api.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await?;
        let adopted = |sets: &[lab::support::Seen<ReplicaSet>]| {
            let of_v2 = |set: &ReplicaSet| image(set) == "demo:v2" && controller(set) == "Deployment";
            sets.iter().any(|seen| of_v2(&seen.object))
        };
        space
            .until("web", "v3 on trial", LIMIT, |r: &Rollout| (r.text("/canary/tag") == "v3").then_some(()))
            .await?;
        tell(format_args!("v2 was adopted before v3 came: {}", adopted(&stage.sets.all())));
        stage.ends_well("v3").await
    })
    .await
}

/// Runs `body` while a part is frozen, and thaws it whatever came of that.
async fn frozen<T>(part: Part, body: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let cluster = Cluster::of(&Layout::of(std::env::var("LAB_NAME")?.parse()?)?);
    cluster.freeze(part)?;
    let done = body.await;
    cluster.thaw(part)?;
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_deployment_controller_s_proof_the_canary_is_taken_back_alone() -> Result<(), Failure> {
    Space::run("no-proof", async |space| {
        let stage = Stage::set(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        frozen(Part::KubeControllerManager, async {
            stage.controlled("v2", "Deployment").await?;
            stage.controlled("v2", "Rollout").await?;
            let deployment = space.api::<Deployment>().get("web").await?;
            assert_eq!(held(&deployment), Some(true), "not let go without the proof");
            Ok(())
        })
        .await?;
        stage.ends_well("v2").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_was_gutted_at_its_adoption_gives_its_traffic_to_stable_first_alone()
-> Result<(), Failure> {
    Space::run("gutted", async |space| {
        let stage = Stage::lingering(space).await?;
        stage.push("v2").await?;
        stage.draining().await?;
        frozen(Part::KubeControllerManager, async {
            let canary = stage.controlled("v2", "Deployment").await?;
            // What the Deployment controller writes where the size went down in the moment of the adoption: stable has
            // its pods already, so the canary gets what is left.
            let patch = json!({"spec": {"replicas": 1}});
            let api = space.api::<ReplicaSet>();
            api.patch(&canary, &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(())
        })
        .await?;
        let home = |route: &lab::support::HttpRoute| (route.percent("web-canary") == 0).then_some(());
        space.until("web", "all traffic on stable", SOON, home).await?;
        stage.end("v2", 4).await?.harmless();
        Ok(())
    })
    .await
}
