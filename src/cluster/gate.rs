//! Whether admission holds template changes: asked of the API server itself, by a rehearsed change.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Key, chain, locked,
    raw::{CallError, Caller, collection},
};
use crate::{
    api::{HELD, POLICY},
    engine::{Kind, Rollout},
};

/// How long a "no" is believed.
pub const DOUBT: Duration = Duration::from_mins(1);

/// What is known so far.
#[derive(Debug, Default)]
pub struct Gate(Mutex<HashMap<Key, (bool, Instant)>>);

impl Gate {
    /// Whether a change of this Deployment's template would be held.
    ///
    /// A hold that stands proves it; so does an earlier yes, in memory or in the Rollout. Otherwise a change is rehearsed, once in [`DOUBT`].
    pub async fn holds(
        &self,
        caller: &Caller,
        key: &Key,
        deployment: Option<&Value>,
        rollout: Option<&Rollout>,
    ) -> Result<bool, CallError> {
        let Some(deployment) = deployment else {
            locked(&self.0).remove(key);
            return Ok(false);
        };
        if held(deployment) {
            return Ok(true);
        }
        if deployment.pointer("/metadata/annotations").and_then(|a| a.get(POLICY)).is_none() {
            return Ok(false);
        }
        let known = locked(&self.0).get(key).copied();
        match known {
            Some((true, _)) => return Ok(true),
            Some((false, at)) if at.elapsed() < DOUBT => return Ok(false),
            None if said_so(rollout) => return Ok(true),
            _ => {}
        }
        let change =
            json!({"spec": {"template": {"metadata": {"annotations": {"steelyard.io/self-test": "held?"}}}}});
        let deployments = collection(Kind::Deployment, &key.namespace);
        let holds = match caller.rehearse(&deployments, &key.name, &change).await {
            Ok(answer) => answer.as_ref().is_some_and(held),
            // Denied by somebody's admission or by RBAC: that is an answer, and it says nothing of a hold.
            Err(error) if error.status().is_some_and(|s| (400..500).contains(&s.code) && s.code != 429) => {
                tracing::warn!(deployment = %key, error = %chain(&error), "the hold can't be rehearsed");
                false
            }
            Err(error) => return Err(error),
        };
        locked(&self.0).insert(key.clone(), (holds, Instant::now()));
        Ok(holds)
    }
}

fn held(deployment: &Value) -> bool {
    deployment.pointer("/spec/paused") == Some(&Value::Bool(true))
        && deployment.pointer("/metadata/labels").and_then(|l| l.get(HELD)).is_some()
}

fn said_so(rollout: Option<&Rollout>) -> bool {
    rollout.is_some_and(|r| r.status.conditions.iter().any(|c| c.type_ == "Gated" && c.status == "True"))
}
