//! Which Deployments Steelyard manages and which Rollouts exist, according to the watches.

use std::collections::{BTreeSet, HashMap};

use super::ObjectKey;

/// The known annotated Deployments and Rollouts.
#[derive(Debug, Default)]
pub struct Relevance {
    policies: HashMap<ObjectKey, String>,
    rollouts: BTreeSet<ObjectKey>,
}

impl Relevance {
    /// Records which policy a Deployment names; returns whether the Deployment needs a reconcile.
    ///
    /// A Deployment that has just lost its annotation does, and so does one whose Rollout still
    /// exists.
    pub fn deployment(&mut self, key: &ObjectKey, policy: Option<String>) -> bool {
        match policy {
            Some(policy) => {
                self.policies.insert(key.clone(), policy);
                true
            }
            None => self.policies.remove(key).is_some() || self.rollouts.contains(key),
        }
    }

    /// Records whether a Rollout exists.
    pub fn rollout(&mut self, key: &ObjectKey, exists: bool) {
        if exists {
            self.rollouts.insert(key.clone());
        } else {
            self.rollouts.remove(key);
        }
    }

    /// Returns whether Steelyard manages the Deployment or has a Rollout for it.
    pub fn is_relevant(&self, key: &ObjectKey) -> bool {
        self.policies.contains_key(key) || self.rollouts.contains(key)
    }

    /// Returns the Deployments that name a policy: those of the policy's namespace, or of all
    /// namespaces for a cluster-scoped policy.
    pub fn with_policy(&self, namespace: Option<&str>, policy: &str) -> Vec<ObjectKey> {
        let named = |value: &str| match namespace {
            Some(_) => value == policy,
            None => value.strip_prefix("cluster/") == Some(policy),
        };
        let within = |key: &ObjectKey| namespace.is_none_or(|n| n == key.namespace);
        self.policies
            .iter()
            .filter(|(key, value)| within(key) && named(value))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Returns all Deployments that are annotated or have a Rollout.
    pub fn all(&self) -> BTreeSet<ObjectKey> {
        self.policies.keys().cloned().chain(self.rollouts.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_deployment_with_neither_annotation_nor_rollout_is_never_reconciled() {
        let mut known = Relevance::default();
        assert!(!known.deployment(&key("n", "a"), None));
        assert!(!known.is_relevant(&key("n", "a")));
        known.rollout(&key("n", "a"), true);
        assert!(known.deployment(&key("n", "a"), None), "its Rollout has to be removed");
        assert!(known.is_relevant(&key("n", "a")));
        known.rollout(&key("n", "a"), false);
        assert!(!known.is_relevant(&key("n", "a")));
    }

    #[test]
    fn a_policy_wakes_only_the_deployments_that_name_it() {
        let mut known = Relevance::default();
        known.deployment(&key("n", "a"), Some("web".into()));
        known.deployment(&key("m", "b"), Some("web".into()));
        known.deployment(&key("n", "c"), Some("cluster/web".into()));
        assert_eq!(known.with_policy(Some("n"), "web"), [key("n", "a")]);
        assert_eq!(known.with_policy(None, "web"), [key("n", "c")]);
        assert!(known.with_policy(None, "a").is_empty());
    }
}
