//! Checks a value against the schema of a CRD (names, types, bounds) and reports every error.

use serde_json::{Map, Value};

use super::{
    fault::Fault,
    names::{instead_of_field, instead_of_value},
    problem::Sort,
};
use crate::{api, traffic::Weight};

/// Checks `value` against a structural schema. Returns the valid part of it, if it can be used.
///
/// The rest is reported in `faults`, so that the valid part can be checked further. A `null` counts
/// as absent, as in the API server.
pub(super) fn fit(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    if let Some(span) = api::span_of(schema) {
        let fits = value.as_str().is_some_and(|text| span.takes(text));
        return keep(fits, value, faults, || {
            Fault::invalid(path, format!("{}, not {}", span.wanted(), described(value)))
        });
    }
    if api::is_share(schema) {
        let written = serde_json::from_value::<Weight>(value.clone());
        let fits = written.is_ok_and(|weight| weight > Weight::ZERO);
        return keep(fits, value, faults, || {
            let wanted = "must be a percentage above 0, such as 25 or \"0.5%\"";
            Fault::invalid(path, format!("{wanted}, not {}", described(value)))
        });
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        return keep(choices.contains(value), value, faults, || {
            let mut hint = alike(value.as_str(), &words);
            if hint.is_empty() {
                hint = instead_of_value(value.as_str().unwrap_or_default(), &words);
            }
            Fault::invalid(
                path,
                format!("must be one of {}, not {}{hint}", words.join(", "), described(value)),
            )
        });
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object(schema, value, path, faults),
        Some("array") => array(schema, value, path, faults),
        Some("string") => string(schema, value, path, faults),
        Some(kind @ ("integer" | "number")) => number(kind, schema, value, path, faults),
        Some("boolean") => keep(value.is_boolean(), value, faults, || {
            Fault::invalid(path, format!("must be true or false, not {}", described(value)))
        }),
        _ => Some(value.clone()),
    }
}

fn keep(fits: bool, value: &Value, faults: &mut Vec<Fault>, fault: impl FnOnce() -> Fault) -> Option<Value> {
    if fits {
        return Some(value.clone());
    }
    faults.push(fault());
    None
}

fn object(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    let (left, usable) = fields(schema, value, path, faults);
    usable.then_some(Value::Object(left))
}

/// Returns the fields of an object that fit, and whether none of the required ones is missing.
fn fields(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> (Map<String, Value>, bool) {
    let none = Map::new();
    let Value::Object(fields) = value else {
        faults.push(Fault::invalid(path, format!("must be an object, not {}", described(value))));
        return (none, false);
    };
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let any = schema.get("additionalProperties").filter(|any| any.is_object());
    let mut left = Map::new();
    let mut usable = true;
    let required = schema.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in fields.iter().filter(|(_, field)| !field.is_null()) {
        let path = format!("{path}.{name}");
        let Some(schema) = known.get(name).or(any) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            let wanted = if names.is_empty() {
                "no field goes here".to_owned()
            } else {
                format!("the fields here are {}", names.join(", "))
            };
            let mut hint = instead_of_field(name, &names);
            if hint.is_empty() {
                hint = alike(Some(name), &names);
            }
            let message = format!("unknown field{hint}: {wanted}");
            faults.push(Fault::new(Sort::UnknownField, path, message));
            continue;
        };
        match fit(schema, field, &path, faults) {
            Some(field) => drop(left.insert(name.clone(), field)),
            None => usable &= !required.contains(&name.as_str()),
        }
    }
    if let Some(most) = bound(schema, "maxProperties").filter(|most| fields.len() as u64 > *most) {
        faults.push(Fault::invalid(path, format!("must have at most {most} fields, not {}", fields.len())));
    }
    for name in required {
        if fields.get(name).is_none_or(Value::is_null) {
            faults.push(Fault::new(Sort::Missing, format!("{path}.{name}"), "must be given"));
            usable = false;
        }
    }
    (left, usable)
}

fn array(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    let Value::Array(items) = value else {
        faults.push(Fault::invalid(path, format!("must be a list, not {}", described(value))));
        return None;
    };
    let count = items.len() as u64;
    let (least, most) = (bound(schema, "minItems").unwrap_or(0), bound(schema, "maxItems"));
    if count < least || most.is_some_and(|most| count > most) {
        let most = most.map_or_else(|| "more".to_owned(), |most| most.to_string());
        faults.push(Fault::invalid(path, format!("must have {least} to {most} items, not {count}")));
    }
    let Some(schema) = schema.get("items") else { return Some(value.clone()) };
    let items = items.iter().enumerate().filter_map(|(index, item)| {
        let path = format!("{path}[{index}]");
        if schema["type"] != "object" {
            return fit(schema, item, &path, faults);
        }
        // The valid part of an unusable object keeps its place, so that later items keep their
        // index.
        Some(Value::Object(fields(schema, item, &path, faults).0))
    });
    Some(Value::Array(items.collect()))
}

fn string(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    let Value::String(text) = value else {
        let hint = if value.is_number() || value.is_boolean() { ": put it in quotes" } else { "" };
        faults.push(Fault::invalid(path, format!("must be a string, not {}{hint}", described(value))));
        return None;
    };
    let length = text.chars().count() as u64;
    let least = bound(schema, "minLength").unwrap_or(0);
    if length < least {
        faults.push(Fault::invalid(path, "must not be empty"));
        return None;
    }
    match bound(schema, "maxLength").filter(|most| length > *most) {
        Some(most) => {
            faults.push(Fault::invalid(path, format!("must have at most {most} characters, not {length}")));
            None
        }
        None => Some(value.clone()),
    }
}

fn number(kind: &str, schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    let whole = kind == "integer";
    let fits = if whole { value.is_i64() || value.is_u64() } else { value.is_number() };
    let (least, most) =
        (schema.get("minimum").and_then(Value::as_f64), schema.get("maximum").and_then(Value::as_f64));
    let within = value.as_f64().is_some_and(|n| least.is_none_or(|l| n >= l) && most.is_none_or(|m| n <= m));
    keep(fits && within, value, faults, || {
        let range = match (least, most) {
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
            (Some(least), None) => format!(" of at least {least}"),
            (None, Some(most)) => format!(" of at most {most}"),
            (None, None) => String::new(),
        };
        let kind = if whole { "a whole number" } else { "a finite number" };
        Fault::invalid(path, format!("must be {kind}{range}, not {}", described(value)))
    })
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

/// Describes a value in a few words.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a longer string".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the name that was probably meant, in parentheses, or nothing.
pub(super) fn alike(name: Option<&str>, names: &[&str]) -> String {
    let Some(name) = name else { return String::new() };
    let near = |other: &&&str| distance(name, other) <= (name.len() / 3).max(1);
    let best = names.iter().filter(near).min_by_key(|other| distance(name, other));
    best.map(|other| format!(" (did you mean {other}?)")).unwrap_or_default()
}

/// Returns how many characters have to be changed, added, removed or swapped with the next one
/// (optimal string alignment), ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_distinguished_from_another_word() {
        let names = ["weight", "duration", "gate"];
        assert_eq!(alike(Some("wieght"), &names), " (did you mean weight?)");
        assert_eq!(alike(Some("Duration"), &names), " (did you mean duration?)");
        assert_eq!(alike(Some("pause"), &names), "");
        assert_eq!(distance("", "abc"), 3);
    }
}
