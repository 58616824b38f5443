//! Features of the implementations that serve a route: `status.supportedFeatures` of their
//! `GatewayClass`. An implementation may accept a route with a mirror and then answer each request
//! with an error, so acceptance does not prove support.

use serde_json::Value;

use super::{GATEWAY, GATEWAY_CLASS, GROUP, HTTP_ROUTE};
use crate::traffic::{Feature, Object, Resource, Route, RouteError};

/// Checks that the class of each parent lists each of these features.
///
/// # Errors
/// The first class, or parent without a known class, that does not.
pub(super) fn check(route: &Route, features: &[Feature]) -> Result<(), RouteError> {
    for feature in features {
        let name = name(route.main.resource, *feature);
        let parents = route.main.spec["parentRefs"].as_array().map(Vec::as_slice).unwrap_or_default();
        for parent in parents {
            let class = class(route, parent);
            if !class.is_some_and(|class| lists(class, &name)) {
                let subject = class.map_or_else(
                    || format!("parent {}", parent["name"].as_str().unwrap_or_default()),
                    |class| class.title(""),
                );
                return Err(RouteError::Unsupported { subject, feature: name });
            }
        }
    }
    Ok(())
}

/// Returns the name of a feature in the Gateway API.
fn name(route: &Resource, feature: Feature) -> String {
    let kind = if route == HTTP_ROUTE { "HTTPRoute" } else { "GRPCRoute" };
    let what = match feature {
        Feature::Mirror => "RequestMirror",
        Feature::MirrorShare => "RequestPercentageMirror",
    };
    format!("{kind}{what}")
}

/// Returns the class of a parent, if the parent is a known `Gateway`.
fn class<'a>(route: &Route<'a>, parent: &Value) -> Option<&'a Object> {
    let word = |key: &str, default: &str| parent[key].as_str().unwrap_or(default).to_owned();
    if word("group", GROUP) != GROUP || word("kind", "Gateway") != "Gateway" {
        return None;
    }
    let (namespace, name) = (word("namespace", &route.main.meta.namespace), word("name", ""));
    let find = |resource: &Resource, namespace: &str, name: &str| {
        let same = |object: &&&Object| {
            object.resource == resource && object.meta.namespace == namespace && object.meta.name == name
        };
        route.companions.iter().find(same).copied()
    };
    let gateway = find(GATEWAY, &namespace, &name)?;
    find(GATEWAY_CLASS, "", gateway.spec["gatewayClassName"].as_str()?)
}

/// Returns whether a class lists a feature; older versions of the Gateway API list only names.
fn lists(class: &Object, feature: &str) -> bool {
    let features = class.status["supportedFeatures"].as_array().map(Vec::as_slice).unwrap_or_default();
    features.iter().any(|listed| listed == feature || listed["name"] == feature)
}
