//! Parses YAML and JSON, with the line and column of each value.
//!
//! Plain scalars have the same meaning as in `kubectl`, which reads YAML 1.1: `yes`, `no`, `on`,
//! `off`, `y` and `n` are booleans.

use std::collections::{BTreeMap, HashMap};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

/// The maximum number of nodes in a file, with aliases counted each time. No policy has a hundredth
/// of it.
const NODES: usize = 100_000;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// An error in the syntax of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

/// One document of a text.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Its value.
    pub value: Value,
    /// Its first line and column.
    pub place: Place,
    /// Fields that are given twice; the last one is used.
    pub flaws: Vec<Flaw>,
    keys: BTreeMap<String, Place>,
    values: BTreeMap<String, Place>,
}

impl Document {
    /// Returns the place of the value at a path, as in [`crate::policy::Fault::path`]; for a
    /// missing value, the place of the object or list around it.
    pub fn value_at(&self, path: &str) -> Place {
        self.values.get(path).copied().unwrap_or_else(|| self.above(path))
    }

    /// Returns the place of the field name at a path, or of the item.
    pub fn key_at(&self, path: &str) -> Place {
        self.keys.get(path).copied().unwrap_or_else(|| self.value_at(path))
    }

    fn above(&self, path: &str) -> Place {
        path.rfind(['.', '[']).map_or(self.place, |end| self.key_at(&path[..end]))
    }
}

/// Returns all documents of a text that are not empty, and the syntax errors. Parsing continues
/// with the document after an error.
pub fn documents(text: &str) -> (Vec<Document>, Vec<Flaw>) {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let (mut found, mut flaws) = (Vec::new(), Vec::new());
    let mut reader = Reader::default();
    let mut nodes = 0;
    while let Some(event) = parser.next_event() {
        let failed = match event {
            Ok((event, span)) => {
                nodes += 1;
                reader.event(event, &span, &mut nodes).map(|document| found.extend(document))
            }
            Err(error) => Err(Flaw { place: place(*error.marker()), message: error.info() }),
        };
        let Err(flaw) = failed else { continue };
        flaws.push(flaw);
        reader = Reader::default();
        if nodes > NODES || !parser.proceed_next_document().unwrap_or(false) {
            break;
        }
    }
    (found, flaws)
}

fn place(marker: granit_parser::Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

/// The state of the parser in one document.
#[derive(Default)]
struct Reader {
    document: Document,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
}

/// A list or an object that is not complete.
struct Open {
    path: String,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    /// The fields, the name of the next value, and the objects to merge into the fields at the end.
    Object(Map<String, Value>, Option<String>, Vec<Value>),
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: &Span, nodes: &mut usize) -> Result<Option<Document>, Flaw> {
        let at = place(span.start);
        match event {
            Event::DocumentStart(..) => {
                *self = Self::default();
                self.document.place = at;
            }
            Event::DocumentEnd => {
                let document = std::mem::take(&mut self.document);
                return Ok((!document.value.is_null()).then_some(document));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = style == ScalarStyle::Plain && !is_text;
                let wants_name =
                    matches!(self.open.last(), Some(Open { content: Content::Object(_, None, _), .. }));
                if wants_name {
                    self.name(text.into_owned(), at);
                    return Ok(None);
                }
                let value = if plain { meant(&text) } else { Value::String(text.into_owned()) };
                self.begin(at);
                self.end(value, anchor);
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().unwrap_or_default();
                *nodes += size(&value);
                if *nodes > NODES {
                    return Err(Flaw { place: at, message: "the file is too large".to_owned() });
                }
                self.begin(at);
                self.end(value, 0);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(at, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(at, anchor, Content::Object(Map::new(), None, Vec::new()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, content, .. }) = self.open.pop() {
                    let value = match content {
                        Content::List(items) => Value::Array(items),
                        Content::Object(mut fields, _, merged) => {
                            for other in merged {
                                merge(&mut fields, other);
                            }
                            Value::Object(fields)
                        }
                    };
                    self.end(value, anchor);
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Returns the path of the next value.
    fn path(&self) -> String {
        match self.open.last() {
            None => String::new(),
            Some(Open { path, content: Content::List(items), .. }) => format!("{path}[{}]", items.len()),
            Some(Open { path, content: Content::Object(_, name, _), .. }) => {
                let name = name.as_deref().unwrap_or_default();
                if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
            }
        }
    }

    fn name(&mut self, name: String, at: Place) {
        let Some(Open { content: Content::Object(fields, next, _), .. }) = self.open.last_mut() else {
            return;
        };
        if fields.contains_key(&name) {
            self.document.flaws.push(Flaw { place: at, message: format!("field {name} is given twice") });
        }
        *next = Some(name);
        let path = self.path();
        self.document.keys.insert(path, at);
    }

    fn begin(&mut self, at: Place) {
        let path = self.path();
        if path.is_empty() {
            self.document.place = at;
        }
        self.document.values.insert(path, at);
    }

    fn open(&mut self, at: Place, anchor: usize, content: Content) -> Result<(), Flaw> {
        if matches!(self.open.last(), Some(Open { content: Content::Object(_, None, _), .. })) {
            return Err(Flaw { place: at, message: "the name of a field must be a text".to_owned() });
        }
        self.begin(at);
        let path = self.path();
        self.open.push(Open { path, anchor, content });
        Ok(())
    }

    fn end(&mut self, value: Value, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.document.value = value,
            Some(Content::List(items)) => items.push(value),
            Some(Content::Object(fields, name, merged)) => match name.take() {
                Some(name) if name == "<<" => merged.push(value),
                Some(name) => drop(fields.insert(name, value)),
                None => {}
            },
        }
    }
}

/// Adds the fields of other objects that this one does not set itself.
fn merge(fields: &mut Map<String, Value>, value: Value) {
    let others = match value {
        Value::Array(items) => items,
        other => vec![other],
    };
    for (name, value) in others
        .into_iter()
        .filter_map(|other| match other {
            Value::Object(other) => Some(other),
            _ => None,
        })
        .flatten()
    {
        fields.entry(name).or_insert(value);
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// Returns the value of a plain scalar. Numbers that JSON does not have (`.nan`, `.inf`) stay
/// strings.
fn meant(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radix = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)];
    let (base, shown) = radix
        .iter()
        .find_map(|(prefix, base)| {
            Some((*base, digits.strip_prefix(prefix).filter(|rest| !rest.is_empty())?))
        })
        .unwrap_or((10, digits));
    if shown.starts_with(|c: char| c.is_ascii_alphanumeric())
        && let Ok(whole) = i128::from_str_radix(shown, base)
    {
        let whole = whole.checked_mul(sign)?;
        return i64::try_from(whole)
            .map(Number::from)
            .or_else(|_| u64::try_from(whole).map(Number::from))
            .ok();
    }
    let float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c));
    float.then(|| plain.parse().ok().and_then(Number::from_f64)).flatten()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Document {
        let (mut documents, flaws) = documents(text);
        assert_eq!((documents.len(), flaws.len()), (1, 0), "{text}: {flaws:?}");
        documents.remove(0)
    }

    #[test]
    fn each_value_has_its_place() {
        let text = "# a policy\nspec:\n  steps:\n  - {weight: 5, hold: 2m}\n  - weight: 10\n    hold: 1h\nlast: [1,\n 2]\n";
        let document = one(text);
        assert_eq!(document.value["spec"]["steps"][1], json!({"weight": 10, "hold": "1h"}));
        let at = |line, column| Place { line, column };
        assert_eq!(document.value_at("spec.steps[0].weight"), at(4, 14));
        assert_eq!(document.key_at("spec.steps[0].weight"), at(4, 6));
        assert_eq!(document.value_at("spec.steps[1].hold"), at(6, 11));
        assert_eq!(document.value_at("last[1]"), at(8, 2));
        // A missing value has the place of the object around it.
        assert_eq!(document.value_at("spec.steps[1].gate"), at(5, 5));
        assert_eq!(document.value_at("spec.traffic.gatewayAPI"), at(2, 1));
    }

    #[test]
    fn plain_scalars_have_the_same_meaning_as_in_kubectl() {
        let value = one("[yes, off, y, ~, '5', 5, -1, 0x10, 010, 1_000, 1.5, .5, 1e3, 09:00, 2m, .nan, 1.2.3, 10.0.0.1, +7, !!str 5]").value;
        let wanted = json!([
            true, false, true, null, "5", 5, -1, 16, 8, 1000, 1.5, 0.5, 1000.0, "09:00", "2m", ".nan",
            "1.2.3", "10.0.0.1", 7, "5"
        ]);
        assert_eq!(value, wanted);
    }

    #[test]
    fn json_is_read_with_places_as_well() {
        let document = one("{\n\t\"spec\": {\"a\": \"x\\u00e9\\n\", \"b\": [true]}\n}");
        assert_eq!(document.value, json!({"spec": {"a": "x\u{e9}\n", "b": [true]}}));
        assert_eq!(document.value_at("spec.b[0]").line, 2);
    }

    #[test]
    fn a_broken_document_hides_no_other() {
        let (documents, flaws) = documents("a: [1\n---\nb: 2\n---\n# nothing\n---\nc: 3\n");
        assert_eq!(flaws.len(), 1, "{flaws:?}");
        let values: Vec<_> = documents.into_iter().map(|document| document.value).collect();
        assert_eq!(values, [json!({"b": 2}), json!({"c": 3})]);
    }

    #[test]
    fn anchors_merges_and_doubles_are_seen() {
        let document = one("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nc: 4\n");
        assert_eq!(document.value, json!({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": 4}));
        assert_eq!(
            document.flaws,
            [Flaw { place: Place { line: 4, column: 1 }, message: "field c is given twice".into() }]
        );
    }

    #[test]
    fn a_bomb_of_aliases_is_put_out() {
        let mut text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            let _ = writeln!(text, "a{n}: &a{n} [{}]", vec![before; 10].join(", "));
        }
        let (documents, flaws) = documents(&text);
        assert!(documents.is_empty() && flaws.len() == 1, "{flaws:?}");
    }
}
