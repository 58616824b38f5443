use super::*;

fn pod() -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", "labels": {"app": "web", "a.b/c": "d"}},
        "spec": {"nodeName": "node-1", "serviceAccountName": "robot", "containers": []},
    }))
    .unwrap()
}

fn container(env: &serde_json::Value, env_from: &serde_json::Value) -> Container {
    serde_json::from_value(serde_json::json!({"name": "app", "env": env, "envFrom": env_from})).unwrap()
}

fn facts() -> Facts {
    Facts { pod_ip: "10.244.0.9".into(), host_ip: "192.0.2.10".into() }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn sources() -> Sources {
    Sources {
        config_maps: [("settings".to_owned(), map(&[("mode", "fast"), ("level", "3")]))].into(),
        secrets: [("keys".to_owned(), map(&[("token", "s3cret")]))].into(),
    }
}

fn resolved(
    env: &serde_json::Value,
    env_from: &serde_json::Value,
) -> Result<BTreeMap<String, String>, EnvError> {
    resolve(&pod(), &container(env, env_from), &facts(), &sources(), map(&[("BASE", "b")]))
}

#[test]
fn fields_of_the_pod_are_resolved() {
    for (path, value) in [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['a.b/c']", "d"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", "a.b/c=\"d\"\napp=\"web\""),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", "robot"),
        ("status.podIP", "10.244.0.9"),
        ("status.hostIP", "192.0.2.10"),
    ] {
        let env = serde_json::json!([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
        assert_eq!(resolved(&env, &serde_json::json!([])).unwrap()["X"], value, "{path}");
    }
    let env = serde_json::json!([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}}]);
    assert_eq!(resolved(&env, &serde_json::json!([])), Err(EnvError::Field("spec.color".into())));
}

#[test]
fn keys_of_config_maps_and_secrets_are_resolved() {
    let env = serde_json::json!([
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "other", "key": "x", "optional": true}}},
    ]);
    let env = resolved(&env, &serde_json::json!([])).unwrap();
    assert_eq!(env, map(&[("BASE", "b"), ("MODE", "fast"), ("TOKEN", "s3cret")]));
}

#[test]
fn errors_name_the_missing_object_or_key() {
    let env = serde_json::json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "no"}}}]);
    assert_eq!(
        resolved(&env, &serde_json::json!([])).unwrap_err().to_string(),
        "couldn't find key no in configmap \"settings\""
    );
    let all = serde_json::json!([{"secretRef": {"name": "no"}}]);
    assert_eq!(resolved(&serde_json::json!([]), &all).unwrap_err().to_string(), "secret \"no\" not found");
}

#[test]
fn env_overrides_env_from_and_env_from_overrides_the_node() {
    let all = serde_json::json!([
        {"configMapRef": {"name": "settings"}},
        {"prefix": "K_", "secretRef": {"name": "keys"}},
        {"configMapRef": {"name": "absent", "optional": true}},
    ]);
    let env = serde_json::json!([{"name": "mode", "value": "slow"}, {"name": "BASE", "value": "c"}]);
    let expected = map(&[("BASE", "c"), ("K_token", "s3cret"), ("level", "3"), ("mode", "slow")]);
    assert_eq!(resolved(&env, &all).unwrap(), expected);
}

#[test]
fn references_are_replaced_by_earlier_values() {
    let env = serde_json::json!([
        {"name": "HOST", "value": "web"},
        {"name": "URL", "value": "http://$(HOST):$(PORT)/$$(HOST)/5$"},
        {"name": "PORT", "value": "80"},
    ]);
    let env = resolved(&env, &serde_json::json!([])).unwrap();
    assert_eq!(env["URL"], "http://web:$(PORT)/$(HOST)/5$");
}

#[test]
fn the_referenced_objects_are_listed() {
    let container = container(
        &serde_json::json!([{"name": "T", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}]),
        &serde_json::json!([{"configMapRef": {"name": "settings"}}]),
    );
    assert_eq!(wanted(&container), (vec!["settings".to_owned()], vec!["keys".to_owned()]));
}
