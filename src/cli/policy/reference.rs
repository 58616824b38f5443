//! The reference of all fields of a policy, made from the definition.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    api,
    policy::{self, template},
};

const HEAD: &str = "# Policy reference

This page is made from the definitions by `steelyard policy reference`; a test says when it is out of date.

A `RolloutPolicy` says how Deployments of its namespace roll out; a `ClusterRolloutPolicy` has the same fields, no namespace, and is named `cluster/NAME` in the annotation
`steelyard.io/policy`. Both are `steelyard.io/v1alpha1`. Items of lists are written `[]`. Fields and values that are not served yet are refused by name: by
`steelyard policy check`, and by the condition `Accepted=False` with reason `NotYetSupported`. They are never ignored.

| field | type | default | served | meaning |
| --- | --- | --- | --- | --- |
";

/// The words that mark the description of such a field.
const UNSERVED: &str = "Not served yet.";

/// The page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    fields(policy::schema(), "", true, &mut page);
    page.push_str("\n## Values\n\n");
    values(policy::schema(), "", &mut page);
    page.push_str("\n## Variables in queries\n\n");
    let names: Vec<_> = template::NAMES.iter().map(|name| format!("`${name}`")).collect();
    let _ = writeln!(
        page,
        "{}. Also written `${{name}}`; a `$` before anything else means itself. `$canary_pods` and `$stable_pods` are regular expressions, for `=~`.",
        names.join(", ")
    );
    page
}

fn fields(schema: &Value, path: &str, served: bool, page: &mut String) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (meaning, default) = described(field);
        let served = served && !unserved(field);
        let default = match (field.get("default"), default) {
            _ if required.iter().any(|r| r == name) => "required".to_owned(),
            (_, Some(said)) => code(&said),
            (Some(Value::String(text)), None) if !text.is_empty() => code(&span(text)),
            _ => String::new(),
        };
        let _ = writeln!(
            page,
            "| `{path}` | {} | {default} | {} | {meaning} |",
            kind(field),
            if served { "yes" } else { "not yet" }
        );
        let (inner, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        fields(inner, &path, served, page);
    }
}

/// Whether a field is refused as not served yet.
fn unserved(schema: &Value) -> bool {
    schema["description"].as_str().is_some_and(|text| text.ends_with(UNSERVED))
}

/// A value as code, unless it is words.
fn code(text: &str) -> String {
    if text.contains(' ') { text.to_owned() } else { format!("`{text}`") }
}

/// A default duration as people write it.
fn span(text: &str) -> String {
    match text.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()) {
        Some(seconds) if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => text.to_owned(),
    }
}

/// The meaning in one line, and the default that it names.
fn described(schema: &Value) -> (String, Option<String>) {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
    let text = text.replace(UNSERVED, "").trim_end().to_owned();
    match text.split_once(" Default: ") {
        Some((before, default)) => (before.to_owned(), Some(default.trim_end_matches('.').to_owned())),
        None => (text, None),
    }
}

fn kind(schema: &Value) -> String {
    if api::span_of(schema).is_some() {
        return "duration".to_owned();
    }
    if schema.get("enum").is_some() {
        return "word".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}s", kind(&schema["items"])),
        Some("integer") => "whole number".to_owned(),
        Some("string") => "text".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// The words that fields take, those first that are served.
fn values(schema: &Value, path: &str, page: &mut String) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let words = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let (served, later): (Vec<&str>, Vec<&str>) = words.partition(|word| is_served(&path, word));
        let list =
            |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        match (served.is_empty(), later.is_empty()) {
            (true, true) => {}
            (_, true) => drop(writeln!(page, "- `{path}`: {}", list(&served))),
            _ => drop(writeln!(page, "- `{path}`: {}; not yet: {}", list(&served), list(&later))),
        }
        let (inner, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        values(inner, &path, page);
    }
}

/// Whether a policy may say this word in this field: asked of the check itself.
fn is_served(path: &str, word: &str) -> bool {
    let mut policy = serde_json::json!({
        "strategy": {"canary": {"steps": [{"weight": 5}]}},
        "traffic": {"gatewayAPI": {}},
        "analysis": {"metrics": [{"name": "a", "query": "up{pod=~\"$canary_pods\"}", "min": 1}]},
    });
    put(&mut policy, path, Value::from(word));
    let faults = policy::spec(&policy).err().unwrap_or_default();
    let at = format!("spec.{}", path.replace("[]", "[0]"));
    !faults.iter().any(|fault| fault.sort == policy::Sort::NotYetSupported && at.starts_with(&fault.path))
}

/// Sets the value at a path of a policy; `[]` is the first item. Objects on the way that are missing are made.
fn put(policy: &mut Value, path: &str, value: Value) {
    let mut at = policy;
    for name in path.split('.') {
        let (name, item) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        at = &mut at[name];
        if item {
            if !at.is_array() {
                *at = serde_json::json!([{}]);
            }
            at = &mut at[0];
        }
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_definitions_say() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == markdown(),
            "docs/policy.md is out of date: run `steelyard policy reference > docs/policy.md`"
        );
    }

    /// The smallest value of a schema.
    fn sample(schema: &Value) -> Value {
        if api::span_of(schema).is_some() {
            return "1h".into();
        }
        if let Some(words) = schema["enum"].as_array() {
            return words[0].clone();
        }
        match schema["type"].as_str() {
            Some("object") => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                required.map(|name| (name.to_owned(), sample(&schema["properties"][name]))).collect()
            }
            Some("array") => serde_json::json!([sample(&schema["items"])]),
            Some("string") => "50%".into(),
            _ => 5.into(),
        }
    }

    fn each(schema: &Value, path: &str, found: &mut Vec<(String, bool, Value)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            found.push((path.clone(), unserved(field), sample(field)));
            if !unserved(field) {
                match field.get("items") {
                    Some(items) => each(items, &format!("{path}[]"), found),
                    None => each(field, &path, found),
                }
            }
        }
    }

    #[test]
    fn a_field_is_refused_as_not_yet_supported_exactly_if_its_description_says_so() {
        let mut found = Vec::new();
        each(policy::schema(), "", &mut found);
        assert!(found.iter().filter(|(_, unserved, _)| *unserved).count() > 5);
        for (path, unserved, sample) in found {
            let mut policy = serde_json::json!({
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
                "traffic": {"gatewayAPI": {}},
                "analysis": {"metrics": [{"name": "a", "query": "up{pod=~\"$canary_pods\"}", "min": 1}]},
            });
            put(&mut policy, &path, sample);
            let faults = policy::spec(&policy).err().unwrap_or_default();
            let wanted = format!("spec.{}", path.replace("[]", "[0]"));
            let refused = faults
                .iter()
                .any(|fault| fault.sort == policy::Sort::NotYetSupported && fault.path == wanted);
            assert_eq!(refused, unserved, "{path}: {faults:?}");
        }
    }
}
