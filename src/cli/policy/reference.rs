//! The reference of all fields of a policy, generated from the CRD.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    api,
    policy::{self, query},
};

const HEAD: &str = "# Policy reference

This page is generated from the CRDs by `steelyard policy reference`. A test reports when it is out of
date.

A `RolloutPolicy` describes how Deployments of its namespace roll out. A `ClusterRolloutPolicy` has the
same fields and no namespace; the annotation `steelyard.io/policy` names it as `cluster/NAME`. Both are
`steelyard.io/v1alpha1`. `[]` stands for the items of a list. The API server and `steelyard policy
check` reject unknown fields.

| field | type | default | meaning |
| --- | --- | --- | --- |
";

/// The page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    fields(policy::schema(), "", &mut page);
    page.push_str("\n## Values\n\n");
    values(policy::schema(), "", &mut page);
    page.push_str("\n## Variables in queries\n\n");
    let names: Vec<_> = query::names().map(|name| format!("`{name}`")).collect();
    let _ = writeln!(
        page,
        "{}.\n\n`${{name}}` is the same as `$name`; any other `$` is literal. `$canary_pods` and `$stable_pods` are\nregular expressions, for `=~`.",
        names.join(", ")
    );
    page
}

fn fields(schema: &Value, path: &str, page: &mut String) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (meaning, default) = described(field);
        let default = match (field.get("default"), default) {
            _ if required.iter().any(|r| r == name) => "required".to_owned(),
            (_, Some(described)) => code(&described),
            (Some(Value::String(text)), None) if !text.is_empty() => code(&span(text)),
            _ => String::new(),
        };
        let _ = writeln!(page, "| `{path}` | {} | {default} | {meaning} |", kind(field));
        let (inner, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        fields(inner, &path, page);
    }
}

/// A value as code, unless it is words.
fn code(text: &str) -> String {
    if text.contains(' ') { text.to_owned() } else { format!("`{text}`") }
}

/// Formats a default duration with the largest unit.
fn span(text: &str) -> String {
    match text.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()) {
        Some(seconds) if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => text.to_owned(),
    }
}

/// Returns the description in one line, and the default that it names.
fn described(schema: &Value) -> (String, Option<String>) {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
    match text.split_once(" Default: ") {
        Some((before, default)) => (before.to_owned(), Some(default.trim_end_matches('.').to_owned())),
        None => (text, None),
    }
}

fn kind(schema: &Value) -> String {
    if api::span_of(schema).is_some() {
        return "duration".to_owned();
    }
    if api::is_share(schema) {
        return "percentage".to_owned();
    }
    if schema.get("enum").is_some() {
        return "enum".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}s", kind(&schema["items"])),
        Some("integer") => "integer".to_owned(),
        Some("string") => "string".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// Writes the values of fields that take one of several.
fn values(schema: &Value, path: &str, page: &mut String) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let words = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
        if !words.is_empty() {
            let _ = writeln!(page, "- `{path}`: {}", words.join(", "));
        }
        let (inner, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        values(inner, &path, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_matches_the_crds() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
        let current = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            current == markdown(),
            "docs/policy.md is out of date: run `steelyard policy reference > docs/policy.md`"
        );
    }

    /// Returns a valid value of a schema.
    fn sample(schema: &Value) -> Value {
        if api::span_of(schema).is_some() {
            return "1h".into();
        }
        if let Some(words) = schema["enum"].as_array() {
            return words[0].clone();
        }
        if api::is_share(schema) {
            return 5.into();
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

    /// Sets the value at a path of a policy; `[]` is the first item. Creates missing objects on the
    /// way.
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

    fn each(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            found.push((path.clone(), sample(field)));
            match field.get("items") {
                Some(items) => each(items, &format!("{path}[]"), found),
                None => each(field, &path, found),
            }
        }
    }

    #[test]
    fn every_published_field_is_served() {
        let mut found = Vec::new();
        each(policy::schema(), "", &mut found);
        assert!(found.len() > 40, "{found:?}");
        for (path, sample) in found {
            let mut policy = serde_json::json!({
                "strategy": {"canary": {"steps": [{"weight": 5}]}},
                "traffic": {"gatewayAPI": {}},
                "analysis": {"metrics": [{"name": "a", "query": "up{pod=~\"$canary_pods\"}", "min": 1}]},
            });
            put(&mut policy, &path, sample);
            let faults = policy::spec(&policy).err().unwrap_or_default();
            let unknown = faults.iter().any(|fault| fault.sort == policy::Sort::UnknownField);
            let text = faults.iter().any(|fault| fault.message.contains("not supported"));
            assert!(!unknown && !text, "{path}: {faults:?}");
        }
    }
}
