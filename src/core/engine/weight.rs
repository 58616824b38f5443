//! The canary's weight: written, accepted by the router, followed by endpoints, observed.

use std::time::Duration;

use super::{
    acceptance::{self, Routes},
    observed_weight,
    reasons::{Endpoints, EventReason, Failure, Paused, Router, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, STOP, Since},
    rollback,
    shift::{Given, Uncarried},
};
use crate::{
    api::{Awaited, Shifting},
    traffic::Weight,
};

/// Gives the canary this weight, and continues once the router has accepted it.
pub(super) fn ensure(r: &mut Reconcile, weight: Weight, deadline: Duration) -> Flow {
    let before = r.weight().unwrap_or_default();
    match r.give(weight) {
        Ok(Given::Before) => {}
        Ok(Given::Now) => {
            written(r, before, weight);
            guarded(r);
            return STOP;
        }
        Err(Uncarried { route, error }) => {
            // Never more than the step's weight, whoever wrote it.
            if before > weight {
                r.return_traffic();
            }
            return r.wait(&WaitReason::RouteChanged { route, error }, Since::FirstReported, EndsBy::Person);
        }
    }
    guarded(r);
    if r.shifting() != Shifting::Services {
        accepted(r, deadline)?;
    }
    if r.trial().weight_accepted_at.is_none() {
        followed(r, deadline)?;
        observed_weight::arrived(r, weight)?;
    }
    let now = r.now();
    r.trial().weight_accepted_at.get_or_insert(now);
    GO_ON
}

/// Lets failures count. The canary can have requests from the write of the weight on, whatever the
/// router reports and however long the step then waits to be measured.
fn guarded(r: &mut Reconcile) {
    let now = r.now();
    r.trial().traffic_since.get_or_insert(now);
}

/// Continues once the routes are accepted.
fn accepted(r: &mut Reconcile, deadline: Duration) -> Flow {
    match acceptance::of(r) {
        Routes::Accepted => GO_ON,
        Routes::Gone => r.wait(&WaitReason::RouteGone, Since::FirstReported, EndsBy::Person),
        Routes::Pending => {
            let (accept, silent) = (WaitReason::Router(Router::Accept), Failure::RouterTimeout);
            in_time(r, Awaited::Router, deadline, &accept, &silent)
        }
        Routes::Rejected(rejection) => {
            let failure = Failure::RouteRejected(rejection.clone());
            in_time(r, Awaited::Router, deadline, &WaitReason::RouteRejected(rejection), &failure)
        }
    }
}

/// Continues once the Services' endpoints match their selectors.
fn followed(r: &mut Reconcile, deadline: Duration) -> Flow {
    if r.followed() {
        r.met(Awaited::Endpoints);
        return GO_ON;
    }
    let (selected, silent) = (WaitReason::Endpoints(Endpoints::Selected), Failure::EndpointsTimeout);
    in_time(r, Awaited::Endpoints, deadline, &selected, &silent)
}

/// Waits for a condition until its deadline is over, then fails.
fn in_time(
    r: &mut Reconcile,
    condition: Awaited,
    deadline: Duration,
    reason: &WaitReason,
    failure: &Failure,
) -> Flow {
    if r.is_late(condition, deadline) {
        return rollback::fail(r, failure);
    }
    r.wait(reason, Since::Lost(condition), EndsBy::After(deadline))
}

/// Reports a weight that is written. If another client had changed the route, restoring the weight
/// does not start the step again: otherwise a client that keeps applying the route would block the
/// rollout.
fn written(r: &mut Reconcile, before: Weight, weight: Weight) {
    if r.trial().weight_accepted_at.is_some() {
        r.report(&EventReason::RouteRestored { weight });
        return;
    }
    let now = r.now();
    let trial = r.trial();
    (trial.stage_since, trial.weight_written_at) = (None, Some(now));
    (trial.lost.router, trial.lost.endpoints) = (Some(now), None);
    trial.weight_before = before;
    r.set_observed_weight(None);
    r.report(&EventReason::WeightShifted { weight });
}

/// Waits if the rollout is paused and this weight differs from the current one; otherwise
/// continues.
pub(super) fn unpaused(r: &mut Reconcile, weight: Weight) -> Flow {
    let Some(by) = r.paused_by().filter(|_| r.weight() != Some(weight)) else { return GO_ON };
    let paused = WaitReason::Paused(Paused::BeforeWeight { by, weight });
    r.wait(&paused, Since::FirstReported, EndsBy::Person)
}
