//! Compiled policies, shared by all Deployments that use the same one.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

use serde_json::Value;

use super::{
    compile::Policy,
    fault::{Fault, Faults},
    read::{spec, stored},
};

/// A compiled policy, or all its errors.
pub type Compiled = Result<Arc<Policy>, Faults>;

/// The `spec` of a policy, as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Written<'a> {
    /// In the policy itself: every field has to be valid.
    Policy(&'a Value),
    /// In the status of a rollout in progress: another version of Steelyard may have written it.
    Status(&'a Value),
}

impl Written<'_> {
    fn compile(self) -> Result<Policy, Vec<Fault>> {
        match self {
            Self::Policy(value) => spec(value),
            Self::Status(value) => stored(value),
        }
    }
}

/// Compiled policies: each is compiled once, and dropped with its last user.
#[derive(Clone, Debug)]
pub struct Cache<User> {
    /// By whether it was read from a status, and by its text.
    known: HashMap<(bool, String), Weak<Compiled>>,
    used: HashMap<User, Vec<Arc<Compiled>>>,
}

impl<User> Default for Cache<User> {
    fn default() -> Self {
        Self { known: HashMap::new(), used: HashMap::new() }
    }
}

impl<User: Eq + Hash> Cache<User> {
    /// Returns the compiled forms of these specs, and drops those that `user` used before.
    pub fn compiled<const N: usize>(
        &mut self,
        user: User,
        specs: [Option<Written>; N],
    ) -> [Option<Compiled>; N] {
        let entries = specs.map(|spec| spec.map(|spec| self.entry(spec)));
        let compiled = entries.each_ref().map(|entry| entry.as_deref().cloned());
        let now: Vec<_> = entries.into_iter().flatten().collect();
        let before = if now.is_empty() { self.used.remove(&user) } else { self.used.insert(user, now) };
        let last = |entry: &Arc<Compiled>| Arc::strong_count(entry) == 1;
        if before.is_some_and(|before| before.iter().any(last)) {
            self.known.retain(|_, entry| entry.strong_count() > 0);
        }
        compiled
    }

    fn known(&self, key: &(bool, String)) -> Option<Arc<Compiled>> {
        self.known.get(key).and_then(Weak::upgrade)
    }

    fn entry(&mut self, written: Written) -> Arc<Compiled> {
        let (Written::Policy(value) | Written::Status(value)) = written;
        let mut key = (false, value.to_string());
        let known = self.known(&key);
        if let Written::Status(_) = written {
            // In most rollouts the policy does not change.
            if let Some(entry) = known.filter(|entry| entry.is_ok()) {
                return entry;
            }
            key.0 = true;
        }
        if let Some(entry) = self.known(&key) {
            return entry;
        }
        let entry = Arc::new(written.compile().map(Arc::new).map_err(Faults));
        self.known.insert(key, Arc::downgrade(&entry));
        entry
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::query::parsed;

    fn policy(query: &str) -> Value {
        json!({
            "strategy": {"canary": {"steps": [{"weight": 5}]}},
            "traffic": {"gatewayAPI": {}},
            "analysis": {"metrics": [{"name": "a", "min": 1, "query": query}]},
        })
    }

    #[test]
    fn one_policy_is_compiled_once_for_all_deployments_whether_it_can_be_run_or_not() {
        for query in ["up{pod=~\"$canary_pods\"}", "sum("] {
            let mut cache = Cache::default();
            let before = parsed();
            let [first] = cache.compiled("web", [Some(Written::Policy(&policy(query)))]);
            assert_eq!(parsed(), before + 1);
            let [named, begun] = cache.compiled(
                "api",
                [Some(Written::Policy(&policy(query))), Some(Written::Policy(&policy(query)))],
            );
            assert_eq!((&named, &begun), (&first, &first));
            assert_eq!((parsed(), cache.known.len()), (before + 1, 1));
        }
    }

    #[test]
    fn a_stored_policy_may_have_fields_of_another_version_and_a_new_one_may_not() {
        let mut newer = policy("up{pod=~\"$canary_pods\"}");
        newer["analysis"]["metrics"][0]["seasonal"] = json!({"period": "24h"});
        let mut cache = Cache::default();
        let [named, stored] =
            cache.compiled("web", [Some(Written::Policy(&newer)), Some(Written::Status(&newer))]);
        assert!(named.unwrap().is_err() && stored.unwrap().is_ok());
    }

    #[test]
    fn a_policy_is_forgotten_with_the_last_deployment_that_uses_it() {
        let (old, new) = (policy("up{pod=~\"$canary_pods\"}"), policy("x{pod=~\"$canary_pods\"}"));
        let (old, new) = (Written::Policy(&old), Written::Policy(&new));
        let mut cache = Cache::default();
        for user in ["web", "api"] {
            cache.compiled(user, [Some(old), None]);
        }
        cache.compiled("web", [Some(new), Some(old)]);
        cache.compiled("web", [Some(new), None]);
        assert_eq!(cache.known.len(), 2, "api still uses the old one");
        cache.compiled("api", [None, None]);
        assert_eq!(cache.known.len(), 1);
        cache.compiled("web", [None, None]);
        assert!(cache.known.is_empty() && cache.used.is_empty());
    }
}
