//! Whether admission holds template changes. A dry run of a change shows it.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    ObjectKey, chain, locked,
    raw::{CallError, Caller, collection},
    read,
};
use crate::{
    api::{HELD, condition_with, policy_name},
    engine::{Kind, Rollout},
};

/// How long a negative result is valid.
pub const RECHECK_INTERVAL: Duration = Duration::from_mins(1);

/// The results of the dry runs so far.
#[derive(Debug, Default)]
pub struct HoldProbe(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By Deployment, with the time of the dry run.
    results: HashMap<ObjectKey, (bool, Instant)>,
    /// Whether admission has changed since the results in the status of Rollouts.
    changed: bool,
}

impl Known {
    /// Returns the result for a Deployment, if no dry run is needed.
    fn get(&self, key: &ObjectKey, rollout: Option<&Rollout>) -> Option<bool> {
        match self.results.get(key) {
            Some((true, _)) => Some(true),
            Some((false, at)) => (at.elapsed() < RECHECK_INTERVAL).then_some(false),
            None => (!self.changed && was_enforced(rollout)).then_some(true),
        }
    }
}

impl HoldProbe {
    /// Forgets all results, because admission has changed.
    pub fn forget(&self) {
        *locked(&self.0) = Known { results: HashMap::new(), changed: true };
    }

    /// Returns whether admission would hold a change of this Deployment's template.
    ///
    /// It does if the Deployment is held now, or if a result since admission was changed, in memory
    /// or in the Rollout's status, is positive. Otherwise a dry run decides, at most once in
    /// [`RECHECK_INTERVAL`].
    pub async fn holds(
        &self,
        caller: &Caller,
        key: &ObjectKey,
        deployment: Option<&Value>,
        rollout: Option<&Rollout>,
    ) -> Result<bool, CallError> {
        let Some(deployment) = deployment else {
            locked(&self.0).results.remove(key);
            return Ok(false);
        };
        if is_held(deployment) {
            return Ok(true);
        }
        if policy_name(&read::strings(deployment, "/metadata/annotations")).is_none() {
            return Ok(false);
        }
        let known = locked(&self.0).get(key, rollout);
        if let Some(known) = known {
            return Ok(known);
        }
        let change =
            json!({"spec": {"template": {"metadata": {"annotations": {"steelyard.io/self-test": "held?"}}}}});
        let deployments = collection(Kind::Deployment, &key.namespace);
        let holds = match caller.dry_run(&deployments, &key.name, &change).await {
            Ok(answer) => answer.as_ref().is_some_and(is_held),
            // Another admission policy or RBAC denies the change: nothing shows that a change would
            // be held.
            Err(error) if error.status().is_some_and(|s| (400..500).contains(&s.code) && s.code != 429) => {
                tracing::warn!(deployment = %key, error = %chain(&error), "the dry run that tests the hold was refused");
                false
            }
            Err(error) => return Err(error),
        };
        locked(&self.0).results.insert(key.clone(), (holds, Instant::now()));
        Ok(holds)
    }
}

fn is_held(deployment: &Value) -> bool {
    deployment.pointer("/spec/paused") == Some(&Value::Bool(true))
        && deployment.pointer("/metadata/labels").and_then(|l| l.get(HELD)).is_some()
}

/// Returns whether the Rollout's status says that admission holds template changes.
fn was_enforced(rollout: Option<&Rollout>) -> bool {
    rollout.is_some_and(|r| condition_with(&r.status.conditions, "HoldEnforced", "True").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::read;

    fn enforced() -> Rollout {
        let condition = json!({
            "type": "HoldEnforced", "status": "True", "reason": "Enforced", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let object = json!({"metadata": {"name": "web"}, "spec": {}, "status": {"conditions": [condition]}});
        read::rollout(&object).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_positive_result_is_valid_until_admission_changes() {
        let (probe, rollout) = (HoldProbe::default(), enforced());
        let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let known = |rollout: Option<&Rollout>| locked(&probe.0).get(&key, rollout);
        let learn = |holds| locked(&probe.0).results.insert(key.clone(), (holds, Instant::now()));
        assert_eq!(known(None), None);
        assert_eq!(known(Some(&rollout)), Some(true), "an earlier process asked");
        probe.forget();
        assert_eq!(known(Some(&rollout)), None, "it asked before the change");
        learn(true);
        tokio::time::advance(RECHECK_INTERVAL * 60).await;
        assert_eq!(known(Some(&rollout)), Some(true));
        learn(false);
        assert_eq!(known(Some(&rollout)), Some(false));
        tokio::time::advance(RECHECK_INTERVAL).await;
        assert_eq!(known(Some(&rollout)), None);
    }
}
