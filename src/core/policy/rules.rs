//! Runs the CEL rules of the CRDs without an API server, on policies that they reject.

use kube::{
    CustomResourceExt as _,
    core::cel::{ValidationErrors, Validator, compile_schema},
};
use serde_json::{Value, json};

use super::{object::object, yaml::documents};
use crate::api::{ClusterRolloutPolicy, RolloutPolicy};

fn schemas() -> [Value; 2] {
    [RolloutPolicy::crd(), ClusterRolloutPolicy::crd()].map(|crd| {
        let crd = serde_json::to_value(crd).unwrap();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap()
    })
}

fn refused() -> Vec<Value> {
    let (documents, flaws) = documents(include_str!("../../../tests/policies/refused.yaml"));
    assert!(flaws.is_empty(), "{flaws:?}");
    documents.into_iter().map(|document| document.value).collect()
}

fn said(result: Result<(), ValidationErrors>) -> String {
    result.map_or_else(|errors| errors.to_string(), |()| String::new())
}

#[test]
fn each_rule_rejects_both_kinds_of_policy_with_its_message() {
    let validator = Validator::new();
    let compiled = schemas().map(|schema| compile_schema(&schema));
    for policy in refused() {
        let annotations = &policy["metadata"]["annotations"];
        let (by, expected) = (annotations["by"].as_str().unwrap(), annotations["expected"].as_str().unwrap());
        for schema in &compiled {
            if by == "rule" {
                let said = said(validator.validate_compiled(schema, &policy, None));
                assert!(said.contains(expected), "{}: {said}", policy["metadata"]["name"]);
            }
        }
        assert!(object(&policy).is_err(), "{}", policy["metadata"]["name"]);
    }
}

#[test]
fn every_rule_has_a_policy_that_it_rejects() {
    let expected: Vec<String> = refused()
        .iter()
        .map(|policy| policy["metadata"]["annotations"]["expected"].as_str().unwrap().to_owned())
        .collect();
    let mut messages = Vec::new();
    collect(&schemas()[0], &mut messages);
    assert!(messages.len() > 20, "{messages:?}");
    for message in messages {
        assert!(expected.contains(&message), "no policy that breaks the rule {message}");
    }
}

fn collect(schema: &Value, messages: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let rules = fields.get("x-kubernetes-validations").and_then(Value::as_array);
            messages
                .extend(rules.into_iter().flatten().map(|rule| rule["message"].as_str().unwrap().to_owned()));
            fields.values().for_each(|field| collect(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
        _ => {}
    }
}

#[test]
fn rules_accept_valid_policies() {
    let spec = json!({
        "strategy": {"canary": {"steps": [
            {"weight": 5, "duration": "2m", "replicas": "50%"},
            {"weight": 25}, {"gate": {"window": {"days": ["Mon-Fri"], "from": "09:00", "to": "16:00", "timeZone": "Europe/Berlin"}}},
            {"gate": {"person": {"message": "look"}}}, {"weight": 100},
        ]}},
        "traffic": {"gatewayAPI": {"routes": ["web"]}},
        "analysis": {"settle": "0s", "interval": "1s", "metrics": [
            {"name": "a", "query": "up", "min": 0.5, "max": 0.5},
        ]},
        "deadline": "1s", "rollbackWindow": {"revisions": 3, "within": "720h"},
    });
    for schema in schemas() {
        let policy = json!({"metadata": {"name": "web"}, "spec": spec});
        assert_eq!(said(Validator::new().validate(&schema, &policy, None)), "");
    }
}

#[test]
fn both_kinds_have_the_same_rules() {
    let [one, other] = schemas();
    let of = |schema: &Value| {
        let mut spec = schema["properties"]["spec"].clone();
        spec["description"] = Value::Null;
        spec
    };
    assert_eq!(of(&one), of(&other));
}
