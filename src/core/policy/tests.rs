use serde_json::{Value, json};

use super::*;

fn faults(text: &str) -> Vec<(Sort, String)> {
    let (documents, flaws) = documents(text);
    assert!(flaws.is_empty(), "{flaws:?}");
    let faults = spec(&documents[0].value).expect_err("faults");
    faults.into_iter().map(|fault| (fault.sort, fault.path)).collect()
}

#[test]
fn all_errors_are_reported_at_once_and_none_twice() {
    let found = faults(
        r#"
strategy:
  canary:
    steps:
    - {wieght: 5, duration: 2m}
    - {weight: 25, duration: forever}
    - {weight: 10}
    - {weight: "50"}
    - {gate: {person: {}}}
    - 7
traffic: {gatewayAPI: {routes: web}, serviceSelector: {}, istio: {}}
analysis:
  interval: 0s
  metrics:
  - {name: a, query: up, min: 1, max: 0}
  - {name: a, query: "sum(up{pod=~\"$canary_pod\"}", min: 1}
  - {name: b, query: "up{pod=~\"$canary_pods\"}[5m]", min: 1}
  - {name: c, query: "up{pod=~\"$canary_pods\"}"}
  - {query: "up{pod=~\"$canary_pods\"}", min: yes, scope: canari}
  - {name: d, query: "up{pod=~\"$canary_pods\"}", min: 1, interval: 100ms, source: ""}
onFail: Revert
extra: 1
"#,
    );
    let wanted = [
        (Sort::UnknownField, "spec.extra"),
        (Sort::UnknownField, "spec.strategy.canary.steps[0].wieght"),
        (Sort::Invalid, "spec.strategy.canary.steps[1].duration"),
        (Sort::Invalid, "spec.strategy.canary.steps[2].weight"),
        (Sort::Invalid, "spec.strategy.canary.steps[3].weight"),
        (Sort::Missing, "spec.strategy.canary.steps[4].gate.person.message"),
        (Sort::Invalid, "spec.strategy.canary.steps[5]"),
        (Sort::Invalid, "spec.traffic.gatewayAPI.routes"),
        (Sort::Invalid, "spec.traffic"),
        (Sort::UnknownField, "spec.traffic.istio"),
        (Sort::UnknownField, "spec.onFail"),
        (Sort::Invalid, "spec.analysis.interval"),
        (Sort::Invalid, "spec.analysis.metrics[0]"),
        (Sort::Invalid, "spec.analysis.metrics[0].query"),
        (Sort::Invalid, "spec.analysis.metrics[1].name"),
        (Sort::Invalid, "spec.analysis.metrics[1].query"),
        (Sort::Invalid, "spec.analysis.metrics[2].query"),
        (Sort::Missing, "spec.analysis.metrics[3]"),
        (Sort::Invalid, "spec.analysis.metrics[4].min"),
        (Sort::Missing, "spec.analysis.metrics[4].name"),
        (Sort::Invalid, "spec.analysis.metrics[4].scope"),
        (Sort::Invalid, "spec.analysis.metrics[5].interval"),
        (Sort::Invalid, "spec.analysis.metrics[5].source"),
    ];
    let mut found: Vec<(Sort, &str)> = found.iter().map(|(sort, path)| (*sort, path.as_str())).collect();
    let mut wanted = wanted.to_vec();
    found.sort_by_key(|(_, path)| *path);
    wanted.sort_by_key(|(_, path)| *path);
    assert_eq!(found, wanted);
}

/// Compiles a canary strategy with these steps.
fn steps(steps: &Value, traffic: &Value) -> Result<Vec<Stage>, Vec<String>> {
    let policy = spec(&json!({"strategy": {"canary": {"steps": steps}}, "traffic": traffic}));
    policy
        .map(|policy| policy.stages)
        .map_err(|faults| faults.into_iter().map(|fault| fault.path + ": " + &fault.message).collect())
}

#[test]
fn a_canary_has_at_least_the_pods_of_its_weight_and_never_fewer_than_before() {
    let (routed, plain) = (json!({"gatewayAPI": {}}), json!({"serviceSelector": {}}));
    let refused = |given: Value, traffic: &Value, expected: &str| {
        let faults = steps(&given, traffic).expect_err("a fault");
        assert!(matches!(&faults[..], [fault] if fault.contains(expected)), "{given}: {faults:?}");
    };
    refused(json!([{"weight": 100, "replicas": "1%"}]), &routed, "steps[0].replicas: 1% of the replicas");
    refused(json!([{"weight": 100, "replicas": "99%"}]), &plain, "steps[0].replicas: 99% of the replicas");
    refused(json!([{"weight": 25, "replicas": "24%"}]), &routed, "steps[0].replicas: 24% of the replicas");
    let gate = json!({"gate": {"person": {"message": "look"}}});
    let falling = json!([{"weight": 5, "replicas": "50%"}, gate, {"weight": 10, "replicas": "40%"}]);
    refused(falling, &routed, "steps[2].replicas: 40% is less than the 50%");
    let sizes = |given: Value| -> Vec<Size> {
        let shifts =
            steps(&given, &routed).expect("a strategy").into_iter().filter_map(|stage| match stage {
                Stage::Shift(shift) => Some(shift.size),
                Stage::Gate(_) => None,
            });
        shifts.collect()
    };
    assert_eq!(sizes(json!([{"weight": "33.3%", "replicas": "33%"}])), [Size::Percent(33)]);
    assert_eq!(
        sizes(json!([{"weight": 5, "replicas": "50%"}, {"weight": 25}, {"weight": 50}, {"weight": 100}])),
        [Size::Percent(50), Size::Percent(50), Size::ForWeight, Size::ForWeight]
    );
}

#[test]
fn the_valid_part_of_an_invalid_policy_is_still_checked() {
    let found = faults("{strategy: {canary: {steps: [{weight: 5}, {weight: 5}]}}, traffic: 7}");
    assert!(found.contains(&(Sort::Invalid, "spec.traffic".into())), "{found:?}");
    let none = spec(&json!({})).expect_err("faults");
    let paths: Vec<_> = none.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["spec.strategy", "spec.traffic"]);
    assert!(read(&json!(7)).is_err());
}

#[test]
fn an_object_is_checked_by_kind_version_and_name() {
    let good = json!({"strategy": {"canary": {"steps": [{"weight": 5}]}}, "traffic": {"gatewayAPI": {}}});
    let whole = |kind: &str, metadata: Value| json!({"apiVersion": "steelyard.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": good});
    assert!(object(&whole("RolloutPolicy", json!({"name": "web", "namespace": "shop"}))).is_ok());
    let paths = |value: &Value| -> Vec<String> {
        object(value).expect_err("faults").into_iter().map(|fault| fault.path).collect()
    };
    assert_eq!(
        paths(&whole("ClusterRolloutPolicy", json!({"name": "web", "namespace": "shop"}))),
        ["metadata.namespace"]
    );
    assert_eq!(paths(&whole("RolloutPolcy", json!({"name": "Web"}))), ["kind", "metadata.name"]);
    assert_eq!(kind(&whole("RolloutPolcy", json!({}))), DocumentKind::Policy);
    assert_eq!(kind(&json!({"apiVersion": "v1", "kind": "Service"})), DocumentKind::Other);
    let old = json!({"apiVersion": "steelyard.io/v1", "kind": "RolloutPolicy", "metadata": {"name": "web"}, "status": {}});
    assert_eq!(paths(&old), ["apiVersion", "status", "spec"]);
}

#[test]
fn any_input_gives_errors_or_a_policy_and_never_a_panic() {
    // Each value of a valid policy is replaced by each of these.
    let good = json!({
        "strategy": {"canary": {"steps": [{"weight": 5, "duration": "2m"}, {"weight": 7, "duration": "1s"}]}},
        "traffic": {"gatewayAPI": {"routes": ["web"]}},
        "analysis": {"settle": "1s", "metrics": [{"name": "a", "query": "up{pod=~\"$canary_pods\"}", "min": 0.5, "samples": {"query": "up"}}]},
        "deadline": "10m",
    });
    let mut pointers = Vec::new();
    walk(&good, String::new(), &mut pointers);
    let odd = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(256),
        json!(""),
        json!("\u{0}"),
        json!([]),
        json!([[]]),
        json!({}),
        json!(true),
    ];
    for pointer in &pointers {
        for odd in &odd {
            let mut value = good.clone();
            *value.pointer_mut(pointer).expect("there") = odd.clone();
            match spec(&value) {
                Ok(_) => {}
                Err(faults) => assert!(!faults.is_empty(), "{pointer} {odd}"),
            }
        }
    }
    assert!(pointers.len() > 20);
}

fn walk(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| walk(field, format!("{at}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, format!("{at}/{index}"), into));
        }
        _ => {}
    }
    into.push(at);
}
