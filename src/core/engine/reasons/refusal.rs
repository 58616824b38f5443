//! Why a rollout can't start: condition `Accepted=False`. Each names what is wrong, where, and the fix.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use crate::{
    api,
    policy::{Fault, Faults},
    traffic::gateway::RouteError,
};

/// Why a rollout can't start.
#[derive(Clone, Debug, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(name(RefusalKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The word of a [`Refusal`]: the reason of `Accepted=False`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum Refusal {
    /// A name or a Service is taken.
    Conflict(Conflict),
    /// A name would be too long for Kubernetes.
    NameTooLong(NameTooLong),
    /// No route leads to the Deployment.
    NoRoute(NoRoute),
    /// No Service leads to the Deployment's pods.
    NoService(NoService),
    /// A field or a set-up that a later version will serve.
    NotYetSupported(NotYetSupported),
    /// The policy is not valid.
    PolicyInvalid(Faults),
    /// The policy is not there.
    PolicyNotFound(PolicyNotFound),
    /// The pod template has readiness gates.
    ReadinessGates {
        /// The Deployment.
        deployment: String,
    },
    /// The Deployment keeps no old `ReplicaSets`.
    RevisionHistoryLimit {
        /// The Deployment.
        deployment: String,
    },
    /// No weight can be set on the route.
    RouteInvalid {
        /// The route.
        route: String,
        /// Why.
        error: RouteError,
    },
    /// A Service selects pods of another workload too.
    ServiceShared {
        /// The Service.
        service: String,
        /// The other workload's pods.
        pods: Vec<String>,
        /// The Service's selector.
        selector: String,
        /// The Deployment.
        deployment: String,
    },
    /// The Deployment allows one version at a time.
    StrategyRecreate {
        /// The Deployment.
        deployment: String,
    },
    /// The weights of the route are too small for a step's share.
    WeightNotExpressible(Unweighable),
    /// The Service can't be switched without lost connections.
    ServiceNotSwitchable {
        /// The Service.
        service: String,
    },
    /// Several Services could be switched.
    SeveralServices {
        /// The Deployment.
        deployment: String,
        /// The Services.
        services: Vec<String>,
    },
}

/// What is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Another Deployment had the Service first.
    Claimed {
        /// The Service.
        service: String,
        /// The Deployment that had it first.
        first: String,
        /// This Deployment.
        deployment: String,
        /// The Service's selector.
        selector: String,
    },
    /// The canary Service's name.
    NameTaken {
        /// The name.
        service: String,
        /// The Service whose canary it would be.
        stable: String,
    },
}

/// Which name is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameTooLong {
    /// The Deployment's, which is a label's value.
    Deployment {
        /// The Deployment.
        deployment: String,
    },
    /// The canary Service's.
    CanaryService {
        /// The Service.
        stable: String,
        /// The canary Service's name.
        name: String,
    },
}

/// Which route is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// One that the policy lists.
    Listed {
        /// Its name.
        route: String,
    },
    /// One that names a Service of the Deployment.
    NotNamed {
        /// The Deployment.
        deployment: String,
        /// Its Services.
        services: Vec<String>,
        /// The routes that the policy lists; none if any would do.
        listed: Vec<String>,
    },
}

/// Which Service is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoService {
    /// Any that selects the Deployment's pods.
    Any {
        /// The Deployment.
        deployment: String,
    },
    /// One that the Deployment's annotation names.
    Annotated {
        /// The Service.
        service: String,
        /// The Deployment.
        deployment: String,
    },
    /// One that the policy names.
    Listed {
        /// The Service.
        service: String,
        /// The Deployment.
        deployment: String,
    },
}

/// What a later version will serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotYetSupported {
    /// Fields of the policy.
    Fields(Faults),
    /// Several routed Services, each with its route.
    SeveralRoutes(Vec<(String, String)>),
}

/// Which policy is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyNotFound {
    /// One of the namespace.
    Namespaced {
        /// Its name.
        name: String,
    },
    /// One of the cluster.
    Cluster {
        /// Its name, with the prefix `cluster/`.
        name: String,
    },
    /// The Deployment names none.
    NoAnnotation,
}

/// Weights of a route that are too small for a step's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unweighable {
    /// The route.
    pub route: String,
    /// Which weight can't be expressed.
    pub error: RouteError,
    /// The least number by which to multiply each weight of the rule.
    pub factor: i64,
}

impl Refusal {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        RefusalKind::from(self).into()
    }

    /// The refusal of a policy with these faults: what is not served yet is distinguished from what is wrong.
    pub fn faulty(faults: Vec<Fault>) -> Self {
        let unserved = faults.iter().all(Fault::is_unserved);
        let faults = Faults(faults);
        if unserved {
            Self::NotYetSupported(NotYetSupported::Fields(faults))
        } else {
            Self::PolicyInvalid(faults)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::NameTooLong(name) => name.fmt(f),
            Self::NoRoute(missing) => missing.fmt(f),
            Self::NoService(missing) => missing.fmt(f),
            Self::NotYetSupported(what) => what.fmt(f),
            Self::PolicyInvalid(faults) => faults.fmt(f),
            Self::PolicyNotFound(missing) => missing.fmt(f),
            Self::ReadinessGates { deployment } => write!(
                f,
                "Deployment {deployment}: spec.template.spec.readinessGates is set: pods that wait for \
                 a word from outside are not supported yet: leave it out"
            ),
            Self::RevisionHistoryLimit { deployment } => write!(
                f,
                "Deployment {deployment}: spec.revisionHistoryLimit is 0, so that a stable ReplicaSet \
                 at 0 pods would be lost: set 1 or more"
            ),
            Self::RouteInvalid { route, error } => write!(f, "HTTPRoute {route}: {error}"),
            Self::ServiceShared { service, pods, selector, deployment } => {
                let first: Vec<&str> = pods.iter().take(2).map(String::as_str).collect();
                let first = first.join(", ");
                write!(f, "Service {service} selects pods of another workload too ({first}")?;
                if pods.len() > 2 {
                    write!(f, " and {} more", pods.len() - 2)?;
                }
                write!(f, "): make its selector {selector} match the pods of Deployment {deployment} alone")
            }
            Self::StrategyRecreate { deployment } => write!(
                f,
                "Deployment {deployment}: spec.strategy.type is Recreate, which asks for one version \
                 at a time: use RollingUpdate"
            ),
            Self::WeightNotExpressible(Unweighable { route, error, factor }) => write!(
                f,
                "HTTPRoute {route}: {error}: multiply each weight of the rule's backendRefs by {factor}"
            ),
            Self::ServiceNotSwitchable { service } => write!(
                f,
                "Service {service} has a Local traffic policy: nodes without a pod of the new version \
                 would refuse connections at the switch: route it by an HTTPRoute \
                 (spec.traffic.gatewayAPI)"
            ),
            Self::SeveralServices { deployment, services } => write!(
                f,
                "several Services select the pods of Deployment {deployment}: {}: name the one that \
                 gets a preview in the policy's spec.traffic.service or in annotation {}",
                services.join(", "),
                api::SERVICES
            ),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claimed { service, first, deployment, selector } => write!(
                f,
                "Service {service} is claimed by Deployment {first} already, and selects the pods of \
                 Deployment {deployment} too: make its selector {selector} match the pods of one of \
                 them alone"
            ),
            Self::NameTaken { service, stable } => write!(
                f,
                "Service {service} is there already and is not Steelyard's: rename it, or, if it is \
                 meant for the canary, give it label {}={stable}",
                api::CANARY_OF
            ),
        }
    }
}

impl fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment { deployment } => write!(
                f,
                "Deployment {deployment}: metadata.name is longer than 63 characters, the most that a \
                 label can hold"
            ),
            Self::CanaryService { stable, name } => write!(
                f,
                "Service {stable}: {name} is too long for a name: make a canary Service yourself, with \
                 label {}={stable}",
                api::CANARY_OF
            ),
        }
    }
}

impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { route } => write!(
                f,
                "HTTPRoute {route}, which the policy's spec.traffic.gatewayAPI.routes names, isn't \
                 there: create it, or name another"
            ),
            Self::NotNamed { deployment, services, listed } => {
                match listed.as_slice() {
                    [] => f.write_str("no HTTPRoute names")?,
                    listed => write!(f, "HTTPRoute {} does not name", listed.join(", "))?,
                }
                write!(
                    f,
                    " a Service of Deployment {deployment} ({}): name one in a rule's backendRefs",
                    services.join(", ")
                )
            }
        }
    }
}

impl fmt::Display for NoService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any { deployment } => write!(
                f,
                "no Service of this namespace selects the pods of Deployment {deployment}: create one \
                 that does"
            ),
            Self::Annotated { service, deployment } => write!(
                f,
                "Service {service}, which annotation {} of Deployment {deployment} names, isn't there \
                 or doesn't select its pods",
                api::SERVICES
            ),
            Self::Listed { service, deployment } => write!(
                f,
                "Service {service}, which the policy's spec.traffic.service names, isn't there or \
                 doesn't select the pods of Deployment {deployment}"
            ),
        }
    }
}

impl fmt::Display for NotYetSupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(faults) => faults.fmt(f),
            Self::SeveralRoutes(found) => {
                let each = |(service, route): &(String, String)| format!("{service} in HTTPRoute {route}");
                let found: Vec<_> = found.iter().map(each).collect();
                write!(f, "several routed Services are not supported yet: {}", found.join(", "))
            }
        }
    }
}

impl fmt::Display for PolicyNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind) = match self {
            Self::Namespaced { name } => (name, "RolloutPolicy of this name in the namespace"),
            Self::Cluster { name } => (name, "ClusterRolloutPolicy of this name"),
            Self::NoAnnotation => return write!(f, "there is no annotation {}", api::POLICY),
        };
        write!(
            f,
            "policy {name}: there is no {kind}: create it, or name another in annotation {} of the \
             Deployment",
            api::POLICY
        )
    }
}

impl RefusalKind {
    /// What it means, and what helps.
    pub fn help(self) -> &'static str {
        match self {
            Self::Conflict => {
                "The name that the canary Service would get is taken, or another Deployment under \
                 Steelyard had the Service first."
            }
            Self::NameTooLong => {
                "A name that Steelyard makes of another one would be too long for Kubernetes."
            }
            Self::NoRoute => "No route leads to the Deployment, so there is no weight to set.",
            Self::NoService => "No Service leads to the Deployment's pods.",
            Self::NotYetSupported => "A field is published in the CRDs, but Steelyard does not serve it yet.",
            Self::PolicyInvalid => {
                "The message names each field that is wrong, and why; `steelyard policy check FILE` \
                 says the same offline."
            }
            Self::PolicyNotFound => "The annotation names a policy that isn't there.",
            Self::ReadinessGates => "Pods would wait for a controller that knows nothing of the canary.",
            Self::RevisionHistoryLimit => "Kubernetes would delete the ReplicaSet that traffic returns to.",
            Self::RouteInvalid => "The route names the Service in a way that no weight can be set.",
            Self::ServiceShared => "Narrowing the Service to one version would cut the other workload off.",
            Self::StrategyRecreate => "Two versions side by side are what Recreate forbids.",
            Self::WeightNotExpressible => {
                "The rule's weights are whole numbers too small for a step's share."
            }
            Self::ServiceNotSwitchable => {
                "Without a router the Service itself is switched, and this one can't be without losing \
                 connections."
            }
            Self::SeveralServices => {
                "Without a router one Service has to be named, for the preview takes its name."
            }
        }
    }

    /// One value for each sentence that it has, for the docs.
    pub fn examples(self) -> Vec<Refusal> {
        use Refusal as R;
        let (web, shop) = (|| "web".to_owned(), || "shop".to_owned());
        match self {
            Self::Conflict => vec![
                R::Conflict(Conflict::Claimed {
                    service: web(),
                    first: shop(),
                    deployment: web(),
                    selector: "app=web".to_owned(),
                }),
                R::Conflict(Conflict::NameTaken { service: "web-canary".to_owned(), stable: web() }),
            ],
            Self::NameTooLong => {
                let name = "x".repeat(58);
                vec![
                    R::NameTooLong(NameTooLong::Deployment { deployment: web() }),
                    R::NameTooLong(NameTooLong::CanaryService {
                        name: format!("{name}-canary"),
                        stable: name,
                    }),
                ]
            }
            Self::NoRoute => {
                let not_named =
                    |listed| NoRoute::NotNamed { deployment: web(), services: vec![web()], listed };
                let listed = NoRoute::Listed { route: shop() };
                [listed, not_named(vec![]), not_named(vec![shop()])].map(R::NoRoute).into()
            }
            Self::NoService => [
                NoService::Any { deployment: web() },
                NoService::Annotated { service: shop(), deployment: web() },
                NoService::Listed { service: shop(), deployment: web() },
            ]
            .map(R::NoService)
            .into(),
            Self::NotYetSupported => {
                let two = vec![(web(), "a".to_owned()), (web(), "b".to_owned())];
                let field = Fault::unserved("spec.strategy.canary.steps[0].mirror");
                [NotYetSupported::Fields(Faults(vec![field])), NotYetSupported::SeveralRoutes(two)]
                    .map(R::NotYetSupported)
                    .into()
            }
            Self::PolicyInvalid => {
                let fault = crate::policy::Problem::DeadlineZero;
                vec![R::PolicyInvalid(Faults(vec![Fault::of("spec.deadline", &fault)]))]
            }
            Self::PolicyNotFound => [
                PolicyNotFound::Namespaced { name: web() },
                PolicyNotFound::Cluster { name: "cluster/web".to_owned() },
                PolicyNotFound::NoAnnotation,
            ]
            .map(R::PolicyNotFound)
            .into(),
            Self::ReadinessGates => vec![R::ReadinessGates { deployment: web() }],
            Self::RevisionHistoryLimit => vec![R::RevisionHistoryLimit { deployment: web() }],
            Self::RouteInvalid => vec![R::RouteInvalid {
                route: web(),
                error: RouteError::Ambiguous { rule: 0, service: web() },
            }],
            Self::ServiceShared => vec![R::ServiceShared {
                service: web(),
                pods: ["cron-1", "cron-2", "cron-3"].map(str::to_owned).into(),
                selector: "app=web".to_owned(),
                deployment: web(),
            }],
            Self::StrategyRecreate => vec![R::StrategyRecreate { deployment: web() }],
            Self::WeightNotExpressible => vec![R::WeightNotExpressible(Unweighable {
                route: web(),
                error: RouteError::WeightNotExpressible { rule: 0, weight: 5, share: 1 },
                factor: 20,
            })],
            Self::ServiceNotSwitchable => vec![R::ServiceNotSwitchable { service: web() }],
            Self::SeveralServices => {
                vec![R::SeveralServices { deployment: web(), services: vec![web(), shop()] }]
            }
        }
    }
}
