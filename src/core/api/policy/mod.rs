//! `RolloutPolicy` and `ClusterRolloutPolicy`: how to roll out.
//!
//! The CEL rules of the CRDs check what can be checked within one object. [`crate::policy`] repeats
//! these checks for `steelyard policy check`, and adds those that CEL can't make.

// `KubeSchema` repeats each struct inside a function, where `pub` has no effect.
#![allow(unreachable_pub)]
// Printed columns have the same type.
#![allow(clippy::duplicated_attributes)]

mod analysis;
mod canary;
mod gate;
mod share;
mod span;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use analysis::*;
pub use canary::*;
pub use gate::*;
pub use share::is_share;
pub use span::{Span, span_of};

/// How Deployments roll out.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "steelyard.io",
    version = "v1alpha1",
    kind = "RolloutPolicy",
    namespaced,
    derive = "PartialEq",
    shortname = "srp",
    category = "steelyard",
    status = "PolicyStatus",
    doc = "How Deployments of this namespace roll out",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutPolicySpec {
    /// How traffic moves to the canary: exactly one strategy.
    pub strategy: Strategy,
    /// What routes the traffic: exactly one field.
    pub traffic: Traffic,
    /// The metrics that decide on each step. Without metrics a step passes when its duration is
    /// over.
    #[serde(default)]
    pub analysis: Analysis,
    /// What happens to the Deployment's pod template after a failure.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// The maximum time for pods to become ready, for the router and the endpoints to follow a
    /// weight, and for a step to reach its verdicts after its duration: 1s to 720h. Each counts
    /// from when the awaited condition was lost.
    #[serde(default = "ten_minutes")]
    #[schemars(schema_with = "span::some")]
    pub deadline: Duration,
    /// Which earlier revisions skip the steps: a rollout to one of them is a single switch, guarded
    /// by the same metrics. Without this field, every revision takes all steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<RollbackWindow>,
}

/// How Deployments of any namespace may roll out.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "steelyard.io",
    version = "v1alpha1",
    kind = "ClusterRolloutPolicy",
    derive = "PartialEq",
    shortname = "scrp",
    category = "steelyard",
    status = "PolicyStatus",
    doc = "How Deployments of any namespace may roll out",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].message"#,
        priority = 1
    )
)]
#[serde(transparent)]
pub struct ClusterRolloutPolicySpec(pub RolloutPolicySpec);

/// How traffic moves to the canary. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.canary) != has(self.blueGreen)").message("set exactly one of canary and blueGreen"))]
pub struct Strategy {
    /// Traffic moves in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// All traffic moves in one switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
}

/// What routes the traffic. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.gatewayAPI) != has(self.serviceSelector)").message("set exactly one of gatewayAPI and serviceSelector"))]
pub struct Traffic {
    /// Routes of the Gateway API: the `HTTPRoutes` and `GRPCRoutes` that name the Service.
    #[serde(default, rename = "gatewayAPI", skip_serializing_if = "Option::is_none")]
    pub gateway_api: Option<GatewayApi>,
    /// The selectors of the Services, without a router. The canary's share is its share of the
    /// pods, up to 50 %; the last step switches all traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<ServiceSelector>,
}

/// Routes of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApi {
    /// The routes to shift, at most 16. Default: every `HTTPRoute` and `GRPCRoute` that names the
    /// Service, including those in other namespaces where a `ReferenceGrant` allows the reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub routes: Vec<GatewayRoute>,
}

/// A route of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRoute {
    /// The kind of the route.
    #[serde(default)]
    pub kind: RouteKind,
    /// The name of the route.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the route. Default: the Deployment's namespace. Another namespace needs a
    /// `ReferenceGrant` that allows the reference to the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A kind of route of the Gateway API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum RouteKind {
    /// Routes HTTP requests.
    #[default]
    #[serde(rename = "HTTPRoute")]
    #[strum(serialize = "HTTPRoute")]
    Http,
    /// Routes gRPC requests.
    #[serde(rename = "GRPCRoute")]
    #[strum(serialize = "GRPCRoute")]
    Grpc,
}

/// Traffic that moves by the selectors of the Services, without a router.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSelector {
    /// The Service from whose name the name of the canary Service is derived. Required only where
    /// several Services select the Deployment's pods; all of them are switched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
}

/// Which earlier revisions skip the steps. A revision must meet every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.revisions) || has(self.within)").message("set revisions, within, or both"))]
pub struct RollbackWindow {
    /// The number of revisions before the stable one that qualify: 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub revisions: Option<u8>,
    /// The maximum time since the revision served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub within: Option<Duration>,
}

/// Whether a policy can be used. Written by the controller.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// The metadata.generation of the policy that the conditions describe.
    pub observed_generation: i64,
    /// Accepted: every field is valid. The message of a policy that is not accepted lists every
    /// error.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What happens to the Deployment's pod template after a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnFailure {
    /// The rejected template stays in the Deployment, held.
    #[default]
    Keep,
    /// The template of stable is written back. Where a tool applies the rejected template again, it
    /// stays held and does not start another rollout.
    Revert,
}

fn ten_minutes() -> Duration {
    std::time::Duration::from_mins(10).into()
}
