//! Whether the router has accepted the routes, in their current generations.

use std::time::Duration;

use super::{
    reasons::{Rejection, Router, WaitReason},
    reconcile::{EndsBy, Flow, GO_ON, Reconcile, Since},
};
use crate::{
    api::{Awaited, Phase, Shifting},
    traffic::{Acceptance, Original, Route},
};

/// What gateways report about all routes of the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Routes {
    /// All are accepted.
    Accepted,
    /// At least one is not accepted yet.
    Pending,
    /// A gateway rejects one of them.
    Rejected(Rejection),
    /// There is no route.
    Gone,
}

/// How long pods and Services that have lost their traffic wait for the router.
const CAP: Duration = Duration::from_secs(30);

/// Records since when the router has not accepted the routes, in every reconcile after the first
/// weight was written, whatever else the rollout waits for.
pub(super) fn observe(r: &mut Reconcile) {
    let phase = r.status().phase;
    let Some(trial) = r.status().trial.as_ref().filter(|trial| trial.shifting != Shifting::Services) else {
        return;
    };
    let awaited = match phase {
        Phase::Stepping | Phase::Waiting | Phase::Promoting => trial.weight_written_at.is_some(),
        // A leader that died may have written a weight without the status.
        Phase::RollingBack => true,
        Phase::Stable | Phase::Preparing | Phase::RolledBack | Phase::Unknown => false,
    };
    if !awaited {
        return;
    }
    if of(r) == Routes::Accepted {
        r.met(Awaited::Router);
    } else {
        r.lost_since(Awaited::Router);
    }
}

/// Returns what gateways report about the routes. A route that no gateway reports about is ignored
/// if another one is accepted.
pub(super) fn of(r: &Reconcile) -> Routes {
    let mut reports = reports(r);
    let any = reports.iter().any(|(_, report)| *report == Acceptance::Accepted);
    reports.retain(|(_, report)| !(any && *report == Acceptance::NotReported));
    let rejected = reports.iter().find_map(|(route, report)| match report {
        Acceptance::Rejected { reason, message } => {
            let (route, reason, message) = (route.clone(), reason.clone(), message.clone());
            Some(Routes::Rejected(Rejection { route, reason, message }))
        }
        _ => None,
    });
    if reports.is_empty() {
        Routes::Gone
    } else if let Some(rejected) = rejected {
        rejected
    } else if reports.iter().all(|(_, report)| *report == Acceptance::Accepted) {
        Routes::Accepted
    } else {
        Routes::Pending
    }
}

/// Continues once the router uses the routes as they were written last, so that it sends nothing
/// more to what loses its traffic; after [`CAP`] in any case. A route that no gateway reports about
/// is not awaited.
pub(super) fn released(r: &mut Reconcile) -> Flow {
    let behind = |report: &Acceptance| matches!(report, Acceptance::Pending | Acceptance::Rejected { .. });
    if !reports(r).iter().any(|(_, report)| behind(report)) || r.is_late(Awaited::Router, CAP) {
        return GO_ON;
    }
    let reason = WaitReason::Router(Router::ReleaseCanary);
    r.wait(&reason, Since::Lost(Awaited::Router), EndsBy::After(CAP))
}

/// Returns what gateways report about each route.
fn reports(r: &Reconcile) -> Vec<(String, Acceptance)> {
    let (router, found) = (r.router(), r.routes());
    let trial = r.status().trial.as_ref();
    let known = trial.map(|trial| trial.routes.as_slice()).unwrap_or_default();
    let report = |route: &Route| {
        let original = known.iter().find(|known| known.is(route.main)).map(|known| &known.original);
        let acceptance = router.acceptance(route, original.unwrap_or(&Original::default()));
        (route.main.title(&r.world().namespace), acceptance)
    };
    found.iter().map(report).collect()
}
