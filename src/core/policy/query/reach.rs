//! How far back a query reads.

use std::time::Duration;

use jiff::SignedDuration;
use promql_parser::parser::{Expr, Offset};

/// How far back a query reads: its range selectors, and its instant selectors, which return samples
/// of up to the lookback before the time that they name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The longest range, with the offsets and the subqueries around it.
    ranges: Option<SignedDuration>,
    /// The longest of the offsets and subqueries around an instant selector.
    instants: Option<SignedDuration>,
}

impl Reach {
    /// Returns how far back the query reads where instant selectors look back this far.
    pub fn within(self, lookback: Duration) -> Duration {
        let instants = self.instants.map(|instant| instant.saturating_add(signed(lookback)));
        self.ranges.max(instants).unwrap_or_default().max(SignedDuration::ZERO).unsigned_abs()
    }

    /// Returns the longest range, without the lookback of instant selectors.
    pub fn ranges(self) -> Duration {
        self.within(Duration::ZERO)
    }

    /// Returns the reach of an expression. It ignores `@`.
    pub(super) fn of(expression: &Expr) -> Self {
        match expression {
            Expr::Aggregate(it) => {
                Self::of(&it.expr).max(it.param.as_deref().map(Self::of).unwrap_or_default())
            }
            Expr::Unary(it) => Self::of(&it.expr),
            Expr::Binary(it) => Self::of(&it.lhs).max(Self::of(&it.rhs)),
            Expr::Paren(it) => Self::of(&it.expr),
            Expr::Subquery(it) => {
                let inner =
                    Self::of(&it.expr).max(Self { ranges: Some(SignedDuration::ZERO), instants: None });
                inner.moved(signed(it.range).saturating_add(back(it.offset.as_ref())))
            }
            Expr::VectorSelector(it) => Self { ranges: None, instants: Some(back(it.offset.as_ref())) },
            Expr::MatrixSelector(it) => {
                let range = signed(it.range).saturating_add(back(it.vs.offset.as_ref()));
                Self { ranges: Some(range), instants: None }
            }
            Expr::Call(it) => it.args.args.iter().map(|arg| Self::of(arg)).fold(Self::default(), Self::max),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Self::default(),
        }
    }

    fn max(self, other: Self) -> Self {
        Self { ranges: self.ranges.max(other.ranges), instants: self.instants.max(other.instants) }
    }

    fn moved(self, span: SignedDuration) -> Self {
        let moved = |reach: SignedDuration| reach.saturating_add(span);
        Self { ranges: self.ranges.map(moved), instants: self.instants.map(moved) }
    }
}

fn back(offset: Option<&Offset>) -> SignedDuration {
    match offset {
        None => SignedDuration::ZERO,
        Some(Offset::Pos(offset)) => signed(*offset),
        Some(Offset::Neg(offset)) => SignedDuration::ZERO.saturating_sub(signed(*offset)),
    }
}

fn signed(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}
