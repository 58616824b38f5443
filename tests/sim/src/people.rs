//! What users do: push, scale, set intents.

use serde_json::json;
use steelyard_core::{
    api::{self, RolloutPolicySpec, RolloutSpec},
    engine::Policy,
};

use crate::World;

impl World {
    /// The policy, to be changed before a rollout.
    pub fn policy(&mut self) -> &mut RolloutPolicySpec {
        match &mut self.snapshot.policy {
            Policy::Found(spec) => spec,
            other => panic!("there is no policy: {other:?}"),
        }
    }

    /// Pushes an image, as admission lets it through: held.
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

    /// Changes the intents in the Rollout's spec; `change` gets the canary's revision too, empty
    /// before there is one.
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
