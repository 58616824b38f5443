//! The share of requests that the canary really gets, as its router counts them: what
//! `status.observedWeight` shows, and what a step's clock waits for. Where no router is queried there is
//! no such number, rather than a copy of the desired weight.

use std::time::Duration;

use super::{
    plan::Ask,
    reasons::{Router, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since, after},
    variables::variables,
};
use crate::{
    analysis::Outcome,
    api::Shifting,
    policy::{template, terms::Terms},
};

/// Under this name the router is queried; no metric of a policy can have a slash in its name and mean it.
const METRIC: &str = "steelyard/observed-weight";
/// How often the router is queried.
const EVERY: Duration = Duration::from_secs(1);
/// How long a step's clock waits for the weight to be observed: after that the route's own status has to
/// do.
const CAP: Duration = Duration::from_secs(10);

/// Reads the router's answers that came.
pub(super) fn read(r: &mut Reconcile) {
    if r.shifting() == Shifting::Services {
        let weight = by_number(r);
        r.set_observed_weight(weight);
        return;
    }
    let revision = r.revision();
    for reading in &r.world().readings {
        if reading.metric != METRIC || reading.revision != revision {
            continue;
        }
        let shifted = r.trial().shifted_at;
        let weight = match reading.outcome {
            Outcome::Value(share) if shifted.is_some_and(|at| reading.at > at) => percent(share),
            _ => None,
        };
        r.set_observed_weight(weight);
    }
}

/// Without a router each ready pod behind the Service gets the same: the canary's share is that of its
/// pods.
fn by_number(r: &Reconcile) -> Option<u8> {
    let name = &r.status().trial.as_ref()?.service;
    let service = r.services().find(|service| service.meta.name == *name)?;
    let [stable, canary] = [r.stable_revision(), r.revision()].map(|hash| f64::from(r.ready(service, &hash)));
    percent(canary / (stable + canary))
}

/// A share of 0 to 1 in whole percent; none if it is no share.
fn percent(share: f64) -> Option<u8> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    (0.0..=1.0).contains(&share).then(|| (share * 100.0).round() as u8)
}

/// Queries the router, if the operator said how, once a weight was written.
pub(super) fn ask(r: &mut Reconcile) {
    let Some(router) = r.world().router.clone().filter(|_| r.shifting() != Shifting::Services) else {
        return;
    };
    let Some(trial) = r.status().trial.as_ref().filter(|trial| trial.shifted_at.is_some()) else { return };
    let now = r.now();
    let due = trial.share_asked_at.map_or(now, |at| after(at, EVERY));
    if r.world().asking.contains(METRIC) {
        return;
    }
    if now < due {
        r.wake_at(due);
        return;
    }
    let (revision, step) = (r.revision(), trial.step);
    let variables = variables(&r.world().namespace, &r.world().name, r.status(), EVERY);
    let Ok(query) = template::render(&router.share, &variables) else { return };
    r.trial().share_asked_at = Some(now);
    let (source, metric) = (router.source, METRIC.to_owned());
    r.ask(Ask { source, revision, step, metric, query, at: now, terms: Terms::default() });
}

/// Goes on once `weight` is observed, or its time is over. Half of the way counts: few requests make a
/// coarse share.
pub(super) fn arrived(r: &mut Reconcile, weight: u8) -> Flow {
    if r.shifting() == Shifting::Services {
        return GO_ON;
    }
    let (Some(_), Some(at)) = (&r.world().router, r.trial().shifted_at) else { return GO_ON };
    let until = after(at, CAP);
    let halfway = r.trial().weight_before.midpoint(weight);
    if r.now() >= until || r.status().observed_weight.is_some_and(|observed| observed > halfway) {
        return GO_ON;
    }
    r.wait(&WaitReason::Router(Router::Observe), Since::At(at), EndsBy::Deadline(until))
}
