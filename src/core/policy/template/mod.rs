//! Variables in queries, written Grafana's way.
//!
//! # The rule
//! A `$` begins a variable only if a letter, `_` or `{` and one of these follow it: `$name`, `${name}`. A name goes on
//! as long as letters, digits and `_` do. Every other `$` means itself and stays as it is: `$1` and `${1}` (groups
//! of `label_replace`), a `$` before anything else or at the end (`"foo$"`, `"(a|b$)"`), and `$$`, which is taken as one, so that
//! `$$name` is no variable either. A group with a name, `${name}`, can't be told from a variable: use its number.
//!
//! Values are escaped for a double-quoted string. Values that Steelyard gives need no escaping, so that they fit
//! other quotes as well.

use std::time::Duration;

use promql_parser::parser::{self, Expr, Offset, value::ValueType};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The longest name that the API server generates (`apiserver`, `names/generate.go`: `maxNameLength`).
const NAME_LIMIT: usize = 63;
/// How many random characters end it (`randomLength`).
const RANDOM: usize = 5;

/// The names of all variables, without `$`.
pub const NAMES: [&str; 9] = [
    "namespace",
    "deployment",
    "service",
    "canary_service",
    "canary_pods",
    "stable_pods",
    "canary_hash",
    "stable_hash",
    "interval",
];

/// What the variables of a query stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `$namespace`: the Deployment's namespace.
    pub namespace: String,
    /// `$deployment`: its name.
    pub deployment: String,
    /// `$service`: the stable Service.
    pub service: String,
    /// `$canary_service`: the canary's Service.
    pub canary_service: String,
    /// `$canary_pods`: a regular expression of the canary's pods, as from [`pod_pattern`].
    pub canary_pods: String,
    /// `$stable_pods`: the same for stable.
    pub stable_pods: String,
    /// `$canary_hash`: the canary's `pod-template-hash`.
    pub canary_hash: String,
    /// `$stable_hash`: stable's.
    pub stable_hash: String,
    /// `$interval`: the time between two looks, as a `PromQL` duration such as `30s`.
    pub interval: String,
}

/// Why a query can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A variable of a name that isn't known.
    #[error("unknown variable {name} at byte {offset}")]
    Unknown {
        /// The name, without `$` and braces.
        name: String,
        /// Where its `$` stands, in bytes from the query's start.
        offset: usize,
    },
    /// A `${name` without its `}`.
    #[error("no closing brace for the variable at byte {offset}")]
    Unclosed {
        /// Where its `$` stands, in bytes from the query's start.
        offset: usize,
    },
    /// Not `PromQL`.
    #[error("not a valid query: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A query whose answer isn't one number.
    #[error("the query gives a {found}, not a scalar or an instant vector")]
    WrongType {
        /// The type of its answer.
        found: String,
    },
}

/// A stretch of a query.
enum Piece<'a> {
    Text(&'a str),
    Variable { name: &'a str, offset: usize },
}

/// The query with its variables replaced.
///
/// # Errors
/// [`TemplateError::Unknown`] and [`TemplateError::Unclosed`].
pub fn render(query: &str, variables: &Variables) -> Result<String, TemplateError> {
    let mut rendered = String::with_capacity(query.len());
    for piece in pieces(query)? {
        match piece {
            Piece::Text(text) => rendered.push_str(text),
            Piece::Variable { name, offset } => {
                let unknown = || TemplateError::Unknown { name: name.to_owned(), offset };
                escape(variables.get(name).ok_or_else(unknown)?, &mut rendered);
            }
        }
    }
    Ok(rendered)
}

/// Whether the query tells the canary from stable: by its pods, its hash or its Service.
pub fn names_one_version(query: &str) -> bool {
    let telling = |piece: &Piece| {
        matches!(piece, Piece::Variable { name: "canary_pods" | "canary_hash" | "canary_service", .. })
    };
    pieces(query).is_ok_and(|pieces| pieces.iter().any(telling))
}

/// A regular expression of the names that pods of this `ReplicaSet` are given.
///
/// The API server cuts `NAME-` to 58 characters and adds 5 random ones (`names/generate.go`), which are never
/// vowels, 0, 1, 3, or letters alike (`rand.String`). Of a long name the hash is cut away or in part, and stable's pods
/// match as well: see [`is_cut`] and [`listed`]. Dots are in brackets: no backslash means no trouble with quotes.
pub fn pod_pattern(replica_set: &str) -> String {
    let base = format!("{replica_set}-");
    let base: String = base.chars().take(NAME_LIMIT - RANDOM).collect();
    format!("{}[b-df-hj-np-tv-xz24-9]{{{RANDOM}}}", quoted(&base))
}

/// Whether pods of this `ReplicaSet` don't carry its whole name, so that they have to be [`listed`].
pub fn is_cut(replica_set: &str) -> bool {
    replica_set.len() + 1 > NAME_LIMIT - RANDOM
}

/// A regular expression of exactly these pods; of none, if there are none.
pub fn listed<'a>(pods: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = pods.map(quoted).collect();
    // An empty expression would match series without the label; no pod's name begins with a dash.
    if names.is_empty() { "-".to_owned() } else { names.join("|") }
}

/// How far back the query looks: its longest range, with the offset and the subqueries around it. None if it has no
/// range and no offset, or can't be parsed. `@` isn't taken into account.
///
/// Give it the rendered query: in one with variables, `$interval` counts as a minute.
pub fn longest_range(query: &str) -> Option<Duration> {
    let expression = parser::parse(&render(query, &dummies()).ok()?).ok()?;
    Some(reach(&expression)).filter(|reach| !reach.is_zero())
}

/// Whether the query would be understood, and answered with a scalar or an instant vector.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(query: &str) -> Result<(), TemplateError> {
    let rendered = render(query, &dummies())?;
    let expression = parser::parse(&rendered).map_err(|message| TemplateError::Syntax { message })?;
    match expression.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        other => Err(TemplateError::WrongType { found: other.to_string() }),
    }
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        Some(match name {
            "namespace" => &self.namespace,
            "deployment" => &self.deployment,
            "service" => &self.service,
            "canary_service" => &self.canary_service,
            "canary_pods" => &self.canary_pods,
            "stable_pods" => &self.stable_pods,
            "canary_hash" => &self.canary_hash,
            "stable_hash" => &self.stable_hash,
            "interval" => &self.interval,
            _ => return None,
        })
    }
}

/// Values as they look in a cluster.
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
        interval: "1m".to_owned(),
    }
}

fn pieces(query: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
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
                return Err(TemplateError::Unclosed { offset });
            }
            end += 2;
        }
        pieces.push(Piece::Text(&query[text..offset]));
        pieces.push(Piece::Variable { name, offset });
        text = end;
        from = end;
    }
    pieces.push(Piece::Text(&query[text..]));
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

/// A name as a regular expression; of the characters that names have, only the dot means something.
fn quoted(name: &str) -> String {
    name.replace('.', "[.]")
}

fn reach(expression: &Expr) -> Duration {
    let back = |range: Duration, offset: &Option<Offset>| match offset {
        None => range,
        Some(Offset::Pos(offset)) => range.saturating_add(*offset),
        Some(Offset::Neg(offset)) => range.saturating_sub(*offset),
    };
    match expression {
        Expr::Aggregate(it) => {
            let parameter = it.param.as_deref().map_or(Duration::ZERO, reach);
            reach(&it.expr).max(parameter)
        }
        Expr::Unary(it) => reach(&it.expr),
        Expr::Binary(it) => reach(&it.lhs).max(reach(&it.rhs)),
        Expr::Paren(it) => reach(&it.expr),
        Expr::Subquery(it) => back(it.range.saturating_add(reach(&it.expr)), &it.offset),
        Expr::VectorSelector(it) => back(Duration::ZERO, &it.offset),
        Expr::MatrixSelector(it) => back(it.range, &it.vs.offset),
        Expr::Call(it) => it.args.args.iter().map(|arg| reach(arg)).max().unwrap_or_default(),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Duration::ZERO,
    }
}
