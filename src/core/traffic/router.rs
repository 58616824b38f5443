//! The [`Router`] trait and its values.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{Object, Resource, Weight};

/// The two Services between which a rollout divides traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The namespace of both.
    pub namespace: &'a str,
    /// The user's own Service.
    pub stable: &'a str,
    /// The Service of the canary's pods.
    pub canary: &'a str,
    /// The `pod-template-hash` of stable's pods; empty if no router needs it.
    pub stable_hash: &'a str,
    /// The `pod-template-hash` of the canary's pods; empty before there are any.
    pub canary_hash: &'a str,
}

/// An object that divides traffic, with related objects that define what it can do (a
/// `GatewayClass`).
#[derive(Clone, Debug, PartialEq)]
pub struct Route<'a> {
    /// The object itself.
    pub main: &'a Object,
    /// The related objects.
    pub companions: Vec<&'a Object>,
}

/// A route that a policy names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteRef {
    /// Its kind.
    pub kind: String,
    /// Its namespace; the Deployment's if absent.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl RouteRef {
    /// Returns whether it names this object, for a Deployment of the namespace `home`.
    pub fn names(&self, object: &Object, home: &str) -> bool {
        self.kind == object.resource.kind
            && self.name == object.meta.name
            && self.namespace.as_deref().unwrap_or(home) == object.meta.namespace
    }

    /// Returns kind and name for messages, with the namespace if it is not the Deployment's.
    pub fn title(&self) -> String {
        let Self { kind, namespace, name } = self;
        namespace
            .as_ref()
            .map_or_else(|| format!("{kind} {name}"), |namespace| format!("{kind} {namespace}/{name}"))
    }
}

/// What a rollout needs from its routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The weights.
    pub weights: Vec<Weight>,
    /// Features that the implementation of the router must support.
    pub features: Vec<Feature>,
}

/// A feature that not every implementation of a router supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Copies of all requests.
    Mirror,
    /// Copies of a share of the requests.
    MirrorShare,
}

/// The original of a route, as needed to restore it. The weights are stored on the route itself, so
/// that they and the weights that replace them are one write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Original {
    /// Negative conditions that its gateways reported before the rollout; they are ignored later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reported: Vec<Report>,
}

/// A negative condition that a gateway reported about a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The parent and the reporting controller, in one text.
    pub parent: String,
    /// The condition's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The condition's reason.
    pub reason: String,
}

/// A change of one object: its desired `spec` and some of its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<'a> {
    /// The current object.
    pub object: &'a Object,
    /// Its desired `spec`.
    pub spec: Value,
    /// Annotations to set, or to remove if the value is `None`.
    pub annotations: BTreeMap<&'static str, Option<String>>,
}

impl<'a> Change<'a> {
    /// Returns the change of an object, or `None` if the object already has these values.
    pub(super) fn of(
        object: &'a Object,
        spec: Value,
        annotations: BTreeMap<&'static str, Option<String>>,
    ) -> Option<Self> {
        let annotated =
            |(key, value): (&&str, &Option<String>)| object.meta.annotations.get(*key) == value.as_ref();
        let same = spec == object.spec && annotations.iter().all(annotated);
        (!same).then_some(Self { object, spec, annotations })
    }
}

/// What the gateways report about the current generation of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// A gateway has accepted it and reports no new problem.
    Accepted,
    /// No gateway has accepted it, and one reports a new problem.
    Rejected {
        /// The condition's reason.
        reason: String,
        /// The condition's message.
        message: String,
    },
    /// No gateway has reported about this generation yet.
    Pending,
    /// No gateway reports anything about it that was not reported before the rollout: none serves
    /// it.
    NotReported,
}

/// Why a route can't carry a weight. Rules are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No rule refers to the stable Service.
    #[error("no rule refers to Service {service} in backendRefs")]
    NotNamed {
        /// The stable Service.
        service: String,
    },
    /// One rule refers to a Service twice, so its share is not one number.
    #[error("spec.rules[{rule}] refers to Service {service} more than once")]
    Ambiguous {
        /// The rule.
        rule: usize,
        /// The Service named twice.
        service: String,
    },
    /// The rule refers to the canary Service, but not (or no longer) to the stable one.
    #[error("spec.rules[{rule}] refers to the canary Service but not to Service {service}")]
    StableMissing {
        /// The rule.
        rule: usize,
        /// The stable Service.
        service: String,
    },
    /// The Deployment has no share of the rule's traffic to divide.
    #[error("spec.rules[{rule}] gives Service {service} weight 0: it must be higher")]
    StableUnweighted {
        /// The rule.
        rule: usize,
        /// The stable Service.
        service: String,
    },
    /// The user's own canary ref already gets traffic.
    #[error("spec.rules[{rule}] gives Service {service} weight {weight} before the rollout: it must be 0")]
    CanaryWeighted {
        /// The rule.
        rule: usize,
        /// The canary Service.
        service: String,
        /// Its weight there.
        weight: i64,
    },
    /// The rule has other backends, and this part of the Deployment's share is not a whole number.
    #[error("spec.rules[{rule}] has other backends, and {weight} of weight {share} is not a whole number")]
    WeightNotExpressible {
        /// The rule.
        rule: usize,
        /// The desired weight.
        weight: Weight,
        /// The Deployment's weight in the rule.
        share: i64,
    },
    /// The route is in another namespace and may not refer to the canary Service.
    #[error(
        "no ReferenceGrant in namespace {namespace} lets it refer to Service {service}: a grant \
         without `to[].name` covers all Services"
    )]
    NotGranted {
        /// The namespace of the Services.
        namespace: String,
        /// The canary Service.
        service: String,
    },
    /// An implementation of the router does not list a feature that the policy needs.
    #[error("{subject} does not list the feature {feature} in status.supportedFeatures")]
    Unsupported {
        /// The `GatewayClass`, or the parent whose class is not known.
        subject: String,
        /// The feature's name in the Gateway API.
        feature: String,
    },
}

/// A way to divide traffic. Pure: it reads objects and returns changes.
///
/// A change and the data to undo it are one write: a crash can't separate them, and a lost status
/// loses none of the user's weights.
pub trait Router: Sync {
    /// Returns the kinds of objects that it reads and writes in the Deployment's namespace. They
    /// determine what is listed and watched, and the chart's RBAC rules are tested against them.
    fn resources(&self) -> &'static [&'static Resource];

    /// Returns collections in other namespaces that may contain routes of this namespace's
    /// Services.
    fn elsewhere(
        &self,
        world: &[Object],
        home: &str,
        listed: &[RouteRef],
    ) -> BTreeSet<(&'static Resource, String)>;

    /// Returns the routes that refer to the stable Service; if some are listed, only those.
    fn find<'a>(&self, world: &'a [Object], pair: &Pair, listed: &[RouteRef]) -> Vec<Route<'a>>;

    /// Checks, before a rollout starts, that a route can do all of this. Returns what is needed to
    /// restore it.
    ///
    /// # Errors
    /// The first problem.
    fn check(&self, route: &Route, pair: &Pair, wants: &Wants) -> Result<Original, RouteError>;

    /// Returns the canary's share of the pair's traffic: the largest, if rules differ; `None` if no
    /// rule refers to either Service.
    fn observe(&self, route: &Route, pair: &Pair) -> Option<Weight>;

    /// Returns the changes that give the canary this weight; empty if the route already does.
    ///
    /// # Errors
    /// If another client changed the route so that it can't carry the weight.
    fn plan<'a>(&self, route: &Route<'a>, pair: &Pair, want: Weight) -> Result<Vec<Change<'a>>, RouteError>;

    /// Returns the changes that set the canary's weight to 0, from any state of the route.
    fn withdraw<'a>(&self, route: &Route<'a>, pair: &Pair) -> Vec<Change<'a>>;

    /// Returns the changes that leave the route as the user would have it without a rollout.
    fn restore<'a>(&self, route: &Route<'a>, pair: &Pair) -> Vec<Change<'a>>;

    /// Returns what the gateways report about the route; reports from before the rollout are
    /// ignored.
    fn acceptance(&self, route: &Route, original: &Original) -> Acceptance;
}
