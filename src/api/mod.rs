//! The kinds of `steelyard.io/v1alpha1`, as users write and read them. Shapes only; rules live in `engine`.

pub mod policy;
pub mod rollout;

pub use policy::*;
pub use rollout::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The API group of all kinds, and the prefix of every label and annotation.
pub const GROUP: &str = "steelyard.io";
/// Annotation on a Deployment: the policy it rolls out by, `NAME` or `cluster/NAME`.
pub const POLICY: &str = "steelyard.io/policy";
/// Annotation on a Deployment: which Services carry its routed traffic, separated by commas.
pub const SERVICES: &str = "steelyard.io/services";
/// Label on a Deployment whose template is held.
pub const HELD: &str = "steelyard.io/held";
/// Label on a Deployment, annotation on all else: the term of leadership that touched it last.
pub const EPOCH: &str = "steelyard.io/epoch";
/// Annotation on a route: the revision whose traffic was taken back.
pub const FAILED: &str = "steelyard.io/failed";
/// Label on a Service: the Service whose canary it is.
pub const CANARY_OF: &str = "steelyard.io/canary-of";
/// Label on what Steelyard makes: the Rollout it belongs to.
pub const ROLLOUT: &str = "steelyard.io/rollout";
/// The label by which the Deployment controller, and Steelyard, tell versions apart.
pub const HASH: &str = "pod-template-hash";
/// Finalizer of a Rollout while a rollout is in flight.
pub const FINALIZER: &str = "steelyard.io/in-flight";

/// All definitions, in the order in which they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![RolloutPolicy::crd(), ClusterRolloutPolicy::crd(), Rollout::crd()]
}
