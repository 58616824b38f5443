//! Whether a query has a value where there is no data.

use promql_parser::parser::{Expr, token};

/// Returns whether an expression has a value where its selectors find no series: a fallback such as
/// `or vector(0)`, in any spelling, or an expression without selectors.
pub(super) fn has_fallback(expression: &Expr) -> bool {
    match expression {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => true,
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_) => false,
        Expr::Paren(it) => has_fallback(&it.expr),
        Expr::Unary(it) => has_fallback(&it.expr),
        Expr::Subquery(it) => has_fallback(&it.expr),
        Expr::Aggregate(it) => has_fallback(&it.expr),
        Expr::Binary(it) => match it.op.id() {
            token::T_LOR => has_fallback(&it.lhs) || has_fallback(&it.rhs),
            token::T_LUNLESS => has_fallback(&it.lhs),
            _ => has_fallback(&it.lhs) && has_fallback(&it.rhs),
        },
        // `absent` has a value exactly where there is no data.
        Expr::Call(it) if it.func.name.starts_with("absent") => true,
        Expr::Call(it) => it.args.args.iter().all(|arg| has_fallback(arg)),
    }
}
