//! `RolloutPolicy` and `ClusterRolloutPolicy`: how to roll out.
//!
//! The rules that the definitions carry (CEL) say what one object can say of itself; [`crate::policy`] and the engine check
//! the same, and what only they can. A field whose description ends in "Not served yet." is refused by name.

// `KubeSchema` repeats each struct in a function of its own, where `pub` reaches nobody.
#![allow(unreachable_pub)]

mod analysis;
mod canary;
mod gate;
mod span;

use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use analysis::*;
pub use canary::*;
pub use gate::*;
pub use span::{Span, span_of};

/// How Deployments roll out.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "steelyard.io",
    version = "v1alpha1",
    kind = "RolloutPolicy",
    namespaced,
    derive = "PartialEq",
    category = "steelyard",
    doc = "How Deployments of this namespace roll out"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutPolicySpec {
    /// How traffic moves to the new version. Exactly one strategy.
    pub strategy: Strategy,
    /// What routes traffic: exactly one way.
    pub traffic: Traffic,
    /// What is measured. Without it a step passes when its hold is over.
    #[serde(default)]
    pub analysis: Analysis,
    /// What becomes of the Deployment's template after a failure.
    #[serde(default)]
    pub on_fail: OnFail,
    /// How long pods may take to become ready, and a step, after its hold, to reach its verdicts; 1s to 720h.
    #[serde(default = "ten_minutes")]
    #[schemars(schema_with = "span::some")]
    pub deadline: Duration,
    /// Which versions that served before are gone back to without steps: in one switch, guarded by the same metrics.
    /// Without it each version takes all steps.
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
    category = "steelyard",
    doc = "How Deployments of any namespace may roll out"
)]
#[serde(transparent)]
pub struct ClusterRolloutPolicySpec(pub RolloutPolicySpec);

/// How traffic moves to the new version. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.canary) != has(self.blueGreen)").message("set exactly one of canary and blueGreen"))]
pub struct Strategy {
    /// In steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// In one switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
}

/// What routes traffic. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.gatewayAPI), has(self.istio), has(self.traefik), has(self.ingress), has(self.service)].filter(x, x).size() == 1").message("set exactly one of gatewayAPI, istio, traefik, ingress and service"))]
pub struct Traffic {
    /// Routes of the Gateway API: the `HTTPRoute` that names the Service.
    #[serde(default, rename = "gatewayAPI", skip_serializing_if = "Option::is_none")]
    pub gateway_api: Option<GatewayApi>,
    /// Istio. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istio: Option<Unserved>,
    /// Traefik's own kinds. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traefik: Option<Unserved>,
    /// Ingress. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Unserved>,
    /// No router: the Service itself. A canary shares by the number of pods, at most 50 %, and then takes all in one switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<PlainService>,
}

/// Routes of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayApi {
    /// `HTTPRoutes` by name, 16 at most; without names the one that names the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub routes: Vec<String>,
}

/// A Service without a router.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainService {
    /// The Service whose name the canary Service takes; needed only where several select the Deployment's pods. All of them
    /// are switched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
}

/// Which versions that served before are gone back to without steps. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.revisions) || has(self.within)").message("set revisions, within, or both"))]
pub struct RollbackWindow {
    /// One of the last so many versions before the one that serves: 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub revisions: Option<u8>,
    /// One that served no longer ago than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "span::some")]
    pub within: Option<Duration>,
}

/// A field that is kept for later.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unserved {}

/// What becomes of the Deployment's template after a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnFail {
    /// It stays, held.
    #[default]
    #[serde(rename = "hold")]
    Hold,
    /// Stable's template is written back. A tool that applies the Deployment again and again pushes the rejected one once
    /// more: it then stays held, untried.
    #[serde(rename = "revert")]
    Revert,
}

fn ten_minutes() -> Duration {
    std::time::Duration::from_mins(10).into()
}
