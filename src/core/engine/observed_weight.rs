//! The observed weight: the share of requests that the canary really gets, as its router counts
//! them. `status.observedWeight` shows it, and the duration of a step starts once it is reached.
//! Without a query of the router there is no observed weight, not a copy of the desired weight.

use std::time::Duration;

use super::{
    inquiry::Inquiry,
    plan::Ask,
    reasons::{Router, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since, after},
    snapshot,
    variables::variables,
};
use crate::{analysis::Outcome, api::Shifting, traffic::Weight};

/// How long a step waits for the observed weight; after that, the route's status is sufficient.
const CAP: Duration = Duration::from_secs(10);

/// Reads the router's answers that arrived.
pub(super) fn read(r: &mut Reconcile) {
    if r.shifting() == Shifting::Services {
        let weight = by_number(r);
        r.set_observed_weight(weight);
        return;
    }
    let revision = r.revision();
    for reading in &r.world().readings {
        if reading.inquiry != Inquiry::RouterShare || reading.revision != revision {
            continue;
        }
        let shifted = r.trial().weight_written_at;
        let weight = match reading.outcome {
            Outcome::Value(share) if shifted.is_some_and(|at| reading.at > at) => rounded(share),
            _ => None,
        };
        r.set_observed_weight(weight);
    }
}

/// Returns the canary's share of the ready pods: without a router, each ready pod of the Service
/// gets the same share.
fn by_number(r: &Reconcile) -> Option<Weight> {
    let name = &r.status().trial.as_ref()?.service;
    let service = r.services().find(|service| service.meta.name == *name)?;
    let [stable, canary] = [r.stable_revision(), r.revision()].map(|hash| f64::from(r.ready(service, &hash)));
    rounded(canary / (stable + canary))
}

/// Returns a share of 0 to 1 as a weight, from 10% on in whole percents, because a share of few
/// requests is not more exact; `None` out of that range.
fn rounded(share: f64) -> Option<Weight> {
    let exact = Weight::from_ratio(share)?;
    if exact < Weight::percent(10) {
        Some(exact)
    } else {
        Weight::from_ratio((share * 100.0).round() / 100.0)
    }
}

/// Queries the router once a weight was written, if the operator configured a query.
pub(super) fn ask(r: &mut Reconcile) {
    let Some(router) = r.world().router.as_ref().filter(|_| r.shifting() != Shifting::Services) else {
        return;
    };
    let Some(trial) = r.status().trial.as_ref().filter(|trial| trial.weight_written_at.is_some()) else {
        return;
    };
    let now = r.now();
    let due = trial.observed_weight_queried_at.map_or(now, |at| after(at, snapshot::Router::EVERY));
    if r.world().asking.contains(&Inquiry::RouterShare) {
        return;
    }
    if now < due {
        r.wake_at(due);
        return;
    }
    let (revision, step) = (r.revision(), trial.step);
    let variables = variables(&r.world().namespace, &r.world().name, r.status());
    let request = router.share.request(&variables);
    r.trial().observed_weight_queried_at = Some(now);
    r.ask(Ask { revision, step, inquiry: Inquiry::RouterShare, request, at: now });
}

/// Continues once `weight` is observed, or after [`CAP`]. Half of the change is enough, because few
/// requests make a coarse share.
pub(super) fn arrived(r: &mut Reconcile, weight: Weight) -> Flow {
    if r.shifting() == Shifting::Services {
        return GO_ON;
    }
    let (Some(_), Some(at)) = (&r.world().router, r.trial().weight_written_at) else { return GO_ON };
    let halfway = r.trial().weight_before.midpoint(weight);
    if r.now() >= after(at, CAP) || r.status().observed_weight.is_some_and(|observed| observed > halfway) {
        return GO_ON;
    }
    r.wait(&WaitReason::Router(Router::Observe), Since::At(at), EndsBy::After(CAP))
}
