//! Compiles a policy: checks its values and reports all errors, each with its path.

use std::time::Duration;

use super::{
    checks::{exactly_one, span},
    fault::Fault,
    metric::{Metric, metrics},
    problem::Problem,
    stages::{Stage, stages},
};
use crate::{
    api::{self, Analysis, GatewayRoute, OnFailure, RolloutPolicySpec, Shifting, Traffic, WithoutVerdict},
    traffic::{RouteRef, RouterKind},
};

/// A compiled policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The spec that it was compiled from.
    pub spec: RolloutPolicySpec,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// What divides the traffic.
    pub router: RouterKind,
    /// The routes to shift; if empty, all that name the Service.
    pub listed: Vec<RouteRef>,
    /// What moves the traffic.
    pub shifting: Shifting,
    /// Which earlier revisions skip the steps.
    pub window: Option<Window>,
    /// What happens to the template after a failure.
    pub on_failure: OnFailure,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// How long nothing is measured after a weight has changed.
    pub settle: Duration,
    /// The maximum time for pods to become ready and for verdicts.
    pub deadline: Duration,
    /// What happens when a metric is Inconclusive too often.
    pub on_inconclusive: WithoutVerdict,
    /// What happens when the source of a metric fails too often.
    pub on_error: WithoutVerdict,
}

/// Which earlier revisions skip the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number of revisions before the stable one that qualify.
    pub revisions: usize,
    /// The maximum time since the revision served.
    pub within: Duration,
}

/// Compiles a policy.
///
/// # Errors
/// Returns all errors, in the order of the fields; never an empty list.
pub fn compile(spec: &RolloutPolicySpec) -> Result<Policy, Vec<Fault>> {
    let RolloutPolicySpec { strategy, traffic: moved, analysis, on_failure, deadline, rollback_window } =
        spec;
    let mut faults = Vec::new();
    let stages = stages(strategy, moved.service_selector.is_some(), &mut faults);
    let listed = traffic(moved, &mut faults);
    let settle = span(analysis.settle, "spec.analysis.settle", &mut faults);
    let metrics = metrics(analysis, &mut faults);
    let deadline = span(*deadline, "spec.deadline", &mut faults);
    if deadline.is_zero() {
        faults.push(Fault::of("spec.deadline", &Problem::DeadlineZero));
    }
    let window = rollback_window.as_ref().map(|window| rollback(window, &mut faults));
    let Some(router) = router(moved).filter(|_| faults.is_empty()) else { return Err(faults) };
    let shifting = match (router, strategy.blue_green.is_some()) {
        (RouterKind::Service, _) => Shifting::Services,
        (RouterKind::GatewayApi, true) => Shifting::RouteAndServices,
        (RouterKind::GatewayApi, false) => Shifting::Route,
    };
    let on_failure = *on_failure;
    let Analysis { on_inconclusive, on_error, .. } = *analysis;
    Ok(Policy {
        spec: spec.clone(),
        stages,
        router,
        listed,
        shifting,
        window,
        on_failure,
        metrics,
        settle,
        deadline,
        on_inconclusive,
        on_error,
    })
}

fn rollback(window: &api::RollbackWindow, faults: &mut Vec<Fault>) -> Window {
    let api::RollbackWindow { revisions, within } = window;
    let path = "spec.rollbackWindow";
    if revisions.is_none() && within.is_none() {
        faults.push(Fault::of(path, &Problem::NoRollbackWindow));
    }
    if revisions.is_some_and(|count| !(1..=10).contains(&count)) {
        faults.push(Fault::of(format!("{path}.revisions"), &Problem::Revisions));
    }
    let within = within.map_or(Duration::MAX, |within| span(within, &format!("{path}.within"), faults));
    Window { revisions: revisions.map_or(usize::MAX, usize::from), within }
}

fn traffic(traffic: &Traffic, faults: &mut Vec<Fault>) -> Vec<RouteRef> {
    let Traffic { gateway_api, service_selector } = traffic;
    let set = usize::from(gateway_api.is_some()) + usize::from(service_selector.is_some());
    exactly_one("spec.traffic", "gatewayAPI and serviceSelector", set, faults);
    let listed = routes(traffic);
    for (index, route) in listed.iter().enumerate() {
        let path = format!("spec.traffic.gatewayAPI.routes[{index}]");
        if route.name.is_empty() {
            faults.push(Fault::of(format!("{path}.name"), &Problem::EmptyField));
        } else if listed[..index].contains(route) {
            faults.push(Fault::of(path, &Problem::RouteTwice(route.title())));
        }
    }
    listed
}

/// Returns the routes that a policy lists.
fn routes(traffic: &Traffic) -> Vec<RouteRef> {
    let routes = traffic.gateway_api.iter().flat_map(|api| &api.routes);
    let route = |GatewayRoute { kind, name, namespace }: &GatewayRoute| RouteRef {
        kind: kind.to_string(),
        name: name.clone(),
        namespace: namespace.clone(),
    };
    routes.map(route).collect()
}

/// Returns the router of a policy that sets exactly one.
fn router(traffic: &Traffic) -> Option<RouterKind> {
    let Traffic { gateway_api, service_selector } = traffic;
    match (gateway_api, service_selector) {
        (Some(_), None) => Some(RouterKind::GatewayApi),
        (None, Some(_)) => Some(RouterKind::Service),
        (Some(_), Some(_)) | (None, None) => None,
    }
}
