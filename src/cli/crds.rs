//! `steelyard crds`: prints the CRDs, or writes them as files of the chart.

use std::{fmt::Write as _, io::Write as _, path::Path};

use serde_json::{Value, json};

use crate::api;

/// Returns the CRDs by file name. Helm keeps them at an uninstall: deleting a CRD deletes every
/// policy.
pub fn files() -> Result<Vec<(String, String)>, serde_json::Error> {
    api::crds()
        .into_iter()
        .map(|crd| {
            let name = format!("{}.yaml", crd.spec.names.plural);
            let mut value = serde_json::to_value(crd)?;
            value["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
            Ok((name, yaml(&value)))
        })
        .collect()
}

/// Formats a value as YAML. Strings that YAML could read as another type are quoted, and `{{` never
/// occurs.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(text, "{indent}{}:", scalar(&Value::String(key.clone())));
                nested(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "{indent}-");
                nested(item, depth, text);
            }
        }
        other => {
            let _ = writeln!(text, "{indent}{}", scalar(other));
        }
    }
}

fn nested(value: &Value, depth: usize, text: &mut String) {
    let plain = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if plain {
        let _ = writeln!(text, " {}", scalar(value));
    } else {
        text.push('\n');
        block(value, depth + 1, text);
    }
}

fn scalar(value: &Value) -> String {
    const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    match value {
        Value::String(s)
            if s.starts_with(|c: char| c.is_ascii_alphabetic())
                && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
                && !RESERVED.contains(&s.to_ascii_lowercase().as_str()) =>
        {
            s.clone()
        }
        other => other.to_string(),
    }
}

/// Prints all CRDs, or writes one file per CRD to `dir`.
pub(super) fn write(dir: Option<&Path>) -> std::io::Result<()> {
    let files = files()?;
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir)?;
        return files.into_iter().try_for_each(|(name, text)| std::fs::write(dir.join(name), text));
    }
    let mut out = std::io::stdout().lock();
    files.into_iter().try_for_each(|(_, text)| write!(out, "---\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_contains_the_crds_of_the_code() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/steelyard/templates/crds");
        let files = files().expect("CRDs");
        assert_eq!(files.len(), 3);
        for (name, text) in files {
            assert!(!text.contains("{{"), "{name} contains template syntax");
            let current = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
            assert!(
                current == text,
                "{name} is out of date: run `steelyard crds --dir charts/steelyard/templates/crds`"
            );
        }
    }

    #[test]
    fn the_written_yaml_parses_to_the_same_crds() {
        for (crd, (_, text)) in api::crds().into_iter().zip(files().expect("CRDs")) {
            let mut expected = serde_json::to_value(crd).expect("JSON");
            expected["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
            assert_eq!(serde_saphyr::from_str::<Value>(&text).expect("YAML"), expected);
        }
    }
}
