//! Checks that the admission policies of the chart and the code have the same definition of
//! "managed" and "held". The conditions of the policies run in a CEL interpreter; the tests on the
//! lab run the policies in the API server.

use std::collections::HashMap;

use kube_cel::{
    KubeCelExt as _,
    cel::{Context, Program, Value as CelValue},
};
use serde_json::{Value, json};

use super::read;
use crate::api::policy_name;

const HOLD: &str = include_str!("../../charts/steelyard/templates/hold.yaml");
const NO_UNPAUSE: &str = include_str!("../../charts/steelyard/templates/no-unpause.yaml");
const CASES: &str = include_str!("../../tests/policies/managed.yaml");

/// The conditions of the first admission policy of a template, all of which must be true for it to
/// act.
fn conditions(template: &str) -> Vec<Program> {
    let rendered = template.replace("{{ .Release.Namespace }}", "steelyard-system");
    let rendered = rendered.replace("{{ .Values.serviceAccount.name }}", "steelyard");
    let lines: Vec<&str> = rendered.lines().filter(|line| !line.contains("{{")).collect();
    let first = lines.join("\n").split("\n---").next().unwrap().to_owned();
    let policy: Value = serde_saphyr::from_str(&first).unwrap();
    let conditions = policy["spec"]["matchConditions"].as_array().unwrap().clone();
    assert!(!conditions.is_empty());
    let compile = |condition: &Value| Program::compile(condition["expression"].as_str().unwrap()).unwrap();
    conditions.iter().map(compile).collect()
}

/// Converts an object as the API server does: `serde` would make positive numbers unsigned, and CEL
/// does not compare these with a literal.
fn cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => CelValue::Int(number.as_i64().unwrap()),
        Value::String(text) => text.clone().into(),
        Value::Array(items) => items.iter().map(cel).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), cel(field))).collect::<HashMap<_, _>>().into()
        }
    }
}

fn acts(conditions: &[Program], case: &Value, user: &str) -> bool {
    let mut context = Context::default().with_all();
    context.add_variable_from_value("oldObject", cel(&case["old"]));
    context.add_variable_from_value("object", cel(&case["new"]));
    context.add_variable_from_value("request", cel(&json!({"userInfo": {"username": user}})));
    conditions.iter().all(|condition| match condition.execute(&context) {
        Ok(CelValue::Bool(holds)) => holds,
        other => panic!("{}: {other:?}", case["name"]),
    })
}

#[test]
fn the_chart_and_the_code_agree_on_what_is_managed_and_held() {
    let (hold, no_unpause) = (conditions(HOLD), conditions(NO_UNPAUSE));
    let cases: Vec<Value> = serde_saphyr::from_str(CASES).unwrap();
    assert!(cases.len() > 10);
    for case in &cases {
        let is = |field: &str| case[field].as_bool().unwrap_or_else(|| panic!("{field}: {case}"));
        let (name, old) = (&case["name"], &case["old"]);
        let managed = policy_name(&read::strings(old, "/metadata/annotations")).is_some();
        assert_eq!(managed, is("managed"), "managed, in the code: {name}");
        assert_eq!(read::deployment(old).held(), is("held"), "held, in the code: {name}");
        assert_eq!(acts(&hold, case, "ann"), is("holds"), "held by admission: {name}");
        assert_eq!(acts(&no_unpause, case, "ann"), is("denies"), "denied: {name}");
        assert!(!is("holds") || managed, "admission holds only managed Deployments: {name}");
        assert!(!is("denies") || is("held"), "admission denies only changes of held Deployments: {name}");
    }
}

#[test]
fn only_steelyard_may_release_a_held_deployment() {
    let no_unpause = conditions(NO_UNPAUSE);
    let cases: Vec<Value> = serde_saphyr::from_str(CASES).unwrap();
    let own = "system:serviceaccount:steelyard-system:steelyard";
    assert!(cases.iter().all(|case| !acts(&no_unpause, case, own)));
}
