//! A patch of one object, and where it stamps the leadership epoch.

use json_patch::PatchOperation;

use crate::engine::{
    plan::{Kind, Stamp, Write},
    snapshot::Meta,
};

/// Returns a patch that also stamps the leadership epoch in an annotation.
pub(in crate::engine) fn stamped(kind: Kind, meta: &Meta, ops: Vec<PatchOperation>) -> Write {
    let stamp = Stamp::Annotation { exists: !meta.annotations.is_empty() };
    patch(kind, meta, ops, stamp)
}

/// Returns a patch that stamps nothing.
pub(super) fn unstamped(kind: Kind, meta: &Meta, ops: Vec<PatchOperation>) -> Write {
    patch(kind, meta, ops, Stamp::None)
}

/// Returns a patch without operations. It fails with a conflict if the object changed after the
/// decision, so it stops the writes of the plan that depend on the object.
pub(in crate::engine) fn fence(kind: Kind, meta: &Meta) -> Write {
    unstamped(kind, meta, Vec::new())
}

pub(super) fn patch(kind: Kind, meta: &Meta, ops: Vec<PatchOperation>, stamp: Stamp) -> Write {
    Write::Patch {
        kind,
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        version: meta.version.clone(),
        ops,
        stamp,
    }
}
