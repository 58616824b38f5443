//! Whether a value has the shape that a definition asks for: names, types, bounds. Every fault, not the first.

use serde_json::{Map, Value};

use super::{fault::Fault, problem::Sort};
use crate::api;

/// Checks `value` against a structural schema, and gives back what of it can be read, or nothing.
///
/// What is left out is under a fault, so that the rest can be looked at as well. A `null` counts as absent, as the API
/// server has it.
pub(super) fn fit(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    if let Some(span) = api::span_of(schema) {
        let fits = value.as_str().is_some_and(|text| span.takes(text));
        return keep(fits, value, faults, || {
            Fault::invalid(path, format!("{}, not {}", span.wanted(), told(value)))
        });
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        return keep(choices.contains(value), value, faults, || {
            let message = format!(
                "must be one of {}, not {}{}",
                words.join(", "),
                told(value),
                alike(value.as_str(), &words)
            );
            Fault::invalid(path, message)
        });
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object(schema, value, path, faults),
        Some("array") => array(schema, value, path, faults),
        Some("string") => string(schema, value, path, faults),
        Some(kind @ ("integer" | "number")) => number(kind, schema, value, path, faults),
        Some("boolean") => keep(value.is_boolean(), value, faults, || {
            Fault::invalid(path, format!("must be true or false, not {}", told(value)))
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
    let Value::Object(fields) = value else {
        faults.push(Fault::invalid(path, format!("must be an object, not {}", told(value))));
        return None;
    };
    let none = Map::new();
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
            let message = format!("unknown field{}: {wanted}", alike(Some(name), &names));
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
    usable.then_some(Value::Object(left))
}

fn array(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    let Value::Array(items) = value else {
        faults.push(Fault::invalid(path, format!("must be a list, not {}", told(value))));
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
        // An object without fields keeps the place of one that can't be read: those behind it keep their numbers.
        let place = (schema["type"] == "object").then(|| Value::Object(Map::new()));
        fit(schema, item, &format!("{path}[{index}]"), faults).or(place)
    });
    Some(Value::Array(items.collect()))
}

fn string(schema: &Value, value: &Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    let Value::String(text) = value else {
        let hint = if value.is_number() || value.is_boolean() { ": put it in quotes" } else { "" };
        faults.push(Fault::invalid(path, format!("must be a text, not {}{hint}", told(value))));
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
        Fault::invalid(path, format!("must be {kind}{range}, not {}", told(value)))
    })
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

/// A value in a few words.
fn told(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a longer text".to_owned(),
        other => other.to_string(),
    }
}

/// The name that was probably meant.
pub(super) fn alike(name: Option<&str>, names: &[&str]) -> String {
    let Some(name) = name else { return String::new() };
    let near = |other: &&&str| distance(name, other) <= (name.len() / 3).max(1);
    let best = names.iter().filter(near).min_by_key(|other| distance(name, other));
    best.map(|other| format!(" (did you mean {other}?)")).unwrap_or_default()
}

/// How many characters have to be changed, added, removed or swapped with the next one (optimal string alignment),
/// whatever their case.
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
    fn a_slip_of_the_finger_is_told_from_another_word() {
        let names = ["weight", "hold", "gate"];
        assert_eq!(alike(Some("wieght"), &names), " (did you mean weight?)");
        assert_eq!(alike(Some("Hold"), &names), " (did you mean hold?)");
        assert_eq!(alike(Some("pause"), &names), "");
        assert_eq!(distance("", "abc"), 3);
    }
}
