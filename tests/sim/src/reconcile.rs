//! Reconciles in virtual time: decide, apply, receive answers.

use std::time::Duration;

use jiff::Timestamp;
use steelyard_core::{
    engine::{Answer, Decision, Inquiry, Reading},
    policy::Request,
};

use crate::{Rejection, World, invariants::Scope, writes::Own};

/// The lookback of the source, as in its default settings.
const LOOKBACK: Duration = Duration::from_mins(2);
/// More reconciles than any rollout in these tests needs.
const MANY: usize = 2000;
/// More than any test needs, so that an endless loop fails.
const ENDLESS: usize = 20 * MANY;

/// The result of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// The number of planned writes.
    pub planned: usize,
    /// The number of applied writes.
    pub applied: usize,
    /// The number of measurements.
    pub measured: usize,
    /// Why not all writes were applied.
    pub rejection: Option<Rejection>,
    /// When to reconcile next if nothing changes until then.
    pub wake: Option<Timestamp>,
}

impl World {
    /// Runs one reconcile, and the controllers after each of its writes. Time does not advance.
    pub fn reconcile(&mut self) -> Reconciled {
        self.reconciles += 1;
        assert!(self.reconciles < ENDLESS, "too many reconciles: {:?}", self.status());
        let decision = self.decide();
        let readings = std::mem::take(&mut self.snapshot.readings);
        let answers = std::mem::take(&mut self.snapshot.answers);
        self.snapshot.refused.clear();
        let (mut own, mut applied, mut status, mut rejection) = (Own::default(), 0, false, None);
        for (at, write) in decision.writes.iter().enumerate() {
            let sent = self.send(write, &own);
            if let Err(why) = self.transport().and_then(|()| self.arrive(&sent, &mut own)) {
                rejection.get_or_insert(why);
                // A failed withdrawal does not stop the others.
                if at < decision.withdrawals {
                    continue;
                }
                break;
            }
            applied += 1;
            status |= crate::writes::status_in(write).is_some();
            self.settle();
            // A crash can leave each prefix of a plan.
            self.check();
        }
        self.settle();
        if rejection.is_some() && !status {
            // Without the status write, no tally has counted the answers.
            (self.snapshot.readings, self.snapshot.answers) = (readings, answers);
        }
        if let Some(Rejection::Refused(refused)) = &rejection {
            self.snapshot.refused.push(refused.clone());
        }
        if rejection.is_none() {
            self.check_after_plan();
            self.query(&decision);
            self.check();
        }
        let (planned, measured) = (decision.writes.len(), decision.asks.len());
        Reconciled { planned, applied, measured, rejection, wake: decision.wake }
    }

    /// Makes the measurements and webhook calls of a decision.
    fn query(&mut self, decision: &Decision) {
        for ask in &decision.asks {
            let outcome = match &ask.inquiry {
                Inquiry::RouterShare => self.share.outcome(),
                Inquiry::Metric(_) | Inquiry::Webhook { .. } => self.measurement.outcome(),
            };
            let (revision, step, at) = (ask.revision.clone(), ask.step, ask.at);
            let (inquiry, query) = (ask.inquiry.clone(), ask.request.text().to_owned());
            let Request::Prometheus(request) = &ask.request;
            let lookback = request.terms.max_sample_age.unwrap_or(LOOKBACK);
            self.snapshot.readings.push(Reading { revision, step, inquiry, query, at, lookback, outcome });
        }
        for call in &decision.calls {
            let (revision, step, attempt, at) =
                (call.revision.clone(), call.step, call.attempt, self.snapshot.now);
            match self.webhook {
                Some((approval, response)) => {
                    let response = response.to_owned();
                    self.snapshot.answers.push(Answer { revision, step, attempt, at, approval, response });
                }
                None => drop(self.snapshot.asking.insert(call.inquiry())),
            }
            self.calls.push(call.clone());
        }
    }

    /// Runs one reconcile. If it has nothing to write or to measure, time advances to the next one.
    /// Returns whether there is a next one.
    pub fn proceed(&mut self) -> bool {
        let done = self.reconcile();
        if done.planned > 0 || done.measured > 0 {
            return true;
        }
        if let Some(wake) = done.wake {
            self.snapshot.now = wake.max(self.snapshot.now);
        }
        done.wake.is_some()
    }

    /// Proceeds until `reached` returns true. Panics if nothing is left to do before that.
    pub fn until(&mut self, reached: impl Fn(&Self) -> bool) {
        for _ in 0..MANY {
            if reached(self) {
                return;
            }
            assert!(self.proceed(), "nothing is left to do: {:?}", self.status());
        }
        panic!("not reached after {MANY} reconciles: {:?}", self.status());
    }

    /// Proceeds until nothing is left to do.
    pub fn until_idle(&mut self) {
        for _ in 0..MANY {
            if !self.proceed() {
                return;
            }
        }
        panic!("not idle after {MANY} reconciles: {:?}", self.status());
    }

    /// Asserts the invariants that hold after each write.
    pub fn check(&self) {
        self.assert(Scope::EveryWrite);
    }

    fn check_after_plan(&self) {
        self.assert(Scope::EveryPlan);
    }

    fn assert(&self, scope: Scope) {
        let violated = self.violated(scope);
        assert!(violated.is_empty(), "violated: {violated:?}: {:?}", self.status());
    }
}
