//! The rollback: traffic first, in the reconcile that saw the reason; pods after the drain; the rest
//! last.

mod begin;
mod proceed;

pub(super) use begin::{fail, fail_on, withdraw};
pub(super) use proceed::proceed;
