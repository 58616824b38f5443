//! A query: compiled once with its policy, and rendered each time it is sent.
//!
//! Variables are written as in Grafana.
//!
//! # The rule
//! A `$` starts a variable only before a letter, `_`, or `{` with one of these: `$name`, `${name}`.
//! A name consists of letters, digits and `_`. Every other `$` stays as it is: `$1` and `${1}`
//! (groups of `label_replace`), a `$` before anything else or at the end (`"foo$"`, `"(a|b$)"`),
//! and `$$`, which counts as one, so that `$$name` is no variable. A named group, `${name}`, looks
//! like a variable: use its number.
//!
//! Values are escaped for a double-quoted string. The values that Steelyard sets need no escaping,
//! so they fit other quotes as well.

use std::{cell::Cell, time::Duration};

use promql_parser::parser::{self, Expr, value::ValueType};
use thiserror::Error;

mod fallback;
mod pods;
mod raw;
mod reach;
#[cfg(test)]
mod tests;
mod variables;

pub use pods::{is_cut, listed, pod_pattern};
pub use reach::Reach;
pub use variables::{Variable, Variables, names};

thread_local! {
    static PARSED: Cell<u64> = const { Cell::new(0) };
}

/// A compiled query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    text: String,
    pieces: Vec<Piece>,
    reach: Reach,
    fallback: bool,
}

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// Why a query can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// An unknown variable.
    #[error("unknown variable {name} at byte {offset}")]
    Unknown {
        /// The name, without `$` and braces.
        name: String,
        /// The offset of its `$`, in bytes.
        offset: usize,
    },
    /// A `${name` without its `}`.
    #[error("no closing brace for the variable at byte {offset}")]
    Unclosed {
        /// The offset of its `$`, in bytes.
        offset: usize,
    },
    /// Not `PromQL`.
    #[error("not a valid query: {message}")]
    Syntax {
        /// The message of the parser.
        message: String,
    },
    /// A query that does not return one number.
    #[error("the query gives a {found}, not a scalar or an instant vector")]
    WrongType {
        /// The type of its result.
        found: String,
    },
}

impl Query {
    /// Compiles a query, which must return a scalar or an instant vector.
    /// `interval` is the time between two measurements.
    ///
    /// # Errors
    /// Returns the first error.
    pub fn compile(text: &str, interval: Duration) -> Result<Self, QueryError> {
        let pieces = pieces(text, interval)?;
        let expression = parse(&render(&pieces, &dummies()))?;
        match expression.value_type() {
            ValueType::Scalar | ValueType::Vector => {
                let (text, reach) = (text.to_owned(), Reach::of(&expression));
                Ok(Self { text, pieces, reach, fallback: fallback::has_fallback(&expression) })
            }
            other => Err(QueryError::WrongType { found: other.to_string() }),
        }
    }

    /// Renders the query with these values.
    pub fn render(&self, variables: &Variables) -> String {
        render(&self.pieces, variables)
    }

    /// Returns the query as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns how far back it reads.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Returns whether it has a value where there is no data.
    pub fn has_fallback(&self) -> bool {
        self.fallback
    }

    /// Returns whether it uses one of these variables.
    pub fn names_any(&self, variables: &[Variable]) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Variable(variable) if variables.contains(variable)))
    }

    /// Returns whether it distinguishes the versions: by pods, hash or Service.
    pub fn names_one_version(&self) -> bool {
        self.names_any(&[Variable::CanaryPods, Variable::CanaryHash, Variable::CanaryService])
    }
}

/// Returns how many queries this thread has parsed. Tests use it to show that no decision parses
/// one.
pub fn parsed() -> u64 {
    PARSED.get()
}

/// Parses a query. Nothing else calls the parser.
fn parse(query: &str) -> Result<Expr, QueryError> {
    PARSED.set(PARSED.get() + 1);
    parser::parse(&raw::in_double_quotes(query)).map_err(|message| QueryError::Syntax { message })
}

fn render(pieces: &[Piece], variables: &Variables) -> String {
    let mut rendered = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => rendered.push_str(text),
            Piece::Variable(variable) => {
                escape(variables::value(variables, *variable), &mut rendered);
            }
        }
    }
    rendered
}

/// Returns typical values.
fn dummies() -> Variables {
    Variables {
        namespace: "namespace".to_owned(),
        deployment: "deployment".to_owned(),
        service: "service".to_owned(),
        canary_service: "service-canary".to_owned(),
        canary_pods: pod_pattern("deployment-7d4b9"),
        stable_pods: pod_pattern("deployment-5f6c8"),
        canary_hash: "7d4b9".to_owned(),
        stable_hash: "5f6c8".to_owned(),
    }
}

fn pieces(query: &str, interval: Duration) -> Result<Vec<Piece>, QueryError> {
    let mut pieces = Vec::new();
    let mut text = 0; // where the text not yet in `pieces` begins
    let mut from = 0; // where to look for the next dollar
    while let Some(offset) = query[from..].find('$').map(|at| from + at) {
        let rest = &query[offset + 1..];
        let braced = rest.strip_prefix('{');
        let word = braced.unwrap_or(rest);
        let name = &word[..word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len())];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            from = offset + if rest.starts_with('$') { 2 } else { 1 };
            continue;
        }
        let mut end = offset + 1 + name.len();
        if braced.is_some() {
            if !word[name.len()..].starts_with('}') {
                return Err(QueryError::Unclosed { offset });
            }
            end += 2;
        }
        pieces.push(Piece::Text(query[text..offset].to_owned()));
        pieces.push(if name == variables::INTERVAL {
            Piece::Text(format!("{}ms", interval.as_millis()))
        } else {
            let unknown = |_| QueryError::Unknown { name: name.to_owned(), offset };
            Piece::Variable(name.parse().map_err(unknown)?)
        });
        text = end;
        from = end;
    }
    pieces.push(Piece::Text(query[text..].to_owned()));
    Ok(pieces)
}

fn escape(value: &str, into: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            other => into.push(other),
        }
    }
}
