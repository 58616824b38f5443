//! Checks that several parts of a policy share.

use std::time::Duration;

use super::{fault::Fault, problem::Problem};

/// A duration that must not be negative.
pub(super) fn span(span: kube::core::Duration, path: &str, faults: &mut Vec<Fault>) -> Duration {
    if span.is_negative() {
        faults.push(Fault::of(path, &Problem::Negative));
    }
    span.into()
}

/// One fault for each of these fields that is set: none of them is served.
pub(super) fn unserved<const N: usize>(path: &str, fields: [(&str, bool); N], faults: &mut Vec<Fault>) {
    let set = fields.into_iter().filter(|(_, set)| *set);
    faults.extend(set.map(|(name, _)| Fault::unserved(format!("{path}.{name}"))));
}

/// The fault of an object whose fields exclude each other, if not exactly one is set.
pub(super) fn exactly_one(path: &str, fields: &'static str, set: usize, faults: &mut Vec<Fault>) {
    match set {
        0 => faults.push(Fault::of(path, &Problem::NoneOf { fields })),
        1 => {}
        _ => faults.push(Fault::of(path, &Problem::SeveralOf { fields, set })),
    }
}
