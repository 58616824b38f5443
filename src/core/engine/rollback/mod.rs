//! The rollback: traffic first, in the reconcile that sees the reason; pods after the drain; the
//! rest last.

mod begin;
mod proceed;

pub(super) use begin::{fail, fail_on, resume, withdraw};
pub(super) use proceed::proceed;
