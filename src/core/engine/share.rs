//! The share of requests that the canary is really given, as its router counts them: what `status.observedWeight` shows, and
//! what a step's clock waits for. Where no router is asked there is no such number, rather than a copy of the weight.

use std::time::Duration;

use super::{Ask, judge, pass::Pass};
use crate::{
    analysis::Outcome,
    api::Shifting,
    policy::{template, terms::Terms},
};

/// Under this name the router is asked; no metric of a policy can have a slash in its name and mean it.
const METRIC: &str = "steelyard/observed-weight";
/// How often the router is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long a step's clock waits for the shift to be seen: by then the route's own status has to do.
const CAP: Duration = Duration::from_secs(10);

/// Reads the router's answers that came.
pub(super) fn read(pass: &mut Pass) {
    if pass.shifting() == Shifting::Services {
        pass.status.observed_weight = by_number(pass);
        return;
    }
    let revision = pass.revision();
    for reading in pass.s.readings.iter().filter(|r| r.metric == METRIC && r.revision == revision) {
        let shifted = pass.trial().shifted_at;
        pass.status.observed_weight = match reading.outcome {
            Outcome::Value(share) if shifted.is_some_and(|at| reading.at > at) => percent(share),
            _ => None,
        };
    }
}

/// Without a router each ready pod behind the Service gets alike: the canary's share is that of its pods.
fn by_number(pass: &Pass) -> Option<u8> {
    let name = &pass.status.trial.as_ref()?.service;
    let service = pass.services().find(|service| service.meta.name == *name)?;
    let [stable, canary] =
        [pass.stable_revision(), pass.revision()].map(|hash| f64::from(pass.ready(service, &hash)));
    percent(canary / (stable + canary))
}

/// A share of 0 to 1 in whole percent; none if it is no share.
fn percent(share: f64) -> Option<u8> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    (0.0..=1.0).contains(&share).then(|| (share * 100.0).round() as u8)
}

/// Asks the router, if the operator said how, as long as a weight was ever written.
pub(super) fn ask(pass: &mut Pass) {
    let Some(router) = pass.s.router.clone().filter(|_| pass.shifting() != Shifting::Services) else {
        return;
    };
    let Some(trial) = pass.status.trial.as_ref().filter(|trial| trial.shifted_at.is_some()) else { return };
    let now = pass.s.now;
    let due = trial.share_asked_at.map_or(now, |at| Pass::after(at, EVERY));
    if pass.s.asking.contains(METRIC) {
        return;
    }
    if now < due {
        pass.wake_at(due);
        return;
    }
    let (revision, step) = (pass.revision(), trial.step);
    let variables = judge::variables(&pass.s.namespace, &pass.s.name, &pass.status, EVERY);
    let Ok(query) = template::render(&router.share, &variables) else { return };
    pass.trial().share_asked_at = Some(now);
    let (source, metric) = (router.source, METRIC.to_owned());
    pass.asks.push(Ask { source, revision, step, metric, query, at: now, terms: Terms::default() });
}

/// Whether the shift to `weight` is seen, or has had its time. Half of the way counts: few requests make a coarse share.
pub(super) fn arrived(pass: &mut Pass, weight: u8) -> bool {
    if pass.shifting() == Shifting::Services {
        return true;
    }
    let (Some(_), Some(at)) = (&pass.s.router, pass.trial().shifted_at) else { return true };
    let before = pass.trial().weight_before;
    let until = Pass::after(at, CAP);
    let halfway = before.midpoint(weight);
    if pass.s.now >= until || pass.status.observed_weight.is_some_and(|seen| seen > halfway) {
        return true;
    }
    pass.wait_until("Router", "waiting for the router's own count of requests to show the shift", until);
    false
}
