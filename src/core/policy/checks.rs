//! Checks for several parts of a policy.

use std::time::Duration;

use super::{fault::Fault, problem::Problem};

/// Converts a duration, which must not be negative.
pub(super) fn span(span: kube::core::Duration, path: &str, faults: &mut Vec<Fault>) -> Duration {
    if span.is_negative() {
        faults.push(Fault::of(path, &Problem::Negative));
    }
    span.into()
}

/// Reports an object of which not exactly one of several fields is set.
pub(super) fn exactly_one(path: &str, fields: &'static str, set: usize, faults: &mut Vec<Fault>) {
    match set {
        0 => faults.push(Fault::of(path, &Problem::NoneOf { fields })),
        1 => {}
        _ => faults.push(Fault::of(path, &Problem::SeveralOf { fields, set })),
    }
}
