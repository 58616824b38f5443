//! The canary's weight: written, accepted by the router, followed by endpoints, observed.

use std::time::Duration;

use super::{
    observed_weight,
    reasons::{Endpoints, EventReason, Failure, Paused, Router, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since, after},
    rollback,
    shift::Given,
};
use crate::{api::Shifting, traffic::gateway::Acceptance};

/// Gives the canary this weight, and goes on once its router has taken it.
pub(super) fn weighted(r: &mut Reconcile, weight: u8, deadline: Duration) -> Flow {
    let before = r.weight().unwrap_or(0);
    match r.give(weight) {
        Ok(Given::Before) => {}
        Ok(Given::Now) => {
            written(r, before, weight);
            return STOP;
        }
        Err(error) => {
            return r.wait(&WaitReason::RouteChanged(error), Since::FirstReported, EndsBy::Person);
        }
    }
    if r.shifting() != Shifting::Services {
        accepted(r, deadline)?;
    }
    let now = r.now();
    // A failure counts from the first request on, though the step is measured only once the weight is
    // observed.
    r.trial().traffic_since.get_or_insert(now);
    if r.trial().weighted_at.is_none() {
        followed(r, deadline)?;
        observed_weight::arrived(r, weight)?;
    }
    r.trial().weighted_at.get_or_insert(now);
    GO_ON
}

/// Goes on once a gateway has accepted the route as it is.
fn accepted(r: &mut Reconcile, deadline: Duration) -> Flow {
    match r.route().map(|(route, _)| route.acceptance.clone()) {
        Some(Acceptance::Accepted) => GO_ON,
        Some(Acceptance::Pending) => {
            in_time(r, deadline, &WaitReason::Router(Router::Accept), &Failure::RouterSilent)
        }
        Some(Acceptance::Rejected { reason, message }) => {
            let rejected = WaitReason::RouteRejected { reason, message };
            r.wait(&rejected, Since::FirstReported, EndsBy::Person)
        }
        None => r.wait(&WaitReason::RouteGone, Since::FirstReported, EndsBy::Person),
    }
}

/// Goes on once the Services' endpoints are those of the version they lead to.
fn followed(r: &mut Reconcile, deadline: Duration) -> Flow {
    if r.followed() {
        return GO_ON;
    }
    in_time(r, deadline, &WaitReason::Endpoints(Endpoints::Selected), &Failure::EndpointsSilent)
}

/// Waits until the deadline after the weight was written, then fails.
fn in_time(r: &mut Reconcile, deadline: Duration, reason: &WaitReason, failure: &Failure) -> Flow {
    let now = r.now();
    let since = r.trial().shifted_at.unwrap_or(now);
    let until = after(since, deadline);
    if now >= until {
        return rollback::fail(r, failure);
    }
    r.wait(reason, Since::At(since), EndsBy::Deadline(until))
}

/// Reports a weight that is written. One that only returns, after another client took it off the route,
/// doesn't begin the step again: else whoever applies the route again and again would keep the rollout
/// where it is.
fn written(r: &mut Reconcile, before: u8, weight: u8) {
    if r.trial().weighted_at.is_some() {
        r.report(&EventReason::RouteRestored { weight });
        return;
    }
    let now = r.now();
    let trial = r.trial();
    (trial.stage_since, trial.shifted_at) = (None, Some(now));
    trial.weight_before = before;
    r.set_observed_weight(None);
    r.report(&EventReason::WeightShifted { weight });
}

/// A paused rollout keeps the weight it has: goes on where that is this one, or no one paused it.
pub(super) fn unpaused(r: &mut Reconcile, weight: u8) -> Flow {
    let Some(by) = r.paused_by().filter(|_| r.weight() != Some(weight)) else { return GO_ON };
    let paused = WaitReason::Paused(Paused::BeforeWeight { by, weight });
    r.wait(&paused, Since::FirstReported, EndsBy::Person)
}
