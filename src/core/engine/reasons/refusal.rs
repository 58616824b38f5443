//! Why a rollout can't start: condition `Accepted=False`. Each message names the object, the field
//! and the fix.

use std::fmt;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use crate::{
    api,
    policy::{Fault, Faults},
    traffic::{RouteError, Weight},
};

/// Why a rollout can't start.
#[derive(Clone, Debug, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(name(RefusalKind), derive(EnumIter, EnumString, IntoStaticStr))]
#[strum_discriminants(doc = "The kind of a [`Refusal`]: the reason of `Accepted=False`.")]
#[strum_discriminants(allow(missing_docs))]
pub enum Refusal {
    /// A name or a Service is taken.
    Conflict(Conflict),
    /// The pod template has the label by which versions are distinguished.
    HashInTemplate {
        /// The Deployment.
        deployment: String,
    },
    /// A name would be too long for Kubernetes.
    NameTooLong(NameTooLong),
    /// No route refers to a Service of the Deployment.
    NoRoute(NoRoute),
    /// No Service selects the Deployment's pods.
    NoService(NoService),
    /// A field or a setup that this version does not support.
    NotYetSupported(NotYetSupported),
    /// The policy is invalid.
    PolicyInvalid(Faults),
    /// The policy does not exist.
    PolicyNotFound(PolicyNotFound),
    /// A Service names a container port that the new template does not have.
    PortNotServed {
        /// The Service.
        service: String,
        /// Its port.
        port: i64,
        /// The name of the container port.
        target: String,
        /// The Deployment.
        deployment: String,
    },
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
    /// The weights of the route are too small for a step's weight.
    WeightNotExpressible(Unweighable),
    /// The Service can't be switched without losing connections.
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

/// What another object already has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Another Deployment claimed the Service first.
    Claimed {
        /// The Service.
        service: String,
        /// The Deployment that claimed it first.
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
    /// One that refers to a Service of the Deployment.
    NotNamed {
        /// The Deployment.
        deployment: String,
        /// Its Services.
        services: Vec<String>,
        /// The routes that the policy lists; empty if it lists none.
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
    /// Any that selects all versions of the pods: the user pinned the only one.
    Pinned {
        /// The Service.
        service: String,
        /// The Deployment.
        deployment: String,
    },
    /// One that selects the pods of stable, but not those of the new template.
    Lacking {
        /// The Service.
        service: String,
        /// The labels that the new template lacks, as `key=value` pairs.
        labels: Vec<String>,
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

/// What this version does not support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotYetSupported {
    /// Several routed Services, each with its route.
    SeveralRoutedServices(Vec<(String, String)>),
}

/// Which policy does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyNotFound {
    /// A `RolloutPolicy`.
    Namespaced {
        /// Its name.
        name: String,
    },
    /// A `ClusterRolloutPolicy`.
    Cluster {
        /// Its name, with the prefix `cluster/`.
        name: String,
    },
    /// The Deployment has no annotation.
    NoAnnotation,
}

/// Weights of a route that are too small for a step's weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unweighable {
    /// The route.
    pub route: String,
    /// Which weight can't be expressed.
    pub error: RouteError,
    /// The smallest number by which to multiply each weight of the rule.
    pub factor: i64,
}

impl Refusal {
    /// Returns the reason, in one word.
    pub fn word(&self) -> &'static str {
        RefusalKind::from(self).into()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::HashInTemplate { deployment } => write!(
                f,
                "Deployment {deployment}: spec.template.metadata.labels has {}, which Kubernetes sets \
                 itself: remove it",
                api::HASH
            ),
            Self::NameTooLong(name) => name.fmt(f),
            Self::NoRoute(missing) => missing.fmt(f),
            Self::NoService(missing) => missing.fmt(f),
            Self::NotYetSupported(what) => what.fmt(f),
            Self::PolicyInvalid(faults) => faults.fmt(f),
            Self::PolicyNotFound(missing) => missing.fmt(f),
            Self::PortNotServed { service, port, target, deployment } => write!(
                f,
                "Service {service}: targetPort {target} of port {port} is no port of a container in the \
                 new template of Deployment {deployment}: add a container port of this name to the \
                 template, or, if no client uses the port, remove it from the Service"
            ),
            Self::ReadinessGates { deployment } => write!(
                f,
                "Deployment {deployment}: spec.template.spec.readinessGates is not supported: remove it"
            ),
            Self::RevisionHistoryLimit { deployment } => write!(
                f,
                "Deployment {deployment}: spec.revisionHistoryLimit is 0, so Kubernetes would delete \
                 a stable ReplicaSet without pods: set 1 or more"
            ),
            Self::RouteInvalid { route, error } => write!(f, "{route}: {error}"),
            Self::ServiceShared { service, pods, selector, deployment } => {
                let first: Vec<&str> = pods.iter().take(2).map(String::as_str).collect();
                let first = first.join(", ");
                write!(f, "Service {service} also selects pods of another workload ({first}")?;
                if pods.len() > 2 {
                    write!(f, " and {} more", pods.len() - 2)?;
                }
                write!(
                    f,
                    "): change its selector {selector} to match only the pods of Deployment \
                     {deployment}"
                )
            }
            Self::StrategyRecreate { deployment } => write!(
                f,
                "Deployment {deployment}: spec.strategy.type is Recreate, which allows only one \
                 version at a time: use RollingUpdate"
            ),
            Self::WeightNotExpressible(Unweighable { route, error, factor }) => {
                write!(f, "{route}: {error}: multiply each weight of the rule's backendRefs by {factor}")
            }
            Self::ServiceNotSwitchable { service } => write!(
                f,
                "Service {service}: internalTrafficPolicy or externalTrafficPolicy is Local, so nodes \
                 without a canary pod would drop connections at the switch: use Cluster, or an \
                 HTTPRoute (spec.traffic.gatewayAPI)"
            ),
            Self::SeveralServices { deployment, services } => write!(
                f,
                "several Services select the pods of Deployment {deployment} ({}): name one in \
                 spec.traffic.serviceSelector.name of the policy or in annotation {} of the \
                 Deployment",
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
                "Service {service} belongs to Deployment {first} and also selects the pods of \
                 Deployment {deployment}: change its selector {selector} to match only the pods of \
                 one of them"
            ),
            Self::NameTaken { service, stable } => write!(
                f,
                "Service {service} already exists and does not belong to Steelyard: rename it, or, if \
                 it is the canary Service, set label {}={stable}",
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
                "Deployment {deployment}: metadata.name is longer than 63 characters, the limit of a \
                 label: use a shorter name"
            ),
            Self::CanaryService { stable, name } => write!(
                f,
                "Service {stable}: the name {name} of its canary Service is too long: create a canary \
                 Service with label {}={stable}",
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
                "{route}, listed in spec.traffic.gatewayAPI.routes of the policy, does not exist: \
                 create it, or list another"
            ),
            Self::NotNamed { deployment, services, listed } => {
                match listed.as_slice() {
                    [] => f.write_str("no HTTPRoute or GRPCRoute refers to")?,
                    listed => write!(f, "{} does not refer to", listed.join(", "))?,
                }
                let services = services.join(", ");
                write!(
                    f,
                    " a Service of Deployment {deployment} ({services}): add one to a rule's backendRefs"
                )?;
                if listed.is_empty() {
                    f.write_str("; in another namespace, a route also needs a ReferenceGrant in this one")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for NoService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any { deployment } => write!(
                f,
                "no Service in this namespace selects the pods of Deployment {deployment}: create one"
            ),
            Self::Pinned { service, deployment } => write!(
                f,
                "spec.selector of Service {service} has {}, so it selects only one version of Deployment \
                 {deployment}: remove it",
                api::HASH
            ),
            Self::Lacking { service, labels, deployment } => write!(
                f,
                "spec.selector of Service {service} has {}, which the new template of Deployment \
                 {deployment} lacks: add it to spec.template.metadata.labels, or remove it from the \
                 selector",
                labels.join(", ")
            ),
            Self::Annotated { service, deployment } => write!(
                f,
                "Service {service}, named in annotation {} of Deployment {deployment}, does not exist \
                 or does not select its pods: name another one",
                api::SERVICES
            ),
            Self::Listed { service, deployment } => write!(
                f,
                "Service {service}, named in spec.traffic.serviceSelector of the policy, does not \
                 exist or does not select the pods of Deployment {deployment}: name another one"
            ),
        }
    }
}

impl fmt::Display for NotYetSupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeveralRoutedServices(found) => {
                let each = |(service, route): &(String, String)| format!("{service} in {route}");
                let found: Vec<_> = found.iter().map(each).collect();
                write!(
                    f,
                    "several routed Services are not supported ({}): name one in annotation {} of the \
                     Deployment",
                    found.join(", "),
                    api::SERVICES
                )
            }
        }
    }
}

impl fmt::Display for PolicyNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, kind) = match self {
            Self::Namespaced { name } => (name, "RolloutPolicy of this name in the namespace"),
            Self::Cluster { name } => (name, "ClusterRolloutPolicy of this name"),
            Self::NoAnnotation => return write!(f, "the Deployment has no annotation {}", api::POLICY),
        };
        write!(
            f,
            "policy {name}: there is no {kind}: create it, or name another one in annotation {} of \
             the Deployment",
            api::POLICY
        )
    }
}

impl RefusalKind {
    /// Returns the meaning and the fix, for the docs.
    pub fn help(self) -> &'static str {
        match self {
            Self::Conflict => {
                "The name of the canary Service is taken, or another managed Deployment claimed the \
                 Service first."
            }
            Self::HashInTemplate => {
                "The label is how Kubernetes and Steelyard distinguish versions; it comes into a template \
                 that was copied from a pod or a ReplicaSet."
            }
            Self::NameTooLong => {
                "A name that Steelyard derives from another one exceeds the limit of Kubernetes."
            }
            Self::NoRoute => "No route refers to a Service of the Deployment, so there is no weight to set.",
            Self::NoService => "No Service selects the Deployment's pods.",
            Self::NotYetSupported => "Steelyard does not support this combination of objects yet.",
            Self::PolicyInvalid => {
                "The message names each invalid field and the reason; `steelyard policy check FILE` \
                 reports the same offline."
            }
            Self::PolicyNotFound => "The annotation names a policy that does not exist.",
            Self::PortNotServed => {
                "The pods of the new template would be no endpoints of this port, which stable serves."
            }
            Self::ReadinessGates => "Pods would wait for a controller that does not know the canary.",
            Self::RevisionHistoryLimit => "Kubernetes would delete the ReplicaSet that a rollback needs.",
            Self::RouteInvalid => "The route refers to the Service in a way that does not allow a weight.",
            Self::ServiceShared => "A pin of the Service to one version would cut off the other workload.",
            Self::StrategyRecreate => "Recreate does not allow two versions at the same time.",
            Self::WeightNotExpressible => {
                "The rule's weights are whole numbers that are too small for a step's weight."
            }
            Self::ServiceNotSwitchable => {
                "Without a router, the Service itself is switched; this one would lose connections."
            }
            Self::SeveralServices => {
                "Without a router, one Service must be named, because the preview's Service is \
                 derived from it."
            }
        }
    }

    /// Returns one value per message, for the docs.
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
            Self::HashInTemplate => vec![R::HashInTemplate { deployment: web() }],
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
                let route = || "GRPCRoute shop".to_owned();
                let listed = NoRoute::Listed { route: route() };
                [listed, not_named(vec![]), not_named(vec![route()])].map(R::NoRoute).into()
            }
            Self::NoService => [
                NoService::Any { deployment: web() },
                NoService::Pinned { service: shop(), deployment: web() },
                NoService::Lacking {
                    service: shop(),
                    labels: vec!["version=v1".to_owned()],
                    deployment: web(),
                },
                NoService::Annotated { service: shop(), deployment: web() },
                NoService::Listed { service: shop(), deployment: web() },
            ]
            .map(R::NoService)
            .into(),
            Self::NotYetSupported => {
                let two = vec![(web(), "HTTPRoute a".to_owned()), (shop(), "HTTPRoute b".to_owned())];
                vec![R::NotYetSupported(NotYetSupported::SeveralRoutedServices(two))]
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
            Self::PortNotServed => vec![R::PortNotServed {
                service: web(),
                port: 80,
                target: "http".to_owned(),
                deployment: web(),
            }],
            Self::ReadinessGates => vec![R::ReadinessGates { deployment: web() }],
            Self::RevisionHistoryLimit => vec![R::RevisionHistoryLimit { deployment: web() }],
            Self::RouteInvalid => vec![R::RouteInvalid {
                route: "HTTPRoute web".to_owned(),
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
                route: "HTTPRoute web".to_owned(),
                error: RouteError::WeightNotExpressible { rule: 0, weight: Weight::percent(5), share: 1 },
                factor: 20,
            })],
            Self::ServiceNotSwitchable => vec![R::ServiceNotSwitchable { service: web() }],
            Self::SeveralServices => {
                vec![R::SeveralServices { deployment: web(), services: vec![web(), shop()] }]
            }
        }
    }
}
