//! Kinds read as JSON, as users read them: a test with Steelyard's own types would not notice a
//! renamed field.

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
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The intents.
    #[serde(default)]
    pub spec: Value,
    /// Its state; null until Steelyard writes it.
    #[serde(default)]
    pub status: Value,
}

impl Rollout {
    /// Returns the phase, such as `Stepping`; empty until Steelyard writes it.
    pub fn phase(&self) -> &str {
        self.text("/phase")
    }

    /// Returns a string in its status, by JSON pointer; empty if there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.status.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the canary's weight in whole percent, or `None` without a rollout or for a
    /// fractional weight.
    pub fn weight(&self) -> Option<u64> {
        self.text("/weight").strip_suffix('%')?.parse().ok()
    }

    /// Returns whether a condition is `True`.
    pub fn holds(&self, kind: &str) -> bool {
        let object = serde_json::json!({"status": self.status});
        condition(&object, kind).is_some_and(|(status, _)| status == "True")
    }

    /// Returns whether the version with this image tag is stable, completely handed over, and the
    /// rollout has left nothing behind.
    pub fn complete(&self, tag: &str) -> bool {
        self.phase() == "Stable" && self.text("/stable/tag") == tag && self.holds("Complete")
    }
}

/// An `HTTPRoute` of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpRoute {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec, as written by the user and, during a rollout, by Steelyard.
    #[serde(default)]
    pub spec: Value,
}

impl HttpRoute {
    /// Returns the share of a Service in the traffic of the first rule, in percent; 0 if the rule
    /// does not name it.
    pub fn percent(&self, service: &str) -> u64 {
        percent(&self.spec, service)
    }
}

/// A `GRPCRoute` of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GrpcRoute {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec, as written by the user and, during a rollout, by Steelyard.
    #[serde(default)]
    pub spec: Value,
}

impl GrpcRoute {
    /// Returns the share of a Service in the traffic of the first rule, in percent; 0 if the rule
    /// does not name it.
    pub fn percent(&self, service: &str) -> u64 {
        percent(&self.spec, service)
    }
}

fn percent(spec: &Value, service: &str) -> u64 {
    let backends = spec.pointer("/rules/0/backendRefs").and_then(Value::as_array);
    let weight = |backend: &Value| backend["weight"].as_u64().unwrap_or(1);
    let sum = |which: &dyn Fn(&Value) -> bool| -> u64 {
        backends.iter().copied().flatten().filter(|backend| which(backend)).map(weight).sum()
    };
    (sum(&|backend| backend["name"] == service) * 100).checked_div(sum(&|_| true)).unwrap_or(0)
}

/// Declares the API server's names of a kind.
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
named!(GrpcRoute, "GRPCRoute", "gateway.networking.k8s.io", "v1", "grpcroutes");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_share_of_a_service_counts_all_backends_of_the_rule() {
        let spec = json!({"rules": [{"backendRefs": [
            {"name": "web", "weight": 75}, {"name": "web-canary", "weight": 25}]}]});
        let route = HttpRoute { spec, ..HttpRoute::default() };
        assert_eq!((route.percent("web-canary"), route.percent("web"), route.percent("other")), (25, 75, 0));
        let alone = HttpRoute { spec: json!({"rules": [{"backendRefs": [{"name": "web"}]}]}), ..route };
        assert_eq!((alone.percent("web"), alone.percent("web-canary")), (100, 0));
        assert_eq!(HttpRoute::default().percent("web"), 0);
    }

    #[test]
    fn a_rollout_is_complete_only_with_the_given_version() {
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
