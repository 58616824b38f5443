//! The variables of queries and their values.

use strum::{EnumIter, EnumString, IntoEnumIterator as _, IntoStaticStr};

/// The variable for the time between two measurements, a `PromQL` duration such as `30000ms`. Its
/// value is known when a query is compiled, and so are the ranges of the query.
pub(super) const INTERVAL: &str = "interval";

/// A variable whose value is known when a query is sent; its name is that of the variant in
/// `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Variable {
    /// The Deployment's namespace.
    Namespace,
    /// The Deployment's name.
    Deployment,
    /// The stable Service.
    Service,
    /// The canary's Service.
    CanaryService,
    /// A regular expression for the canary's pods.
    CanaryPods,
    /// The same for stable.
    StablePods,
    /// The canary's `pod-template-hash`.
    CanaryHash,
    /// The `pod-template-hash` of stable.
    StableHash,
}

/// The values of the variables of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `$namespace`: the Deployment's namespace.
    pub namespace: String,
    /// `$deployment`: its name.
    pub deployment: String,
    /// `$service`: the stable Service.
    pub service: String,
    /// `$canary_service`: the canary's Service.
    pub canary_service: String,
    /// `$canary_pods`: a regular expression of the canary's pods, as from
    /// [`pod_pattern`](super::pod_pattern).
    pub canary_pods: String,
    /// `$stable_pods`: the same for stable.
    pub stable_pods: String,
    /// `$canary_hash`: the canary's `pod-template-hash`.
    pub canary_hash: String,
    /// `$stable_hash`: stable's.
    pub stable_hash: String,
}

/// Returns the names of all variables as they are written: `$namespace`, `$deployment`, and so on.
pub fn names() -> impl Iterator<Item = String> {
    Variable::iter().map(<&str>::from).chain([INTERVAL]).map(|name| format!("${name}"))
}

/// Returns the value of a variable.
pub(super) fn value(variables: &Variables, variable: Variable) -> &str {
    match variable {
        Variable::Namespace => &variables.namespace,
        Variable::Deployment => &variables.deployment,
        Variable::Service => &variables.service,
        Variable::CanaryService => &variables.canary_service,
        Variable::CanaryPods => &variables.canary_pods,
        Variable::StablePods => &variables.stable_pods,
        Variable::CanaryHash => &variables.canary_hash,
        Variable::StableHash => &variables.stable_hash,
    }
}
