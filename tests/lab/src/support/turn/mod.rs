//! A rollout under load, an event that interferes with it, and the expected end.

mod at;
mod end;
mod history;
mod row;
mod world;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

pub use at::At;
pub use end::End;
pub use history::{History, Way};
pub use row::{Kept, Row, Switched, folder, rows, table};
pub use world::{State, World};

use super::{Demo, Failure, Policy, Rollout, Space, SupportError, Trails, routed};
use crate::load::{Load, Plan, Record, Running, Tally};

/// Requests per second on each of the two paths.
const RATE: f64 = 20.0;
/// How long pods keep serving after they are deleted, in seconds. Routers and kube-proxy are slow
/// to notice on a busy machine, and requests that a native scale-down loses are not caused by a
/// rollout.
const LINGER: u8 = 4;
/// The same where something happens while the canary's `ReplicaSet` becomes the Deployment's own: if
/// stable's template returns then, the Deployment controller deletes the canary's pods at once, and
/// the router takes weight 0 later.
const LONG_LINGER: u8 = 10;
/// Time limit for a rollout to reach a state, on a busy machine too.
pub const LONG: Duration = Duration::from_mins(3);
/// Time limit for anything short.
pub const SOON: Duration = Duration::from_mins(1);

/// The row that a case records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// A row of the table of turns, with the point at which the test interfered.
    Turn(Option<At>),
    /// A row of the table of switches.
    Switch,
}

/// One case: Deployment `web` with four pods, adopted, under load on two paths.
pub struct Turn {
    /// The namespace.
    pub space: Space,
    /// What was observed since the beginning.
    pub trails: Trails,
    /// The state to compare the end with; a case that edits routes or Services also edits this.
    pub world: World,
    /// The application as it was deployed.
    pub demo: Demo,
    case: String,
    leaves: Leaves,
    plans: Vec<(Way, Plan)>,
    loads: Vec<(Way, Running)>,
    records: Vec<(Way, Record)>,
    before: Vec<String>,
    begun: (Timestamp, Instant),
}

impl Turn {
    /// Deploys `demo:v1` and adopts it with a policy of one step of two seconds, 25 %; with a
    /// second step, 50 %, if `at` is the last of two. `case` describes the event, as a row of the
    /// table.
    pub async fn begin(space: &Space, case: &str, at: impl Into<Option<At>>) -> Result<Self, Failure> {
        let at = at.into();
        let one = Policy::new("web").step(25, 2);
        let policy = if at == Some(At::LastStep) { one.step(50, 2) } else { one };
        Self::with(space, case, at, &policy).await
    }

    /// Does the same with another policy, named `web`.
    pub async fn with(
        space: &Space,
        case: &str,
        at: impl Into<Option<At>>,
        policy: &Policy,
    ) -> Result<Self, Failure> {
        space.apply(&policy.to_string()).await?;
        let turn = Self::plain(space, case, at).await?;
        space.adopt("web", "web").await?;
        Ok(turn)
    }

    /// Does the same, with a row in the table of switches.
    pub async fn switching(space: &Space, case: &str, policy: &Policy) -> Result<Self, Failure> {
        let turn = Self::with(space, case, None, policy).await?;
        Ok(Self { leaves: Leaves::Switch, ..turn })
    }

    /// Does the same without adopting it.
    pub async fn plain(space: &Space, case: &str, at: impl Into<Option<At>>) -> Result<Self, Failure> {
        let at = at.into();
        let linger = if at == Some(At::Transferring) { LONG_LINGER } else { LINGER };
        let demo = Demo::new("web", "v1").linger(linger);
        let (gateway, service) = space.serve("web", &demo, RATE).await?;
        let trails = Trails::follow(space, "web");
        let mut turn = Self {
            space: space.clone(),
            world: World::of(space, "web").await?,
            before: Vec::new(),
            case: case.to_owned(),
            leaves: Leaves::Turn(at),
            plans: vec![(Way::Gateway, gateway), (Way::Service, service)],
            loads: Vec::new(),
            records: Vec::new(),
            begun: (Timestamp::now(), Instant::now()),
            demo,
            trails,
        };
        let pods = ListParams::default().labels("app=web");
        turn.before = space.api::<Pod>().list(&pods).await?.iter().map(ResourceExt::name_any).collect();
        turn.load();
        Ok(turn)
    }

    /// Starts the load, or starts it again.
    pub fn load(&mut self) {
        self.loads = self.plans.iter().map(|(way, plan)| (*way, Load::start(plan.clone()))).collect();
    }

    /// Stops the load; its results so far count.
    pub async fn unload(&mut self) {
        for (way, running) in std::mem::take(&mut self.loads) {
            self.records.push((way, running.stop().await));
        }
    }

    /// Returns the plan of the load on one path, to start another one like it.
    pub fn plan(&self, way: Way) -> Result<Plan, Failure> {
        let plan = self.plans.iter().find(|(of, _)| *of == way).map(|(_, plan)| plan.clone());
        plan.ok_or_else(|| format!("no load on {way:?}").into())
    }

    /// Returns the counts on one path within the last `window`, of the running load.
    pub fn recent(&self, way: Way, window: Duration) -> Tally {
        let of_way = self.loads.iter().find(|(of, _)| *of == way);
        of_way.map(|(_, running)| running.recent(window)).unwrap_or_default()
    }

    /// Waits until the application answers on both paths.
    pub async fn routed(&self) -> Result<(), Failure> {
        for (_, plan) in &self.plans {
            routed(plan, SOON).await?;
        }
        Ok(())
    }

    /// Deletes the Deployment, then creates and adopts it again; the load pauses meanwhile. Returns
    /// the time before the deletion, once the garbage collector has removed the canary Service of
    /// the deleted Deployment, which can be seconds after the new one is adopted.
    pub async fn remake(&mut self) -> Result<Timestamp, Failure> {
        self.unload().await;
        let since = Timestamp::now();
        let services = self.space.api::<Service>();
        let old = services.get_opt("web-canary").await?.and_then(|service| service.metadata.uid);
        self.space.kubectl(&["delete", "deployment", "web", "--wait=true", "--timeout=60s"]).await?;
        self.space.apply(&self.demo.to_string()).await?;
        self.space.adopt("web", "web").await?;
        self.routed().await?;
        self.load();
        if let Some(uid) = old {
            let removed = await_condition(services, "web-canary", is_deleted(&uid));
            tokio::time::timeout(SOON, removed).await??;
        }
        Ok(since)
    }

    /// Writes another image tag into the Deployment's template, with a JSON patch.
    pub async fn push(&self, tag: &str) -> Result<(), Failure> {
        self.patch_template(&json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image",
            "value": format!("demo:{tag}")}]))
            .await
    }

    /// Patches the Deployment with a JSON patch.
    pub async fn patch_template(&self, ops: &Value) -> Result<(), Failure> {
        let patch: json_patch::Patch = serde_json::from_value(ops.clone())?;
        let api = self.space.api::<Deployment>();
        api.patch("web", &PatchParams::default(), &Patch::<()>::Json(patch)).await?;
        Ok(())
    }

    /// Sets the Deployment's replicas, as `kubectl scale` and an autoscaler do.
    pub async fn scale(&self, replicas: i32) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.space.api::<Deployment>().patch_scale("web", &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits for the first state of the Rollout since `since` for which `found` is true, including
    /// past states.
    pub async fn first(
        &self,
        since: Timestamp,
        what: &str,
        found: impl Fn(&Rollout) -> bool,
    ) -> Result<Rollout, SupportError> {
        let rollout = &self.trails.rollout;
        rollout
            .first(since, what, LONG, |seen| {
                (!seen.deleted && found(&seen.object)).then(|| seen.object.clone())
            })
            .await
    }

    /// Pushes `demo:v2` and waits until its rollout reaches this point.
    pub async fn bring(&self, at: At) -> Result<Rollout, Failure> {
        self.bring_tag("v2", at).await
    }

    /// Pushes `demo:TAG` and waits until its rollout reaches this point.
    pub async fn bring_tag(&self, tag: &str, at: At) -> Result<Rollout, Failure> {
        let since = Timestamp::now();
        self.push(tag).await?;
        self.reach(since, tag, at).await
    }

    /// Waits until the rollout of `tag`, pushed since `since`, reaches this point; for a point of a
    /// rollback it is aborted at the first step.
    pub async fn reach(&self, since: Timestamp, tag: &str, at: At) -> Result<Rollout, Failure> {
        let of = |rollout: &Rollout| rollout.text("/canary/tag") == tag;
        if matches!(at, At::RollingBack | At::RolledBack) {
            let what = format!("{tag} {}", At::FirstStep);
            let rollout = self.first(since, &what, |r| of(r) && At::FirstStep.is(r)).await?;
            self.abort(rollout.text("/canary/revision")).await?;
        }
        Ok(self.first(since, &format!("{tag} {at}"), |rollout| of(rollout) && at.is(rollout)).await?)
    }

    /// Aborts a revision, as a user does.
    pub async fn abort(&self, revision: &str) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({"spec": {"abort": {"revision": revision}}}));
        self.space.api::<Rollout>().patch("web", &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Promotes a revision past a step, counted from 1, as a user does.
    pub async fn promote(&self, revision: &str, step: u32) -> Result<(), Failure> {
        let patch = Patch::Merge(json!({"spec": {"promote": {"revision": revision, "step": step}}}));
        self.space.api::<Rollout>().patch("web", &PatchParams::default(), &patch).await?;
        Ok(())
    }
}
