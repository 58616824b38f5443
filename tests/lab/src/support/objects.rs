//! Kinds read as JSON, the way users read them: a test that went through Steelyard's own types could not see that a
//! field had changed its name.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition;

/// A Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Who it is.
    pub metadata: ObjectMeta,
    /// What people want.
    #[serde(default)]
    pub spec: Value,
    /// Its state; null until Steelyard writes it.
    #[serde(default)]
    pub status: Value,
}

impl Rollout {
    /// Where it is, such as `Stepping`; empty until Steelyard says so.
    pub fn phase(&self) -> &str {
        self.text("/phase")
    }

    /// A text in its status, by JSON pointer; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.status.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether a condition is `True`.
    pub fn holds(&self, kind: &str) -> bool {
        let object = serde_json::json!({"status": self.status});
        condition(&object, kind).is_some_and(|(status, _)| status == "True")
    }

    /// Whether the version with this image tag is stable, wholly handed over, and everything else as it was.
    pub fn complete(&self, tag: &str) -> bool {
        self.phase() == "Stable" && self.text("/stable/tag") == tag && self.holds("Complete")
    }
}

/// An `HTTPRoute` of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// Who it is.
    pub metadata: ObjectMeta,
    /// What the user, and during a rollout Steelyard, wrote.
    #[serde(default)]
    pub spec: Value,
}

impl HttpRoute {
    /// The share of a Service in the traffic of the first rule, in percent; 0 where the rule doesn't name it.
    pub fn percent(&self, service: &str) -> u64 {
        let backends = self.spec.pointer("/rules/0/backendRefs").and_then(Value::as_array);
        let weight = |backend: &Value| backend["weight"].as_u64().unwrap_or(1);
        let sum = |which: &dyn Fn(&Value) -> bool| -> u64 {
            backends.iter().copied().flatten().filter(|backend| which(backend)).map(weight).sum()
        };
        (sum(&|backend| backend["name"] == service) * 100).checked_div(sum(&|_| true)).unwrap_or(0)
    }
}

/// Says what the API server calls a kind.
macro_rules! named {
    ($kind:ty, $name:literal, $group:literal, $version:literal, $plural:literal) => {
        impl Resource for $kind {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;
            fn kind((): &()) -> Cow<'_, str> {
                $name.into()
            }
            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }
            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

named!(Rollout, "Rollout", "steelyard.io", "v1alpha1", "rollouts");
named!(HttpRoute, "HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_s_share_counts_all_backends_of_the_rule() {
        let spec = json!({"rules": [{"backendRefs": [
            {"name": "web", "weight": 75}, {"name": "web-canary", "weight": 25}]}]});
        let route = HttpRoute { spec, ..HttpRoute::default() };
        assert_eq!((route.percent("web-canary"), route.percent("web"), route.percent("other")), (25, 75, 0));
        let alone = HttpRoute { spec: json!({"rules": [{"backendRefs": [{"name": "web"}]}]}), ..route };
        assert_eq!((alone.percent("web"), alone.percent("web-canary")), (100, 0));
        assert_eq!(HttpRoute::default().percent("web"), 0);
    }

    #[test]
    fn a_rollout_is_complete_only_with_the_version_that_is_asked_for() {
        let status = json!({"phase": "Stable", "stable": {"tag": "v2"}, "conditions": [
            {"type": "Complete", "status": "True", "reason": "HandedOver"}]});
        let mut rollout = Rollout { status, ..Rollout::default() };
        assert!(rollout.complete("v2"));
        assert!(!rollout.complete("v1"));
        rollout.status["conditions"][0]["status"] = "False".into();
        assert!(!rollout.complete("v2"));
        rollout.status["phase"] = "Promoting".into();
        assert!(!rollout.complete("v2"));
    }
}
