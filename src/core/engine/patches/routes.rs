//! Routes: another `spec`, and the mark of a failed revision.

use serde_json::{Value, json};

use super::{
    marks::{mark, marked, marks, unmark},
    operations::{replace, spec_differences},
    write::{patch, unstamped},
};
use crate::{
    api,
    engine::{
        plan::{Kind, Stamp, Write},
        snapshot::Route,
    },
};

/// Replaces a route's `spec` by the one wanted; with the mark of the revision that failed, if one did.
pub(in crate::engine) fn update_route(route: &Route, wanted: &Value, failed: Option<&str>) -> Write {
    let mut ops = spec_differences(&route.spec, wanted);
    let mut stamp = Stamp::Annotation { exists: !route.meta.annotations.is_empty() };
    if let Some(revision) = failed {
        let others = marks(&route.meta).filter(|mark| *mark != revision);
        let all: Vec<&str> = others.chain([revision]).collect();
        ops.extend(mark(&route.meta, &all.join(",")));
        stamp = Stamp::Annotation { exists: true };
    }
    patch(Kind::HttpRoute, &route.meta, ops, stamp)
}

/// Gives a route its `spec` back and takes our marks off; those of other Deployments' revisions stay.
pub(in crate::engine) fn restore_route(route: &Route, wanted: &Value, revision: &str) -> Option<Write> {
    let mut ops = spec_differences(&route.spec, wanted);
    let others: Vec<&str> = marks(&route.meta).filter(|mark| *mark != revision).collect();
    if revision.is_empty() || others.is_empty() {
        ops.extend(unmark(&route.meta));
    } else if marked(&route.meta, revision) {
        ops.push(replace(["metadata", "annotations", api::FAILED], json!(others.join(","))));
    }
    (!ops.is_empty()).then(|| unstamped(Kind::HttpRoute, &route.meta, ops))
}
