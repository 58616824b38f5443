//! Actions of users: push, scale, set intents.

use serde_json::json;
use steelyard_core::api::{self, RolloutPolicySpec, RolloutSpec};

use crate::World;

impl World {
    /// The policy as written. A rollout in progress keeps the policy that it started with.
    pub fn policy(&mut self) -> &mut RolloutPolicySpec {
        &mut self.written
    }

    /// Pushes an image. Admission holds the Deployment.
    pub fn push(&mut self, image: &str) {
        let d = self.snapshot.deployment.as_mut().expect("there is a Deployment");
        d.template["spec"]["containers"][0]["image"] = json!(image);
        d.meta.generation += 1;
        d.paused = true;
        d.meta.labels.insert(api::HELD.into(), "true".into());
    }

    /// Scales the Deployment.
    pub fn scale(&mut self, replicas: i32) {
        let d = self.snapshot.deployment.as_mut().expect("there is a Deployment");
        d.replicas = replicas;
        d.meta.generation += 1;
        self.settle();
    }

    /// Changes the intents in the Rollout's spec. `change` also gets the canary's revision, which
    /// is empty before there is one.
    pub fn want(&mut self, change: impl FnOnce(&mut RolloutSpec, &str)) {
        let r = self.snapshot.rollout.as_mut().expect("there is a Rollout");
        let revision = r.status.canary.as_ref().map(|canary| canary.revision.clone()).unwrap_or_default();
        let before = r.spec.clone();
        change(&mut r.spec, &revision);
        if r.spec != before {
            r.meta.generation += 1;
        }
    }
}
