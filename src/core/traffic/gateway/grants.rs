//! Routes of other namespaces: a `ReferenceGrant` in the Services' namespace lets them refer to a
//! Service.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{GROUP, GRPC_ROUTE, HTTP_ROUTE, REFERENCE_GRANT};
use crate::traffic::{Object, Pair, Resource, RouteRef};

const ROUTES: [&Resource; 2] = [HTTP_ROUTE, GRPC_ROUTE];

/// Returns the collections in other namespaces from which a grant lets routes refer to Services of
/// this namespace, or of which the policy lists a route.
pub(super) fn elsewhere(
    world: &[Object],
    home: &str,
    listed: &[RouteRef],
) -> BTreeSet<(&'static Resource, String)> {
    let kind = |kind: &str| ROUTES.into_iter().find(|route| route.kind == kind);
    let grants = world.iter().filter(|object| is_grant(object, home));
    let granted = grants.flat_map(|grant| list(grant, "from")).filter_map(|from| {
        let kind = (from["group"] == GROUP).then(|| from["kind"].as_str().and_then(kind)).flatten()?;
        Some((kind, from["namespace"].as_str()?.to_owned()))
    });
    let listed = listed.iter().filter_map(|route| Some((kind(&route.kind)?, route.namespace.clone()?)));
    granted.chain(listed).filter(|(_, namespace)| namespace != home).collect()
}

/// Returns whether a route may refer to a Service of the pair, given the grants among these
/// objects.
pub(super) fn allow<'a>(
    objects: impl IntoIterator<Item = &'a Object>,
    route: &Object,
    pair: &Pair,
    service: &str,
) -> bool {
    let mut grants = objects.into_iter().filter(|object| is_grant(object, pair.namespace));
    route.meta.namespace == pair.namespace || grants.any(|grant| allows(grant, route, service))
}

fn is_grant(object: &Object, home: &str) -> bool {
    object.resource == REFERENCE_GRANT && object.meta.namespace == home && !object.meta.deleting
}

/// Returns whether one grant lets a route refer to a Service (Gateway API, `ReferenceGrantSpec`).
fn allows(grant: &Object, route: &Object, service: &str) -> bool {
    let from = |from: &Value| {
        from["group"] == GROUP
            && from["kind"] == route.resource.kind
            && from["namespace"] == route.meta.namespace.as_str()
    };
    let to = |to: &Value| {
        to["group"].as_str().unwrap_or_default().is_empty()
            && to["kind"] == "Service"
            && to["name"].as_str().is_none_or(|name| name.is_empty() || name == service)
    };
    list(grant, "from").iter().any(from) && list(grant, "to").iter().any(to)
}

fn list<'a>(grant: &'a Object, field: &str) -> &'a [Value] {
    grant.spec[field].as_array().map(Vec::as_slice).unwrap_or_default()
}
