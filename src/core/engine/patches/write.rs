//! A patch of one object, and where it stamps the leadership epoch.

use json_patch::PatchOperation;

use crate::engine::{
    plan::{Kind, Stamp, Write},
    snapshot::Meta,
};

/// A patch that also stamps the leadership epoch in an annotation.
pub(in crate::engine) fn stamped(kind: Kind, meta: &Meta, ops: Vec<PatchOperation>) -> Write {
    let stamp = Stamp::Annotation { exists: !meta.annotations.is_empty() };
    patch(kind, meta, ops, stamp)
}

/// A patch that stamps nothing.
pub(super) fn unstamped(kind: Kind, meta: &Meta, ops: Vec<PatchOperation>) -> Write {
    patch(kind, meta, ops, Stamp::None)
}

pub(super) fn patch(kind: Kind, meta: &Meta, ops: Vec<PatchOperation>, stamp: Stamp) -> Write {
    Write::Patch { kind, name: meta.name.clone(), version: meta.version.clone(), ops, stamp }
}
