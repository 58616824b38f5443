//! The `backendRefs` of one rule.

use serde_json::Value;

use crate::traffic::Pair;

/// The weight of a `backendRef` that sets none (Gateway API, `BackendRef.weight`).
const DEFAULT_WEIGHT: i64 = 1;

/// The pair, as a route of this namespace refers to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    /// The Services.
    pub(super) pair: &'a Pair<'a>,
    /// The route's namespace: a `backendRef` without a namespace means this one.
    pub(super) namespace: &'a str,
}

impl Named<'_> {
    /// Returns whether a `backendRef` refers to this Service of the pair; absent keys have their
    /// API defaults.
    pub(super) fn is(&self, backend: &Value, service: &str) -> bool {
        let says = |key: &str, default: &str, wanted: &str| {
            let value = backend.get(key).filter(|value| !value.is_null());
            value.map_or(Some(default), Value::as_str).is_some_and(|value| value == wanted)
        };
        !service.is_empty()
            && says("name", "", service)
            && says("kind", "Service", "Service")
            && says("group", "", "")
            && says("namespace", self.namespace, self.pair.namespace)
    }

    /// Returns the index of the ref of this Service in a rule's `backendRefs`.
    pub(super) fn position(&self, rule: &Value, service: &str) -> Option<usize> {
        refs(rule).iter().position(|backend| self.is(backend, service))
    }

    /// Returns the ref of the stable Service.
    pub(super) fn stable<'b>(&self, rule: &'b Value) -> Option<&'b Value> {
        self.position(rule, self.pair.stable).map(|at| &refs(rule)[at])
    }

    /// Returns the ref of the canary Service.
    pub(super) fn canary<'b>(&self, rule: &'b Value) -> Option<&'b Value> {
        self.position(rule, self.pair.canary).map(|at| &refs(rule)[at])
    }

    /// Returns the Service of the pair that a rule refers to more than once, if any.
    pub(super) fn twice(&self, rule: &Value) -> Option<&str> {
        let count = |service: &str| refs(rule).iter().filter(|backend| self.is(backend, service)).count();
        [self.pair.stable, self.pair.canary].into_iter().find(|service| count(service) > 1)
    }

    /// Returns whether a ref refers to neither Service.
    pub(super) fn is_foreign(&self, backend: &Value) -> bool {
        !self.is(backend, self.pair.stable) && !self.is(backend, self.pair.canary)
    }

    /// Returns whether other backends of a rule get traffic.
    pub(super) fn is_shared(&self, rule: &Value) -> bool {
        refs(rule).iter().any(|backend| self.is_foreign(backend) && effective(backend) != 0)
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the rules of a route's `spec`.
pub(super) fn rules(spec: &Value) -> &[Value] {
    array(&spec["rules"])
}

/// Returns the rules of a route's `spec`.
pub(super) fn rules_mut(spec: &mut Value) -> &mut [Value] {
    spec.get_mut("rules").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

/// Returns the `backendRefs` of a rule.
pub(super) fn refs(rule: &Value) -> &[Value] {
    array(&rule["backendRefs"])
}

/// Returns the `backendRefs` of a rule.
pub(super) fn refs_mut(rule: &mut Value) -> Option<&mut Vec<Value>> {
    rule.get_mut("backendRefs").and_then(Value::as_array_mut)
}

/// Returns the weight as written, if it is set.
pub(super) fn written(backend: &Value) -> Option<i64> {
    backend.get("weight").and_then(Value::as_i64)
}

/// Returns the weight that a gateway uses.
pub(super) fn effective(backend: &Value) -> i64 {
    written(backend).unwrap_or(DEFAULT_WEIGHT)
}

/// Writes a weight, or removes it.
pub(super) fn write(backend: &mut Value, weight: Option<i64>) {
    let Some(backend) = backend.as_object_mut() else { return };
    match weight {
        Some(weight) => backend.insert("weight".to_owned(), weight.into()),
        None => backend.remove("weight"),
    };
}
