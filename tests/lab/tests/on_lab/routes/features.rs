//! What the gateway reports as supported, read from the real objects.

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use lab::support::{Demo, Failure, HttpRoute, Space};
use serde_json::Value;
use steelyard::cluster::read;
use steelyard::traffic::{
    Feature, Object, Pair, Resource, Route, RouteError, RouterKind, Wants,
    gateway::{GATEWAY, GATEWAY_CLASS, HTTP_ROUTE},
    router,
};

async fn cluster_object(
    space: &Space,
    resource: &'static Resource,
    namespace: Option<&str>,
    name: &str,
) -> Result<Object, Failure> {
    let kind = GroupVersionKind::gvk(resource.group, resource.version, resource.kind);
    let kind = ApiResource::from_gvk_with_plural(&kind, resource.plural);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(space.client(), namespace, &kind),
        None => Api::all_with(space.client(), &kind),
    };
    let raw: Value = serde_json::to_value(api.get(name).await?)?;
    Ok(read::object(resource, &raw))
}

/// Traefik accepts a route with a mirror but answers each request with an error: only the
/// `GatewayClass` shows what it supports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_is_refused_where_the_gateway_class_does_not_list_it() -> Result<(), Failure> {
    Space::run("features", async |space| {
        space.apply(&Demo::new("web", "v1").replicas(1).manifest(space.name())).await?;
        let raw = serde_json::to_value(space.api::<HttpRoute>().get("web").await?)?;
        let main = read::object(HTTP_ROUTE, &raw);
        let gateway = cluster_object(space, GATEWAY, Some("lab-system"), "lab").await?;
        let class = cluster_object(space, GATEWAY_CLASS, None, "traefik").await?;
        let features = class.status["supportedFeatures"].as_array().map_or(0, Vec::len);
        assert!(features > 0, "the class lists what it supports: {}", class.status);
        let route = Route { main: &main, companions: vec![&gateway, &class] };
        let pair = Pair { namespace: space.name(), stable: "web", canary: "web-canary", ..Pair::default() };
        let check = |features: Vec<Feature>| {
            let wants = Wants { features, ..Wants::default() };
            router(RouterKind::GatewayApi).check(&route, &pair, &wants).map(drop)
        };
        assert_eq!(check(vec![]), Ok(()));
        let refused = RouteError::Unsupported {
            subject: "GatewayClass traefik".to_owned(),
            feature: "HTTPRouteRequestMirror".to_owned(),
        };
        assert_eq!(check(vec![Feature::Mirror]), Err(refused));
        Ok(())
    })
    .await
}
