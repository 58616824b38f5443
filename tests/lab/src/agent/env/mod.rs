//! Resolves a container's environment, command and arguments. Pure: the objects that they refer to
//! are arguments.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, ObjectFieldSelector, Pod};
use thiserror::Error;

/// A reference that cannot be resolved; kubelet's `CreateContainerConfigError`.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum EnvError {
    /// The object does not exist.
    #[error("{kind} {name:?} not found")]
    Missing {
        /// "configmap" or "secret".
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object does not have the key.
    #[error("couldn't find key {key} in {kind} {name:?}")]
    Key {
        /// "configmap" or "secret".
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The agent does not support the field.
    #[error("field {0} is not supported")]
    Field(String),
}

/// The objects that a container's environment refers to, by name. An object that is not in the map
/// does not exist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// `ConfigMap`s and their text.
    pub(crate) config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets and their text.
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// Facts about a pod that are not in its spec.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The pod's address.
    pub(crate) pod_ip: String,
    /// The node's address.
    pub(crate) host_ip: String,
}

/// Returns the names of the `ConfigMap`s and the Secrets that a container's environment refers to.
pub(crate) fn wanted(container: &Container) -> (Vec<String>, Vec<String>) {
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    for source in container.env_from.iter().flatten() {
        maps.extend(source.config_map_ref.iter().map(|from| from.name.clone()));
        secrets.extend(source.secret_ref.iter().map(|from| from.name.clone()));
    }
    for from in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
        maps.extend(from.config_map_key_ref.iter().map(|key| key.name.clone()));
        secrets.extend(from.secret_key_ref.iter().map(|key| key.name.clone()));
    }
    (maps, secrets)
}

/// Returns the environment of `container` in `pod`, on top of `base` (the variables that the node
/// sets for every container). As in kubelet, `envFrom` comes first, then `env` in order; `$(NAME)`
/// is replaced by the value known at that point.
pub(crate) fn resolve(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    sources: &Sources,
    base: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, EnvError> {
    let mut env = base;
    for from in container.env_from.iter().flatten() {
        take_all(&mut env, from, sources)?;
    }
    for var in container.env.iter().flatten() {
        if let Some(value) = value(pod, var, facts, sources, &env)? {
            env.insert(var.name.clone(), value);
        }
    }
    Ok(env)
}

fn take_all(
    env: &mut BTreeMap<String, String>,
    from: &EnvFromSource,
    sources: &Sources,
) -> Result<(), EnvError> {
    let map = from.config_map_ref.as_ref().map(|r| ("configmap", &sources.config_maps, &r.name, r.optional));
    let secret = from.secret_ref.as_ref().map(|r| ("secret", &sources.secrets, &r.name, r.optional));
    for (kind, all, name, optional) in map.into_iter().chain(secret) {
        match all.get(name) {
            Some(data) => {
                let prefix = from.prefix.as_deref().unwrap_or_default();
                env.extend(data.iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
            }
            None if optional == Some(true) => {}
            None => return Err(EnvError::Missing { kind, name: name.clone() }),
        }
    }
    Ok(())
}

fn value(
    pod: &Pod,
    var: &EnvVar,
    facts: &Facts,
    sources: &Sources,
    env: &BTreeMap<String, String>,
) -> Result<Option<String>, EnvError> {
    let Some(from) = &var.value_from else {
        return Ok(Some(expand(var.value.as_deref().unwrap_or_default(), env)));
    };
    if let Some(from) = &from.field_ref {
        return field(pod, from, facts).map(Some);
    }
    let map = from
        .config_map_key_ref
        .as_ref()
        .map(|r| ("configmap", &sources.config_maps, &r.name, &r.key, r.optional));
    let secret =
        from.secret_key_ref.as_ref().map(|r| ("secret", &sources.secrets, &r.name, &r.key, r.optional));
    let Some((kind, all, name, key, optional)) = map.or(secret) else {
        return Err(EnvError::Field(format!("valueFrom of {}", var.name)));
    };
    let data = all.get(name);
    match (data.and_then(|data| data.get(key)), optional) {
        (Some(value), _) => Ok(Some(value.clone())),
        (None, Some(true)) => Ok(None),
        (None, _) if data.is_none() => Err(EnvError::Missing { kind, name: name.clone() }),
        (None, _) => Err(EnvError::Key { kind, name: name.clone(), key: key.clone() }),
    }
}

/// Returns the value of a pod's field in the downward API.
pub(crate) fn field(pod: &Pod, from: &ObjectFieldSelector, facts: &Facts) -> Result<String, EnvError> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let path = from.field_path.as_str();
    let keyed = |map: &Option<BTreeMap<String, String>>, prefix: &str| -> Option<String> {
        let key = path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default())
    };
    let lines = |map: &Option<BTreeMap<String, String>>| {
        map.iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
    };
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => text(meta.name.as_ref()),
        "metadata.namespace" => text(meta.namespace.as_ref()),
        "metadata.uid" => text(meta.uid.as_ref()),
        "metadata.labels" => lines(&meta.labels),
        "metadata.annotations" => lines(&meta.annotations),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.podIP" | "status.podIPs" => facts.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => facts.host_ip.clone(),
        _ => keyed(&meta.labels, "metadata.labels")
            .or_else(|| keyed(&meta.annotations, "metadata.annotations"))
            .ok_or_else(|| EnvError::Field(path.to_owned()))?,
    })
}

/// Replaces `$(NAME)` with its value where the name is known, and `$$` with a single `$`.
pub(crate) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match env.get(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
