//! Routes of the Gateway API: `HTTPRoute` and `GRPCRoute`.
//!
//! Only `backendRefs` of the Deployment's own Services are changed; filters (including mirrors) and
//! everything else stay. A canary ref that the user wrote must have weight 0 when a rollout starts:
//! any other weight would be traffic for the canary that no step allows.

mod conditions;
mod features;
mod grants;
mod memory;
mod rule;
#[cfg(test)]
mod tests;
mod weights;

use std::collections::BTreeSet;

use super::{
    Acceptance, Access, Change, Object, Original, Pair, Resource, Route, RouteError, RouteRef, Router, Wants,
    Weight,
};

/// The API group.
const GROUP: &str = "gateway.networking.k8s.io";

/// `HTTPRoute`.
pub const HTTP_ROUTE: &Resource =
    &Resource { group: GROUP, version: "v1", kind: "HTTPRoute", plural: "httproutes", access: Access::Write };
/// `GRPCRoute`.
pub const GRPC_ROUTE: &Resource =
    &Resource { group: GROUP, version: "v1", kind: "GRPCRoute", plural: "grpcroutes", access: Access::Write };
/// `ReferenceGrant`: lets routes of another namespace refer to a Service.
pub const REFERENCE_GRANT: &Resource = &Resource {
    group: GROUP,
    version: "v1beta1",
    kind: "ReferenceGrant",
    plural: "referencegrants",
    access: Access::Read,
};
/// `Gateway`: a parent of a route.
pub const GATEWAY: &Resource =
    &Resource { group: GROUP, version: "v1", kind: "Gateway", plural: "gateways", access: Access::Read };
/// `GatewayClass`: lists what an implementation supports.
pub const GATEWAY_CLASS: &Resource = &Resource {
    group: GROUP,
    version: "v1",
    kind: "GatewayClass",
    plural: "gatewayclasses",
    access: Access::Read,
};

/// The annotation in which a route stores the original weights of its rules.
pub const ORIGINAL: &str = "steelyard.io/original";

/// The Gateway API.
#[derive(Clone, Copy, Debug)]
pub struct GatewayApi;

/// Returns whether an object is a route.
fn is_route(object: &Object) -> bool {
    [HTTP_ROUTE, GRPC_ROUTE].contains(&object.resource)
}

impl Router for GatewayApi {
    fn resources(&self) -> &'static [&'static Resource] {
        &[HTTP_ROUTE, GRPC_ROUTE, REFERENCE_GRANT]
    }

    fn elsewhere(
        &self,
        world: &[Object],
        home: &str,
        listed: &[RouteRef],
    ) -> BTreeSet<(&'static Resource, String)> {
        grants::elsewhere(world, home, listed)
    }

    fn find<'a>(&self, world: &'a [Object], pair: &Pair, listed: &[RouteRef]) -> Vec<Route<'a>> {
        let wanted = |object: &&Object| {
            listed.is_empty() || listed.iter().any(|route| route.names(object, pair.namespace))
        };
        let named = |object: &&Object| {
            weights::names(object, pair, pair.stable) && grants::allow(world, object, pair, pair.stable)
        };
        let routes = world.iter().filter(|object| is_route(object)).filter(wanted).filter(named);
        routes.map(|main| Route { main, companions: companions(world, pair) }).collect()
    }

    fn check(&self, route: &Route, pair: &Pair, wants: &Wants) -> Result<Original, RouteError> {
        weights::check(route.main, pair, &wants.weights)?;
        if !grants::allow(route.companions.iter().copied(), route.main, pair, pair.canary) {
            let (namespace, service) = (pair.namespace.to_owned(), pair.canary.to_owned());
            return Err(RouteError::NotGranted { namespace, service });
        }
        features::check(route, &wants.features)?;
        Ok(Original { reported: conditions::against(&route.main.status) })
    }

    fn observe(&self, route: &Route, pair: &Pair) -> Option<Weight> {
        weights::observe(route.main, pair)
    }

    fn plan<'a>(&self, route: &Route<'a>, pair: &Pair, want: Weight) -> Result<Vec<Change<'a>>, RouteError> {
        Ok(weights::plan(route.main, pair, want)?.into_iter().collect())
    }

    fn withdraw<'a>(&self, route: &Route<'a>, pair: &Pair) -> Vec<Change<'a>> {
        weights::withdraw(route.main, pair).into_iter().collect()
    }

    fn restore<'a>(&self, route: &Route<'a>, pair: &Pair) -> Vec<Change<'a>> {
        weights::restore(route.main, pair).into_iter().collect()
    }

    fn acceptance(&self, route: &Route, original: &Original) -> Acceptance {
        conditions::acceptance(route.main, original)
    }
}

/// Returns the objects that define what a route may do: the grants of the Services' namespace,
/// `Gateways` and their classes.
fn companions<'a>(world: &'a [Object], pair: &Pair) -> Vec<&'a Object> {
    let grant =
        |object: &Object| object.resource == REFERENCE_GRANT && object.meta.namespace == pair.namespace;
    let parent = |object: &Object| [GATEWAY, GATEWAY_CLASS].contains(&object.resource);
    world.iter().filter(|object| grant(object) || parent(object)).collect()
}
