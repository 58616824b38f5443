//! What gateways report about a route, from `status.parents[].conditions` (Gateway API,
//! `RouteParentStatus`).

use serde_json::Value;

use crate::traffic::{Acceptance, Object, Original, Report};

/// Returns the negative conditions of a route, of any generation.
pub(super) fn against(status: &Value) -> Vec<Report> {
    let of_parent = |parent: &Value| {
        let name = parent_name(parent);
        let conditions = list(parent, "conditions").iter().filter(|condition| is_against(condition));
        let report = |condition: &Value| Report {
            parent: name.clone(),
            kind: text(condition, "type").to_owned(),
            reason: text(condition, "reason").to_owned(),
        };
        conditions.map(report).collect::<Vec<_>>()
    };
    list(status, "parents").iter().flat_map(of_parent).collect()
}

/// Returns what the gateways report about the current generation of a route.
///
/// One gateway that accepts it is enough. A gateway rejects it with `Accepted` or `ResolvedRefs`
/// False (it does not know the canary Service), or with `PartiallyInvalid` True; what it reported
/// before the rollout is ignored. Gateways that have not observed the generation are ignored too,
/// because a removed gateway never will.
pub(super) fn acceptance(route: &Object, original: &Original) -> Acceptance {
    let parents = list(&route.status, "parents");
    if parents.is_empty() {
        return Acceptance::NotReported;
    }
    let (mut rejected, mut unchanged) = (None, false);
    for parent in parents {
        let name = parent_name(parent);
        let seen = |condition: &&Value| {
            condition["observedGeneration"].as_i64().is_some_and(|seen| seen >= route.meta.generation)
        };
        let conditions = || list(parent, "conditions").iter().filter(seen);
        let known = |condition: &&Value| {
            let same = |report: &&Report| {
                report.parent == name
                    && report.kind == text(condition, "type")
                    && report.reason == text(condition, "reason")
            };
            original.reported.iter().any(|report| same(&report))
        };
        if let Some(new) = conditions().find(|condition| is_against(condition) && !known(condition)) {
            let (reason, message) = (text(new, "reason").to_owned(), text(new, "message").to_owned());
            rejected.get_or_insert(Acceptance::Rejected { reason, message });
        } else if conditions().any(|condition| is(condition, "Accepted", "True")) {
            return Acceptance::Accepted;
        } else {
            unchanged |= conditions().any(is_against);
        }
    }
    rejected.unwrap_or(if unchanged { Acceptance::NotReported } else { Acceptance::Pending })
}

fn is(condition: &Value, kind: &str, status: &str) -> bool {
    text(condition, "type") == kind && text(condition, "status") == status
}

fn is_against(condition: &Value) -> bool {
    is(condition, "Accepted", "False")
        || is(condition, "ResolvedRefs", "False")
        || is(condition, "PartiallyInvalid", "True")
}

/// Returns the parent and the reporting controller, in one text.
fn parent_name(parent: &Value) -> String {
    let reference = &parent["parentRef"];
    let parts = ["kind", "namespace", "name", "sectionName"].map(|key| text(reference, key));
    let port = reference["port"].as_u64().map(|port| format!("/{port}")).unwrap_or_default();
    format!("{} {}{port}", text(parent, "controllerName"), parts.join("/"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
