//! What must fit before a rollout may start. Each refusal names what is wrong and the cure.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    analysis::{Limits, Threshold},
    api::{self, RolloutPolicySpec, Scope},
    engine::{Deployment, Policy, Route, Service, Snapshot},
    metrics::template,
    traffic::gateway::{self, Original, Pair},
};

/// Why a rollout can't start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word, the reason of `Accepted=False`.
    pub reason: &'static str,
    /// What is wrong, where, and what helps.
    pub message: String,
}

impl Refusal {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// A policy that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// Each step's weight, rising, and how long it lasts at least.
    pub steps: Vec<(u8, Duration)>,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// The name of the Prometheus source.
    pub source: String,
    /// How long after a weight nothing is measured.
    pub settle: Duration,
    /// The time between two looks.
    pub interval: Duration,
    /// How long pods and verdicts may take.
    pub deadline: Duration,
}

/// A metric that can be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its query, with variables.
    pub query: String,
    /// Its bounds.
    pub threshold: Threshold,
    /// Its limits.
    pub limits: Limits,
}

/// What a rollout works on.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The Service whose traffic is routed.
    pub service: String,
    /// Its canary Service.
    pub canary_service: String,
    /// The route's name, and how it was.
    pub route: (String, Original),
}

/// Reads a policy; the first fault refuses it.
pub fn policy(policy: &Policy) -> Result<(Valid, &RolloutPolicySpec), Refusal> {
    match policy {
        Policy::Found(spec) => Ok((valid(spec)?, spec)),
        Policy::Missing(name) => Err(Refusal::new(
            "PolicyNotFound",
            format!("there is no policy {name}: create it, or name another in annotation {}", api::POLICY),
        )),
        Policy::Unreadable(why) => Err(Refusal::new("PolicyInvalid", why.clone())),
        Policy::Unnamed => {
            Err(Refusal::new("PolicyNotFound", format!("there is no annotation {}", api::POLICY)))
        }
    }
}

/// Checks a policy's values.
pub fn valid(spec: &RolloutPolicySpec) -> Result<Valid, Refusal> {
    let unserved =
        |path: &str| Refusal::new("NotYetSupported", format!("{path} is not supported yet: leave it out"));
    let wrong = |path: &str, why: &str| Refusal::new("PolicyInvalid", format!("{path}: {why}"));
    let Some(canary) = &spec.strategy.canary else { return Err(unserved("spec.strategy.blueGreen")) };
    if spec.traffic.gateway_api.is_none() {
        return Err(unserved("spec.traffic but for gatewayAPI"));
    }
    if spec.on_fail == api::OnFail::Revert {
        return Err(unserved("spec.onFail: revert"));
    }
    if spec.rollback_window.is_some() {
        return Err(unserved("spec.rollbackWindow"));
    }
    let mut steps = Vec::new();
    for (index, step) in canary.steps.iter().enumerate() {
        let path = format!("spec.strategy.canary.steps[{index}]");
        if step.matching.is_some() || step.mirror.is_some() || step.gate.is_some() || step.replicas.is_some()
        {
            return Err(unserved(&format!("{path}: anything but weight and hold")));
        }
        let weight = step.weight.ok_or_else(|| wrong(&path, "needs a weight"))?;
        let before = steps.last().map_or(0, |(weight, _)| *weight);
        if weight <= before || weight > 100 {
            return Err(wrong(&path, &format!("weight {weight} must be above {before} and at most 100")));
        }
        steps.push((weight, step.hold.map_or(Duration::ZERO, Duration::from)));
    }
    if steps.is_empty() || steps.len() > 32 {
        return Err(wrong("spec.strategy.canary.steps", "needs 1 to 32 steps"));
    }
    let mut metrics = Vec::new();
    let mut names = BTreeSet::new();
    for (index, metric) in spec.analysis.metrics.iter().enumerate() {
        let path = format!("spec.analysis.metrics[{index}]");
        let Some(query) = &metric.query else {
            return Err(unserved(&format!("{path}: anything but a query")));
        };
        if metric.name.is_empty() || !names.insert(metric.name.clone()) {
            return Err(wrong(&path, "needs a name of its own"));
        }
        let threshold = Threshold { min: metric.min, max: metric.max };
        if threshold.min.is_none() && threshold.max.is_none() {
            return Err(wrong(&path, "needs min, max or both"));
        }
        template::check(query).map_err(|error| wrong(&format!("{path}.query"), &error.to_string()))?;
        if metric.scope == Scope::Canary && !template::names_one_version(query) {
            let why = "names neither $canary_pods, $canary_hash nor $canary_service, so it can't tell the versions \
                       apart: add one, or say scope: deployment";
            return Err(wrong(&format!("{path}.query"), why));
        }
        let mut limits = Limits::default();
        limits.failure_limit = metric.failure_limit.unwrap_or(limits.failure_limit);
        limits.consecutive_failure_limit = metric.consecutive_failure_limit;
        limits.min_measurements = metric.min_measurements.unwrap_or(limits.min_measurements);
        metrics.push(Metric { name: metric.name.clone(), query: query.clone(), threshold, limits });
    }
    Ok(Valid {
        steps,
        metrics,
        source: spec.analysis.source.clone().unwrap_or_else(|| "default".to_owned()),
        settle: spec.analysis.settle.into(),
        interval: Duration::from(spec.analysis.interval).max(Duration::from_millis(100)),
        deadline: spec.deadline.into(),
    })
}

/// Finds the Service, its canary and the route, or says why they don't fit.
pub fn setup(
    s: &Snapshot,
    d: &Deployment,
    spec: &RolloutPolicySpec,
    valid: &Valid,
) -> Result<Setup, Refusal> {
    if d.recreate {
        let why = "spec.strategy.type of the Deployment is Recreate, which asks for one version at a time: use RollingUpdate";
        return Err(Refusal::new("StrategyRecreate", why));
    }
    if d.history_limit == 0 {
        let why = "spec.revisionHistoryLimit of the Deployment is 0: a stable ReplicaSet at 0 pods would be lost; set 1 or more";
        return Err(Refusal::new("RevisionHistoryLimit", why));
    }
    let listed = spec.traffic.gateway_api.as_ref().map(|api| api.routes.clone()).unwrap_or_default();
    let (service, route) = routed(s, d, &listed)?;
    let canary_service = canary_service(s, service)?;
    let pair = Pair { namespace: &s.namespace, stable: &service.meta.name, canary: &canary_service };
    let original = gateway::original(&route.spec, &pair);
    let weights: Vec<u8> = valid.steps.iter().map(|(weight, _)| *weight).chain([0, 100]).collect();
    gateway::check(&route.spec, &pair, &original, &weights).map_err(|error| {
        let reason = match error {
            gateway::RouteError::WeightNotExpressible { .. } => "WeightNotExpressible",
            _ => "RouteInvalid",
        };
        Refusal::new(reason, format!("HTTPRoute {}: {error}", route.meta.name))
    })?;
    Ok(Setup {
        service: service.meta.name.clone(),
        canary_service,
        route: (route.meta.name.clone(), original),
    })
}

/// The Services that carry the Deployment's traffic, less canary Services.
pub fn plain(s: &Snapshot) -> impl Iterator<Item = &Service> {
    s.services.iter().filter(|service| {
        !service.meta.labels.contains_key(api::CANARY_OF) && !service.meta.labels.contains_key(api::ROLLOUT)
    })
}

fn routed<'a>(
    s: &'a Snapshot,
    d: &Deployment,
    listed: &[String],
) -> Result<(&'a Service, &'a Route), Refusal> {
    let chosen: Option<Vec<&str>> =
        d.meta.annotations.get(api::SERVICES).map(|names| names.split(',').map(str::trim).collect());
    let wanted =
        |service: &&Service| chosen.as_ref().is_none_or(|names| names.contains(&service.meta.name.as_str()));
    let canaries: BTreeSet<_> = plain(s).map(|service| format!("{}-canary", service.meta.name)).collect();
    let mut found = Vec::new();
    for service in plain(s).filter(wanted).filter(|service| !canaries.contains(&service.meta.name)) {
        let pair = Pair { namespace: &s.namespace, stable: &service.meta.name, canary: "" };
        for route in &s.routes {
            let named = listed.is_empty() || listed.contains(&route.meta.name);
            if named && gateway::names(&route.spec, &pair) {
                found.push((service, route));
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] if plain(s).next().is_none() => Err(Refusal::new(
            "NoService",
            "no Service of this namespace selects the Deployment's pods: create one that does",
        )),
        [] => Err(Refusal::new(
            "NoRoute",
            "no HTTPRoute names a Service of the Deployment: name one as a backendRef",
        )),
        [_, _, ..] => {
            let names: Vec<_> =
                found.iter().map(|(s, r)| format!("{} in HTTPRoute {}", s.meta.name, r.meta.name)).collect();
            let why = format!("several routed Services are not supported yet: {}", names.join(", "));
            Err(Refusal::new("NotYetSupported", why))
        }
    }
}

fn canary_service(s: &Snapshot, service: &Service) -> Result<String, Refusal> {
    let of = |other: &&Service| other.meta.labels.get(api::CANARY_OF) == Some(&service.meta.name);
    if let Some(own) = s.services.iter().find(of) {
        return Ok(own.meta.name.clone());
    }
    let name = format!("{}-canary", service.meta.name);
    if s.services.iter().any(|other| other.meta.name == name) {
        let label = format!("{}={}", api::CANARY_OF, service.meta.name);
        let why = format!("Service {name} is not Steelyard's: rename it, or label it {label}");
        return Err(Refusal::new("Conflict", why));
    }
    Ok(name)
}
