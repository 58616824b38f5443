//! Which Deployments concern Steelyard, and which rollouts are in flight, by what the watches have shown.

use std::collections::{BTreeSet, HashMap};

use super::Key;

/// What is known of annotated Deployments and of Rollouts.
#[derive(Debug, Default)]
pub struct Relevance {
    policies: HashMap<Key, String>,
    rollouts: BTreeSet<Key>,
}

impl Relevance {
    /// A Deployment as it is now, with the policy it names; tells whether it is worth a look.
    ///
    /// One that just lost its annotation is, if there is a Rollout to be ended.
    pub fn deployment(&mut self, key: &Key, policy: Option<String>) -> bool {
        match policy {
            Some(policy) => {
                self.policies.insert(key.clone(), policy);
                true
            }
            None => self.policies.remove(key).is_some() || self.rollouts.contains(key),
        }
    }

    /// A Rollout is there, or is gone.
    pub fn rollout(&mut self, key: &Key, there: bool) {
        if there {
            self.rollouts.insert(key.clone());
        } else {
            self.rollouts.remove(key);
        }
    }

    /// Whether a look at it could lead to anything.
    pub fn concerns(&self, key: &Key) -> bool {
        self.policies.contains_key(key) || self.rollouts.contains(key)
    }

    /// The Deployments that name a policy: of one namespace, or of all for a cluster-scoped one.
    pub fn naming(&self, namespace: Option<&str>, policy: &str) -> Vec<Key> {
        let named = |value: &str| match namespace {
            Some(_) => value == policy,
            None => value.strip_prefix("cluster/") == Some(policy),
        };
        let within = |key: &Key| namespace.is_none_or(|n| n == key.namespace);
        self.policies
            .iter()
            .filter(|(key, value)| within(key) && named(value))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// All that concern.
    pub fn all(&self) -> BTreeSet<Key> {
        self.policies.keys().cloned().chain(self.rollouts.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_deployment_with_neither_annotation_nor_rollout_is_never_looked_at() {
        let mut known = Relevance::default();
        assert!(!known.deployment(&key("n", "a"), None));
        assert!(!known.concerns(&key("n", "a")));
        known.rollout(&key("n", "a"), true);
        assert!(known.deployment(&key("n", "a"), None), "its Rollout has to be ended");
        assert!(known.concerns(&key("n", "a")));
        known.rollout(&key("n", "a"), false);
        assert!(!known.concerns(&key("n", "a")));
    }

    #[test]
    fn a_policy_wakes_those_that_name_it_and_no_others() {
        let mut known = Relevance::default();
        known.deployment(&key("n", "a"), Some("web".into()));
        known.deployment(&key("m", "b"), Some("web".into()));
        known.deployment(&key("n", "c"), Some("cluster/web".into()));
        assert_eq!(known.naming(Some("n"), "web"), [key("n", "a")]);
        assert_eq!(known.naming(None, "web"), [key("n", "c")]);
        assert!(known.naming(None, "a").is_empty());
    }
}
