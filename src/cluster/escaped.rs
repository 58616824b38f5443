//! The spelling of strings in JSON patches.
//!
//! The API server encodes an object with Go's `encoding/json` before it applies a patch, and the
//! operation `test` compares strings as they are spelled (`lazyNode.equal` in
//! `gopkg.in/evanphx/json-patch.v4`). Go writes the characters that are special in HTML and
//! JavaScript as escapes, so a `test` of a template with `&&` in a command would always fail.

/// Spells the strings of a JSON document as Go does: `<`, `>`, `&`, U+2028 and U+2029 as escapes.
/// They occur in strings only.
pub(super) fn as_in_go(json: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((first, others)) = rest.split_first() {
        let (escape, length) = match rest {
            [b'<', ..] => ("\\u003c", 1),
            [b'>', ..] => ("\\u003e", 1),
            [b'&', ..] => ("\\u0026", 1),
            [0xe2, 0x80, 0xa8, ..] => ("\\u2028", 3),
            [0xe2, 0x80, 0xa9, ..] => ("\\u2029", 3),
            _ => {
                spelled.push(*first);
                rest = others;
                continue;
            }
        };
        spelled.extend(escape.as_bytes());
        rest = &rest[length..];
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn strings_are_spelled_as_in_go_and_stay_the_same() {
        let command = "a && b <in >out; \u{2028}\u{2029}\u{20ac} \"quoted\"";
        let document = json!({"command": ["sh", "-c", command], "a&b": 1});
        let spelled = as_in_go(document.to_string().as_bytes());
        let text = std::str::from_utf8(&spelled).unwrap();
        assert!(text.contains(r"a \u0026\u0026 b \u003cin \u003eout; \u2028\u2029€"), "{text}");
        assert_eq!(serde_json::from_slice::<Value>(&spelled).unwrap(), document);
    }

    #[test]
    fn other_documents_are_unchanged() {
        let document =
            json!({"op": "test", "path": "/spec/template", "value": [null, 1.5, "é/~"]}).to_string();
        assert_eq!(as_in_go(document.as_bytes()), document.as_bytes());
    }
}
