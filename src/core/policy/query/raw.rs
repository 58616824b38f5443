//! Strings between backticks.

use std::borrow::Cow;

/// Returns the query with each string between backticks in double quotes. In `PromQL`, nothing is
/// escaped between backticks, but the parser's lexer handles backslashes there as in other strings.
pub(super) fn in_double_quotes(query: &str) -> Cow<'_, str> {
    if !query.contains('`') {
        return Cow::Borrowed(query);
    }
    let mut text = String::with_capacity(query.len() + 8);
    let mut rest = query;
    while let Some(at) = rest.find(['`', '"', '\'', '#']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let opening = &from[..1];
        let length = match opening {
            "`" => from[1..].find('`').map(|end| end + 2),
            "#" => from.find('\n'),
            quote => closing(&from[1..], quote).map(|end| end + 2),
        };
        let (token, after) = from.split_at(length.unwrap_or(from.len()));
        let inner = token.strip_prefix('`').and_then(|token| token.strip_suffix('`'));
        if let Some(inner) = inner {
            text.push('"');
            text.push_str(&inner.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n"));
            text.push('"');
        } else {
            text.push_str(token);
        }
        rest = after;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Returns where a string in these quotes ends.
fn closing(text: &str, quote: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = !escaped && quote.starts_with(c);
        escaped = !escaped && c == '\\';
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::in_double_quotes;

    #[test]
    fn between_backticks_nothing_is_escaped() {
        for (query, expected) in [
            (r"x{a=~`/v\d+/.*`}", r#"x{a=~"/v\\d+/.*"}"#),
            (r#"x{a=`say "hi"`,b="`\""}"#, r#"x{a="say \"hi\"",b="`\""}"#),
            ("x{a=`two\nlines`}", r#"x{a="two\nlines"}"#),
            ("x # a `comment\n+ y{a='`'} # `", "x # a `comment\n+ y{a='`'} # `"),
            (r#"x{a="\\",b=`\`}"#, r#"x{a="\\",b="\\"}"#),
            ("x{a=``}", r#"x{a=""}"#),
            ("x{a=`open", "x{a=`open"),
            ("x{a=\"open`", "x{a=\"open`"),
        ] {
            assert_eq!(in_double_quotes(query), expected, "{query}");
        }
    }
}
